"""A real S3 server on this machine, and a proxy before it that makes the faults of networks."""
