"""`ns2 report`: a dataset on one page of HTML, to look at and listen to before training."""
