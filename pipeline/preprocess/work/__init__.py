"""Work on one shard: what it lacks, its batches, and the commit of its targets."""
