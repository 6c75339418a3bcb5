"""`ns2 align-eval`: durations measured by known truth."""
