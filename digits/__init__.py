"""The kernel on which service and trainer agree: image to pixels, `.h5` to network, bundle on disk."""

__version__ = "0.1.0"
