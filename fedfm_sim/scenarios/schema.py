"""What a scenario file may say; every key is checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from fedfm_sim.agents.actions import ACTION_SETS, ACTIONS, KINDS, Kind
from fedfm_sim.agents.policies import POLICIES, Fixed, Policy
from fedfm_sim.agents.prices import Prices
from fedfm_sim.core.action import Action
from fedfm_sim.core.registry import NestedError, within
from fedfm_sim.learning.adapters import LoraSettings
from fedfm_sim.learning.aggregation import AggregationRule
from fedfm_sim.learning.datasets import DATASETS
from fedfm_sim.learning.partitions import DataSettings
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.mechanisms import MECHANISMS
from fedfm_sim.mechanisms.protocol import Mechanism
from fedfm_sim.mechanisms.sanctions import Sanctions
from fedfm_sim.scenarios.game import DesignSettings, GameSettings
from fedfm_sim.scenarios.outcomes import OutcomeSettings
from fedfm_sim.scenarios.sections import (
    ContributionSettings,
    Departure,
    DeviationSettings,
    Participants,
    Section,
)
from fedfm_sim.security.attacks import ATTACKS, Attack
from fedfm_sim.security.defences import DEFENCES
from fedfm_sim.security.privacy import LEAKAGE, PROTECTIONS, LeakageMeasure, Protection
from fedfm_sim.security.watermarks import WATERMARKS, Watermark
from fedfm_sim.security.watermarks.removal import REMOVALS, Removal


class Scenario(BaseModel):
    """A whole simulation, but for its seed."""

    model_config = Section.model_config

    name: str = ""
    description: str = ""
    rounds: int = Field(default=10, ge=1, le=100_000)
    backbone: str = "digits-vit"
    participants: Participants = Participants()
    data: DataSettings = DataSettings()
    lora: LoraSettings = LoraSettings(rank=8, alpha=16.0)
    training: TrainingSettings = TrainingSettings()
    prices: Prices = Prices()
    sanctions: Sanctions = Sanctions()
    contribution: ContributionSettings = ContributionSettings()
    deviations: DeviationSettings = DeviationSettings()
    mechanism: dict[str, Any] = {"name": "posted-price"}
    mechanisms: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="parameters of a mechanism wherever it is only named"
    )
    defence: dict[str, Any] = {"name": "fedavg"}
    protection: dict[str, Any] = {"name": "none"}
    leakage: dict[str, Any] = {"name": "loss-threshold"}
    watermark: dict[str, Any] = {"name": "none"}
    removals: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="parameters of a removal wherever an action names it"
    )
    departure: Departure | None = None
    outcomes: OutcomeSettings = OutcomeSettings()
    game: GameSettings | None = None
    design: DesignSettings = DesignSettings()
    policies: dict[Kind, dict[str, Any]] = Field(default_factory=dict)
    actions: dict[str, Action] = Field(default_factory=dict)
    action_sets: dict[Kind, tuple[str, ...]] = Field(default_factory=dict)

    @field_validator("mechanism", "defence", "protection", "leakage", "watermark", mode="before")
    @classmethod
    def _by_name(cls, section: Any) -> Any:
        return {"name": section} if isinstance(section, str) else section

    @model_validator(mode="after")
    def _plugins_fit(self) -> Self:
        for name, parameters in self.mechanisms.items():
            with within("mechanisms", name):
                MECHANISMS.build({"name": name, **parameters})
        with within("mechanism"):
            self.build_mechanism()
        with within("defence"):
            self.build_defence()
        with within("protection"):
            self.build_protection()
        with within("leakage"):
            self.build_leakage()
        with within("watermark"):
            self.build_watermark()
        for name, parameters in self.removals.items():
            with within("removals", name):
                REMOVALS.build({"name": name, **parameters})
        if self.departure is not None:
            with within("departure"):
                self.departure.check(self.participants.count)
        with within("outcomes"):
            self.outcomes.check(self)
        with within("data", "name"):
            DATASETS.check(self.data.name)
        for name, action in self.action_table.items():
            if action.attack is not None:
                with within("actions", name, "parameters"):
                    ATTACKS.build({"name": action.attack, **action.parameters})
            with within("actions", name, "wash"):
                self.build_removal(action)
        return self

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        known = self.action_table
        for kind, names in self.action_sets.items():
            for name in names:
                _known_action(name, known, "action_sets", kind)
        for name in self.deviations.actions:
            _known_action(name, known, "deviations", "actions")
        for kind, names in (self.game.actions if self.game else {}).items():
            allowed = dict.fromkeys(self.action_set(kind))
            for name in names:
                _known_action(name, allowed, "game", "actions", kind)
        for name in self.design.policies:
            with within("design", "policies"):
                POLICIES.check(name)
        for kind in KINDS:
            with within("policies", kind):
                policy = self.policy(kind)
            if isinstance(policy, Fixed):
                allowed = dict.fromkeys(self.action_set(kind))
                for name in policy.actions:
                    _known_action(name, allowed, "policies", kind, "action")
        return self

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

    def policy(self, kind: Kind, position: int = 0) -> Policy:
        """Return a fresh policy for one of ``kind``; without a section, its first action."""
        section = {"name": "fixed", "action": self.action_set(kind)[0]}
        policy = POLICIES.build(self.policies.get(kind, section))
        policy.take_position(position)
        return policy

    def build_mechanism(self) -> Mechanism:
        """Return the payment mechanism, with its parameters in ``mechanisms`` as defaults."""
        defaults = self.mechanisms.get(self.mechanism.get("name", ""), {})
        return MECHANISMS.build({**defaults, **self.mechanism})

    def build_defence(self) -> AggregationRule:
        """Return the aggregation rule."""
        return DEFENCES.build(self.defence)

    def build_protection(self) -> Protection:
        """Return what everybody does to its update before it is sent."""
        return PROTECTIONS.build(self.protection)

    def build_leakage(self) -> LeakageMeasure:
        """Return the measure of P_k."""
        return LEAKAGE.build(self.leakage)

    def build_watermark(self) -> Watermark:
        """Return the watermarking scheme, which has yet to enter a federation."""
        return WATERMARKS.build(self.watermark)

    def build_removal(self, action: Action) -> Removal:
        """Return what an action does to the mark of a copy before it is sold."""
        name = action.wash or "none"
        return REMOVALS.build({"name": name, **self.removals.get(name, {})})

    def build_attack(self, action: Action) -> Attack | None:
        """Return the attack that an action carries out."""
        if action.attack is None:
            return None
        return ATTACKS.build({"name": action.attack, **action.parameters})


def _known_action(name: str, known: Mapping[str, Any], *location: str) -> None:
    if name not in known:
        raise NestedError(location, f"unknown action '{name}'; expected one of: {', '.join(known)}")
