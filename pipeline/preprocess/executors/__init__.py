"""Where batches are carried out: in this process, or on Ray's workers."""
