"""From a corpus to a dataset: stages, shards and their bookkeeping."""
