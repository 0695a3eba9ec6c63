"""The array types that every layer speaks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: Numbers: money, utilities, shares.
Array = npt.NDArray[np.float64]

#: Which of some things.
Mask = npt.NDArray[np.bool_]

#: Whole numbers: participants, rows, counts.
Index = npt.NDArray[np.int64]
