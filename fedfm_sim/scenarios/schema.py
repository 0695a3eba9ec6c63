"""What a scenario file may say; every key is checked before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from fedfm_sim.agents.actions import ACTION_SETS, ACTIONS, KINDS, Kind
from fedfm_sim.agents.policies import POLICIES, Fixed, Policy
from fedfm_sim.agents.utility import Prices
from fedfm_sim.core.action import Action
from fedfm_sim.core.errors import UserError
from fedfm_sim.core.registry import Registry
from fedfm_sim.learning.adapters import LoraSettings
from fedfm_sim.learning.aggregation import AggregationRule
from fedfm_sim.learning.datasets import DATASETS
from fedfm_sim.learning.partitions import DataSettings
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.mechanisms import MECHANISMS
from fedfm_sim.mechanisms.contribution import SCHEMES
from fedfm_sim.mechanisms.protocol import Mechanism
from fedfm_sim.mechanisms.sanctions import Sanctions
from fedfm_sim.scenarios.game import DesignSettings, GameSettings
from fedfm_sim.scenarios.outcomes import OutcomeSettings
from fedfm_sim.security.attacks import ATTACKS, Attack
from fedfm_sim.security.defences import DEFENCES
from fedfm_sim.security.privacy import LEAKAGE, PROTECTIONS, LeakageMeasure, Protection
from fedfm_sim.security.unlearning import EXECUTORS
from fedfm_sim.security.watermarks import WATERMARKS, Watermark
from fedfm_sim.security.watermarks.removal import REMOVALS, Removal

M = TypeVar("M", bound=BaseModel)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Participants(_Section):
    """How many take part, and of which kinds; the rest are honest."""

    count: int = Field(default=10, ge=1, le=10_000_000)
    semi_honest: int = Field(default=0, ge=0)
    malicious: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.semi_honest + self.malicious > self.count:
            raise ValueError(
                f"semi_honest + malicious = {self.semi_honest + self.malicious} participants, "
                f"expected at most count = {self.count}"
            )
        return self

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kind of each participant, honest ones first."""
        honest = self.count - self.semi_honest - self.malicious
        return (
            *(KINDS[:1] * honest),
            *(KINDS[1:2] * self.semi_honest),
            *(KINDS[2:] * self.malicious),
        )


class ContributionSettings(_Section):
    """Valuing the round's coalition game: ``2**n`` evaluations a round where exact."""

    schemes: tuple[str, ...] = ("shapley", "least-core")
    budget: int = Field(default=200, ge=1, description="coalitions of a sampled scheme")
    every: int = Field(default=1, ge=0, description="rounds between valuations; 0 never")
    examples: int = Field(default=100, ge=1, description="validation examples per evaluation")
    measure: Literal[
        "likelihood",
        "accuracy",
        "mutual-cross-entropy",
        "influence",
        "data-size",
        "label-diversity",
        "similarity",
        "mutual-information",
    ] = Field(default="likelihood", description="what a coalition is worth")

    @field_validator("schemes")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            SCHEMES.check(name)
        return names


class DeviationSettings(_Section):
    """Which deviations epsilon* of Eq. 13 is taken over, and in how many last rounds."""

    actions: tuple[str, ...] = (
        "contribute",
        "contribute-half",
        "free-ride",
        "label-flip",
        "backdoor",
        "stay-out",
    )
    rounds: int = Field(default=3, ge=0)
    within_sets: bool = Field(
        default=False, description="only actions of a participant's own set, not all for everybody"
    )


class Departure(_Section):
    """After the last round a participant leaves, and wants its data forgotten.

    The server tries the executors and takes the cheapest that is as good as retraining.
    """

    participant: int = Field(default=0, ge=0)
    executors: tuple[str, ...] = ("fine-tune", "federaser", "adapter-negation", "distillation")
    tolerance: float = Field(
        default=0.05, ge=0, description="points by which any measure may miss the retrained one's"
    )
    value: float = Field(default=50.0, ge=0, description="money for each 1.0 of accuracy")
    pot: float = Field(default=20.0, ge=0, description="money that the model has earned to share")

    def check(self, participants: int) -> None:
        """Refuse participants and executors that there are not."""
        if self.participant >= participants:
            raise NestedError(
                ("participant",), f"{self.participant}; expected less than {participants}"
            )
        for name in self.executors:
            EXECUTORS.check(name)


class NestedError(ValueError):
    """A key of a plug-in's own parameters that is wrong; the loader names it in full."""

    def __init__(self, location: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.location = location


def build(registry: Registry[type[M]], section: Mapping[str, Any]) -> M:
    """Return the plug-in that ``{"name": ..., parameter: ...}`` describes.

    Raises
    ------
    NestedError
        When the name is unknown or a parameter does not fit.
    """
    parameters = {key: value for key, value in section.items() if key != "name"}
    if "name" not in section:
        raise NestedError(("name",), f"missing; expected one of: {', '.join(registry)}")
    try:
        return registry[section["name"]].model_validate(parameters)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            known = ["name", *registry[section["name"]].model_fields]
            message = f"unknown key; expected one of: {', '.join(known)}"
        else:
            message = f"{first['msg']}, got {first['input']!r}"
        raise NestedError(first["loc"], message) from error
    except UserError as error:
        raise NestedError(("name",), str(error)) from error


class Scenario(_Section):
    """A whole simulation, but for its seed."""

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
            with _within("mechanisms", name):
                build(MECHANISMS, {"name": name, **parameters})
        with _within("mechanism"):
            self.build_mechanism()
        with _within("defence"):
            self.build_defence()
        with _within("protection"):
            self.build_protection()
        with _within("leakage"):
            self.build_leakage()
        with _within("watermark"):
            self.build_watermark()
        for name, parameters in self.removals.items():
            with _within("removals", name):
                build(REMOVALS, {"name": name, **parameters})
        if self.departure is not None:
            with _within("departure"):
                self.departure.check(self.participants.count)
        with _within("outcomes"):
            self.outcomes.check(self)
        with _within("data", "name"):
            DATASETS.check(self.data.name)
        for name, action in self.action_table.items():
            if action.attack is not None:
                with _within("actions", name, "parameters"):
                    build(ATTACKS, {"name": action.attack, **action.parameters})
            with _within("actions", name, "wash"):
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
            with _within("design", "policies"):
                POLICIES.check(name)
        for kind in KINDS:
            with _within("policies", kind):
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
        policy = build(POLICIES, self.policies.get(kind, section))
        policy.take_position(position)
        return policy

    def build_mechanism(self) -> Mechanism:
        """Return the payment mechanism, with its parameters in ``mechanisms`` as defaults."""
        defaults = self.mechanisms.get(self.mechanism.get("name", ""), {})
        return build(MECHANISMS, {**defaults, **self.mechanism})

    def build_defence(self) -> AggregationRule:
        """Return the aggregation rule."""
        return build(DEFENCES, self.defence)

    def build_protection(self) -> Protection:
        """Return what everybody does to its update before it is sent."""
        return build(PROTECTIONS, self.protection)

    def build_leakage(self) -> LeakageMeasure:
        """Return the measure of P_k."""
        return build(LEAKAGE, self.leakage)

    def build_watermark(self) -> Watermark:
        """Return the watermarking scheme, which has yet to enter a federation."""
        return build(WATERMARKS, self.watermark)

    def build_removal(self, action: Action) -> Removal:
        """Return what an action does to the mark of a copy before it is sold."""
        name = action.wash or "none"
        return build(REMOVALS, {"name": name, **self.removals.get(name, {})})

    def build_attack(self, action: Action) -> Attack | None:
        """Return the attack that an action carries out."""
        if action.attack is None:
            return None
        return build(ATTACKS, {"name": action.attack, **action.parameters})


@contextmanager
def _within(*location: str) -> Iterator[None]:
    try:
        yield
    except NestedError as error:
        raise NestedError((*location, *error.location), str(error)) from error
    except UserError as error:
        raise NestedError(location, str(error)) from error


def _known_action(name: str, known: Mapping[str, Any], *location: str) -> None:
    if name not in known:
        raise NestedError(location, f"unknown action '{name}'; expected one of: {', '.join(known)}")
