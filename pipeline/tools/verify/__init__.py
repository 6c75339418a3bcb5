"""Is all of a dataset sound: every file, array, row, the frame contract, the ledger."""
