"""`ns2 inspect`: what is in a dataset or in one utterance, as values, text and pictures."""
