"""Objects behind a URL, and the cache of their ranges."""
