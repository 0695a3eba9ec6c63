"""Data sets by name, each split into public, private, validation and test parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fedfm_sim.core.registry import Registry
from fedfm_sim.learning.examples import Examples

#: The parts of a data set.
PARTS = ("public", "private", "validation", "test")


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
    words : tuple of str or None
        Of texts, the word that each token stands for, if another tokenizer is to read them;
        those in angle brackets are marks and not written.
    """

    public: Examples
    private: Examples
    validation: Examples
    test: Examples
    classes: int
    words: tuple[str, ...] | None = None

    def parts(self) -> dict[str, Examples]:
        """Return the four parts by name."""
        return {name: getattr(self, name) for name in PARTS}

    def each(self, change: Callable[[Examples], Examples]) -> SplitData:
        """Return the data with each part changed."""
        public, private, validation, test = map(change, self.parts().values())
        return SplitData(public, private, validation, test, self.classes, self.words)


#: Domains in which participants hold a data set unless a scenario says; others are as they are.
USUAL_DOMAINS: dict[str, tuple[str, ...]] = {
    "digits": ("faded", "rotated", "shaded", "ruled", "occluded"),
}


def usual_domains(name: str) -> tuple[str, ...]:
    """Return the domains in which participants hold a data set unless a scenario says."""
    return USUAL_DOMAINS.get(name, ("original",))


DATASETS: Registry[Callable[[], SplitData]] = Registry(
    "data set",
    "fedfm_sim.datasets",
    {
        "digits": "fedfm_sim.learning.datasets.digits:load_digits_split",
        "notes": "fedfm_sim.learning.datasets.notes:load_notes_split",
    },
    base="collections.abc:Callable",
)
