"""Neural audio codecs behind one interface."""
