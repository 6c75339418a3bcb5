"""Which utterances, in which order, and fetching them ahead of the step that needs them."""
