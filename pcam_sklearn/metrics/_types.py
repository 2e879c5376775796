"""Types of arrays and of random states."""

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
RandomState = None | int | np.random.RandomState | np.random.Generator
