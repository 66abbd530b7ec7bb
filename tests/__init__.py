"""The specification, as programs."""
