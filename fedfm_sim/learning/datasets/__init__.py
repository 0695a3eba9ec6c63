"""Data sets by name, each split into public, private, validation and test parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fedfm_sim.core.registry import Registry
from fedfm_sim.learning.examples import Examples


@dataclass(frozen=True)
class SplitData:
    """A data set in four parts that share no example.

    Attributes
    ----------
    public : Examples
        What the backbone was pre-trained on.
    private : Examples
        What the participants divide among themselves.
    validation : Examples
        The server's own, for valuing coalitions and audits.
    test : Examples
        Seen by nobody; every reported accuracy is measured here.
    classes : int
        Number of labels.
    """

    public: Examples
    private: Examples
    validation: Examples
    test: Examples
    classes: int


DATASETS: Registry[Callable[[], SplitData]] = Registry(
    "data set",
    "fedfm_sim.datasets",
    {
        "digits": "fedfm_sim.learning.datasets.digits:load_digits_split",
        "notes": "fedfm_sim.learning.datasets.notes:load_notes_split",
    },
)
