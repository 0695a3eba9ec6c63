"""Where what a round leads to comes from: training, or a surface fitted to measured runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import Field, field_validator

from fedfm_sim.core.chosen import Chosen
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import found
from fedfm_sim.core.keys import choices
from fedfm_sim.core.settings import Settings
from fedfm_sim.mechanisms.protocol import Mechanism
from fedfm_sim.mechanisms.rules.posted_price import PostedPrice
from fedfm_sim.mechanisms.sanctions import Sanctions
from fedfm_sim.scenarios.sections import Participants

#: The tables of measured runs that are shipped.
SHIPPED = Path(__file__).parent / "measured"

#: More participants than these are never trained one by one.
MOST_TRAINED = 10_000

#: What the participants of a population, who all learn by regret, have no use for.
UNUSED = ("policies", "action_sets", "contribution", "deviations", "departure", "watermark")


class Checked(Protocol):
    """What outcomes are checked against: a scenario's other sections."""

    @property
    def participants(self) -> Participants:
        """Who takes part."""

    @property
    def mechanism(self) -> Chosen[Mechanism]:
        """Who is paid what."""

    @property
    def sanctions(self) -> Sanctions:
        """What is audited and fined."""

    def whole(self) -> dict[str, Any]:
        """Return all sections as plain values, defaults included."""


class OutcomeSettings(Settings):
    """Fidelity: with measured outcomes, very many participants choose and nobody trains.

    They choose between the actions that the table's runs were measured under.
    """

    source: Literal["trained", "measured"] = Field(
        default="trained", description="live training, or a surface fitted to measured runs"
    )
    table: str | None = Field(
        default=None, description="of measured runs: the name of a shipped one, or a path"
    )

    @field_validator("table")
    @classmethod
    def _in_full(cls, table: str | None) -> str | None:
        return None if table is None else table_at(Path(), table)

    @property
    def path(self) -> Path:
        """The file of the table.

        Raises
        ------
        UserError
            When there is none of that name or path.
        """
        shipped = _shipped(self.table or "")
        path = shipped if shipped.is_file() else Path(self.table or "")
        if not path.is_file():
            known = sorted(p.stem for p in SHIPPED.glob("*.parquet"))
            hint = choices(self.table, known).replace("one of", "a path or one of", 1)
            raise UserError(f"outcomes.table: no file '{self.table}'{hint}")
        return path

    def check(self, scenario: Checked) -> None:
        """Refuse what a trained federation is too small for, and a population has no part for.

        Raises
        ------
        UserError
            When there are too many to train, or a section would be ignored.
        """
        if self.source == "trained":
            if scenario.participants.count > MOST_TRAINED:
                raise UserError(
                    f"source: 'trained' takes at most participants.count = {MOST_TRAINED}, "
                    f"got {scenario.participants.count}; expected 'measured' and a table"
                )
            return
        if self.table is None:
            raise UserError("table: expected the name or path of a table of measured runs")
        fixed_price(scenario.mechanism.build())
        said, usual = scenario.whole(), type(scenario)().whole()
        for key in UNUSED:
            if said.get(key) != usual.get(key):
                raise UserError(f"source: '{key}' plays no part where outcomes are 'measured'")
        for key in ("audit_focus", "bounty", "watch_rate"):
            if getattr(scenario.sanctions, key):
                raise UserError(
                    f"source: 'sanctions.{key}' plays no part where outcomes are 'measured'"
                )
        if scenario.participants.semi_honest or scenario.participants.malicious:
            raise UserError("source: where outcomes are 'measured' all have the same actions")


def table_at(folder: Path, name: str) -> str:
    """Return the name of a table, in full where it is a file in ``folder`` and not shipped."""
    path = found(folder, name)
    return name if path is None or not path.is_file() or _shipped(name).is_file() else str(path)


def _shipped(name: str) -> Path:
    return SHIPPED / f"{name}.parquet"


def fixed_price(mechanism: Mechanism) -> float:
    """Return the price that a mechanism posts whatever the server believes, money per unit.

    Raises
    ------
    UserError
        When it posts none: a population can face nothing else.
    """
    if not isinstance(mechanism, PostedPrice) or mechanism.price is None:
        raise UserError("source: 'measured' needs a mechanism 'posted-price' with its price")
    return mechanism.price
