"""Programs that run in the environments of the peers: they import their framework, and of ours common.py alone."""
