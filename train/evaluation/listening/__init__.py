"""`ns2 evaluate --listening-test`: a folder for listeners, its key, and counting their answers."""
