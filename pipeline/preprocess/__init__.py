"""One run of `ns2 preprocess`: from a corpus to a dataset."""
