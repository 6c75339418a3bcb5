"""What we claim, measured: every figure as a ratio within one run, with the machine named."""
