"""What a scenario says of the game to solve in it, and of the sanctions to design."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from fedfm_sim.agents.actions import Kind
from fedfm_sim.agents.policies import POLICIES
from fedfm_sim.core.settings import Settings
from fedfm_sim.scenarios.actions import check_names


def _sayable(value: Any) -> Any:
    """Refuse what a lock file could not say."""
    if isinstance(value, str | bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, list | tuple):
        return [_sayable(one) for one in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _sayable(one) for key, one in value.items()}
    raise ValueError(
        f"expected a text, finite number, true, false, or a list or table of such, got {value!r}"
    )


#: A value that a scenario file and a lock file can hold.
Sayable = Annotated[Any, AfterValidator(_sayable)]


class GameSettings(Settings):
    """Who chooses what: the profiles that ``fedfm-sim equilibrium`` has played.

    Attributes
    ----------
    actions : dict of kind to tuple of str
        What the participants of a kind choose from; kinds left out play by their policies.
    players : dict of kind to int
        How many a kind counts as in the reduced game: 1 moves as one body; from 2 on
        each decides alone, the others standing for all the rest (deviation-preserving
        reduction).
    rules : dict of name to overrides
        What the server chooses from: ``key=value`` over the scenario, by dotted key. Without
        any, the server does not play.
    """

    actions: dict[Kind, tuple[str, ...]] = Field(min_length=1)
    players: dict[Kind, int] = Field(default_factory=dict)
    rules: dict[str, dict[str, Sayable]] = Field(default_factory=dict)

    def check(self, sets: Mapping[Kind, tuple[str, ...]]) -> None:
        """Refuse actions that are not in the set of the kind that is to choose them."""
        for kind, names in self.actions.items():
            check_names(names, sets[kind], "actions", kind)


class DesignSettings(Settings):
    """What ``fedfm-sim design`` may choose, and what it costs the server.

    Attributes
    ----------
    capital : float
        Money per round for each unit of money held as a deposit: what a participant must be
        paid for leaving it there. The default is high, as if a round took months.
    largest_fine : float
        Money; nobody can be made to pay more.
    margin : float
        Share by which the expected sanction exceeds every benefit.
    policies : tuple of str
        With which policies the malicious try the designed point.
    check_rounds : int
        Rounds of each trial.
    settings : dict of name to overrides
        Alternatives that are measured, such as other defences or prices; none: the scenario.
    """

    capital: float = Field(default=0.02, ge=0)
    largest_fine: float = Field(default=100.0, ge=0)
    margin: float = Field(default=0.1, ge=0)
    policies: tuple[str, ...] = ("best-response", "fictitious-play", "replicator")
    check_rounds: int = Field(default=30, ge=3)
    settings: dict[str, dict[str, Sayable]] = Field(default_factory=dict)

    @field_validator("policies")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            POLICIES.check(name)
        return names
