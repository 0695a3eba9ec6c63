"""What figures, tables and reports read of a result; who has these attributes can be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

if TYPE_CHECKING:
    # Scenarios know the attacks, and with them torch; a figure of a table needs neither.
    from fedfm_sim.games.deviation import DeviationTest
    from fedfm_sim.scenarios.schema import Scenario


class Leaving(Protocol):
    """What a departure led to."""

    @property
    def table(self) -> pd.DataFrame:
        """The executors beside retraining."""

    @property
    def shares(self) -> pd.DataFrame:
        """What each participant is owed ``before`` and ``after``."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """The executor chosen, its costs and the leaver's threat."""


class Outcome(Protocol):
    """What every run has."""

    @property
    def scenario(self) -> Scenario:
        """What was run."""

    @property
    def seed(self) -> int:
        """With which seed."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """The outcome as plain values."""

    @property
    def rounds(self) -> pd.DataFrame:
        """A row per round."""


class Run(Outcome, Protocol):
    """A run of a federation of agents."""

    @property
    def participants(self) -> pd.DataFrame:
        """A row per participant and round."""

    @property
    def deviation_test(self) -> DeviationTest:
        """Eq. 13 over what was tried."""

    @property
    def departure(self) -> Leaving | None:
        """Who left, if anybody."""

    def by_kind(self) -> pd.DataFrame:
        """Return the mean of each term of Eq. 12, by kind."""


class PopulationRun(Outcome, Protocol):
    """A run of a population on measured outcomes."""

    @property
    def actions(self) -> tuple[str, ...]:
        """What they choose from."""
