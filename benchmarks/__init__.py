"""Measure the service beside other ways of serving the same network. Never imported by what it measures."""
