"""The layouts of corpora, one reader in each module."""
