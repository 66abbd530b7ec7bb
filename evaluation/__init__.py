"""Measure how well pictures are read, of one digit and of numbers. Never imported by what it measures."""
