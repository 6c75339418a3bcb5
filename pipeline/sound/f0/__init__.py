"""The parts of the pitch extractors, see `ns2.pipeline.sound.pitch`."""
