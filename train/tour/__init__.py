"""The whole way from recordings, or from nothing, to speech: `ns2 demo`."""
