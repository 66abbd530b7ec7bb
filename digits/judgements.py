"""What a network answers: of each image the probabilities of the ten digits, and the presence of one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from digits.sizes import CLASSES

DIGITS, PRESENCE, COLUMNS = slice(CLASSES), CLASSES, CLASSES + 1  # of judgements

Probabilities = NDArray[np.float32]  # (n, 10), each row sums to 1
Judgements = NDArray[np.float32]  # (n, 11): probabilities, and then the presence of a digit, from 0 to 1
