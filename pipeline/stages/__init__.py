"""One file a stage; each makes one column."""
