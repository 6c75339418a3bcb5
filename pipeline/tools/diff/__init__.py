"""`ns2 diff`: what differs between two datasets."""
