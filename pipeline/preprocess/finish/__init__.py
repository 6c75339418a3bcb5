"""Ledger, index, checksums and card, from the markers."""
