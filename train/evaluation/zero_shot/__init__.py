"""`ns2 evaluate --protocol zero-shot`: voices that a run never heard, as the paper does it."""
