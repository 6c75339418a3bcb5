"""The codec `mini`, which comes with ns2: its network, its file format and its training."""
