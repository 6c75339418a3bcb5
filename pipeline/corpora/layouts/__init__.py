"""One reader a corpus layout."""
