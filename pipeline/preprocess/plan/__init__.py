"""What there is to do: the sources, and which shard each utterance lies in."""
