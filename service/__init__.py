"""Serves a published bundle over HTTP; knows nothing of training."""
