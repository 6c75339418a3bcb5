"""The parts of `make_aligner_people`: what the network of the aligner learns from, and how."""
