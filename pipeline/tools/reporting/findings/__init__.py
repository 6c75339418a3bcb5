"""What a report says of a dataset, found in its index, its ledger and its phonemes."""
