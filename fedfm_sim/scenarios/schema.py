"""What a scenario file may say; every key is checked before anything runs."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from fedfm_sim.agents.actions import ACTION_SETS, ACTIONS, KINDS, Kind
from fedfm_sim.agents.policies import POLICIES, Policy
from fedfm_sim.agents.prices import Prices
from fedfm_sim.core.action import Action
from fedfm_sim.core.chosen import FULL, Chosen, Parameters, Slot
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import found
from fedfm_sim.core.keys import nearest, shortened
from fedfm_sim.core.registry import within
from fedfm_sim.core.settings import Settings
from fedfm_sim.learning.adapters import LoraSettings
from fedfm_sim.learning.aggregation import AggregationRule
from fedfm_sim.learning.backbone import BACKBONES
from fedfm_sim.learning.partitions import DataSettings
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.mechanisms import MECHANISMS
from fedfm_sim.mechanisms.protocol import Mechanism
from fedfm_sim.mechanisms.sanctions import Sanctions
from fedfm_sim.scenarios.actions import attack_of, check_names, check_policy, whole_action
from fedfm_sim.scenarios.game import DesignSettings, GameSettings
from fedfm_sim.scenarios.outcomes import OutcomeSettings
from fedfm_sim.scenarios.sections import (
    ContributionSettings,
    DepartureSettings,
    DeviationSettings,
    Participants,
)
from fedfm_sim.security.defences import DEFENCES
from fedfm_sim.security.privacy import LEAKAGE, PROTECTIONS, LeakageMeasure, Protection
from fedfm_sim.security.watermarks import WATERMARKS, Watermark
from fedfm_sim.security.watermarks.removal import REMOVALS, Removal


class Scenario(Settings):
    """A whole simulation, but for its seed."""

    name: str = Field(default="scenario", description="tells the draws of scenarios apart")
    description: str = Field(default="", description="one line, for lists and reports")
    rounds: int = Field(default=10, ge=1, le=100_000, description="of training and payment")
    backbone: str = Field(
        default="digits-vit",
        description="a shipped one, a folder in transformers' format, or a hub id",
    )
    participants: Participants = Participants()
    data: DataSettings = DataSettings()
    lora: LoraSettings = LoraSettings()
    training: TrainingSettings = TrainingSettings()
    prices: Prices = Prices()
    sanctions: Sanctions = Sanctions()
    contribution: ContributionSettings = ContributionSettings()
    deviations: DeviationSettings = DeviationSettings()
    mechanisms: Annotated[dict[str, Chosen[Mechanism]], Parameters(MECHANISMS)] = Field(
        default_factory=dict, description="parameters of a mechanism wherever it is only named"
    )
    mechanism: Annotated[Chosen[Mechanism], Slot(MECHANISMS, "mechanisms")] = Field(
        "posted-price", validate_default=True, description="who is paid what"
    )
    defence: Annotated[Chosen[AggregationRule], Slot(DEFENCES)] = Field(
        "fedavg", validate_default=True, description="how the server aggregates"
    )
    protection: Annotated[Chosen[Protection], Slot(PROTECTIONS)] = Field(
        "none", validate_default=True, description="what everybody does to what it sends"
    )
    leakage: Annotated[Chosen[LeakageMeasure], Slot(LEAKAGE)] = Field(
        "loss-threshold", validate_default=True, description="how P_k is measured"
    )
    watermark: Annotated[Chosen[Watermark], Slot(WATERMARKS)] = Field(
        "none", validate_default=True, description="how owners mark the model"
    )
    removals: Annotated[dict[str, Chosen[Removal]], Parameters(REMOVALS)] = Field(
        default_factory=dict, description="parameters of a removal wherever an action names it"
    )
    departure: DepartureSettings | None = None
    outcomes: OutcomeSettings = OutcomeSettings()
    game: GameSettings | None = None
    design: DesignSettings = DesignSettings()
    policies: dict[Kind, Annotated[Chosen[Policy], Slot(POLICIES)]] = Field(default_factory=dict)
    actions: dict[str, Action] = Field(default_factory=dict)
    action_sets: dict[Kind, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )

    @field_validator("backbone")
    @classmethod
    def _in_full(cls, name: str) -> str:
        return backbone_at(Path(), name)

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        known = self.action_table
        for name, action in known.items():
            with within("actions", name, "parameters"):
                attack_of(action)
            with within("actions", name, "wash"):
                self.removal(action)
        sets = {kind: self.action_set(kind) for kind in KINDS}
        for kind, names in sets.items():
            check_names(names, known, "action_sets", kind)
            with within("policies", kind):
                check_policy(self.policy(kind).build(), names)
        with within("deviations"):
            self.deviations.check(known)
        if self.game is not None:
            with within("game"):
                self.game.check(sets)
        return self

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        if self.departure is not None:
            with within("departure"):
                self.departure.check(self.participants.count)
        with within("outcomes"):
            self.outcomes.check(self)
        return self

    def whole(self) -> dict[str, Any]:
        """Return all that a run depends on as plain values, defaults included.

        Of the catalogue's actions, those that somebody can take or that deviations try, with
        all parameters of their attacks and removals.
        """
        content = self.model_dump(mode="json", exclude_none=True, context=FULL)
        sets = {kind: self.action_set(kind) for kind in KINDS}
        names = dict.fromkeys(chain(self.actions, *sets.values(), self.deviations.actions))
        actions = {name: self.action_table[name] for name in names}
        washes = [self.removal(action) for action in actions.values() if action.wash is not None]
        content["removals"] |= {removal.name: removal.settings for removal in washes}
        content["actions"] = {name: whole_action(action) for name, action in actions.items()}
        content["action_sets"] = {kind: list(names) for kind, names in sets.items()}
        return content

    @property
    def files(self) -> tuple[Path, ...]:
        """The files and folders on this machine that it names, as a run depends on what they have.

        Raises
        ------
        UserError
            When there is no such table of outcomes.
        """
        shipped = self.backbone in BACKBONES
        backbone = BACKBONES[self.backbone] if shipped else Path(self.backbone)
        table = [] if self.outcomes.table is None else [self.outcomes.path]
        return (*[path for path in [backbone] if path.is_dir()], *table)

    def __eq__(self, other: object) -> bool:
        """Whether both are of one type and say the same in full."""
        if not isinstance(other, Scenario):
            return NotImplemented
        return type(self) is type(other) and self.whole() == other.whole()

    def to_play(self) -> Scenario:
        """Return the scenario without what only the study of it needs, not a run."""
        return self.model_copy(update={"game": None, "design": DesignSettings()})

    @property
    def action_table(self) -> dict[str, Action]:
        """Every action by name: the catalogue's, and the scenario's own over them."""
        return ACTIONS | self.actions

    def action_set(self, kind: Kind) -> tuple[str, ...]:
        """Return the names of the actions that a participant of ``kind`` can take."""
        return self.action_sets.get(kind, ACTION_SETS[kind])

    def policy(self, kind: Kind) -> Chosen[Policy]:
        """Return the policy of a kind; without a section, it takes its first action."""
        first = self.action_set(kind)[0]
        return self.policies.get(kind) or Slot(POLICIES).choose("fixed", action=first)

    def removal(self, action: Action) -> Chosen[Removal]:
        """Return what an action does to the mark of a copy before it is sold."""
        name = action.wash or "none"
        return self.removals.get(name) or Slot(REMOVALS).choose(name)


def backbone_at(folder: Path, name: str) -> str:
    """Return the name of a backbone, in full where it is a folder in ``folder`` and not shipped.

    Raises
    ------
    UserError
        When it is the path of no folder, or all but the name of a shipped one.
    """
    if name in BACKBONES:
        return name
    path = found(folder, name) if name else None
    if path is not None and path.is_dir():
        return str(path)
    if path is None and name.startswith((".", "/", "~")):
        raise UserError(f"no folder '{shortened(name)}'")
    if "/" not in name and (hint := nearest(name, BACKBONES)):
        # The hub would be asked for it, which takes half a minute where there is no network.
        raise UserError(f"unknown backbone '{shortened(name)}'{hint}")
    return name
