"""Trains a digit classifier on MNIST and publishes it as a bundle; knows nothing of the service."""
