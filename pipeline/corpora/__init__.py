"""Where recordings and transcripts come from."""
