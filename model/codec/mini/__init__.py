"""The codec `mini`, which ships with ns2: its network, its file, its training."""
