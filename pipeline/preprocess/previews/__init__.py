"""Parts of `ns2 preprocess --plan`: what it says, and plans of new datasets by columns."""
