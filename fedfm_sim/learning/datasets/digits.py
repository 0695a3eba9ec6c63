"""scikit-learn's handwritten digits: 1797 real 8 x 8 images, no download.

Source: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits,
UCI Machine Learning Repository.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from fedfm_sim.learning.datasets import SplitData
from fedfm_sim.learning.examples import Examples

PUBLIC, TEST, VALIDATION = 600, 300, 100

#: The split is part of the data set, as the shipped backbone has seen the
#: public part: it is the same in every run, whatever the run's seed.
SPLIT_SEED = 20240


@cache
def load_digits_split() -> SplitData:
    """Return 600 public, 797 private, 100 validation and 300 test images, stratified.

    Pixels are in [0, 1], shape (N, 1, 8, 8).
    """
    images, labels = load_digits(return_X_y=True)
    pixels = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    rest = np.arange(len(labels))
    parts = []
    for size in (PUBLIC, TEST, VALIDATION):
        rest, part = train_test_split(
            rest, test_size=size, random_state=SPLIT_SEED, stratify=labels[rest]
        )
        parts.append(np.sort(part))
    public, test, validation, private = (
        Examples(
            {"pixel_values": torch.from_numpy(pixels[index])},
            torch.from_numpy(labels[index].astype(np.int64)),
        )
        for index in (*parts, np.sort(rest))
    )
    return SplitData(public, private, validation, test, classes=10)
