"""How large a digit is, and how many there are. Imports nothing, for every part of the kernel needs it."""

from __future__ import annotations

SIDE = 28  # pixels on each side of an MNIST image
CLASSES = 10  # digits, 0 to 9
