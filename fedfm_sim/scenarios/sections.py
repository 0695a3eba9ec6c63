"""Sections of a scenario file: who takes part, what is valued and tried, and who leaves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fedfm_sim.agents.actions import KINDS, Kind
from fedfm_sim.core.registry import NestedError, within
from fedfm_sim.core.settings import Settings
from fedfm_sim.mechanisms.contribution import SCHEMES
from fedfm_sim.scenarios.actions import check_names
from fedfm_sim.security.unlearning import EXECUTORS


class Participants(Settings):
    """How many take part, and of which kinds; the rest are honest."""

    count: int = Field(default=10, ge=1, le=10_000_000, description="of all kinds together")
    semi_honest: int = Field(
        default=0, ge=0, description="how many keep to the protocol and may snoop"
    )
    malicious: int = Field(default=0, ge=0, description="how many may break the protocol")

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


class ContributionSettings(Settings):
    """Valuing the round's coalition game: ``2**n`` evaluations a round where exact."""

    schemes: tuple[str, ...] = Field(
        default=("shapley", "least-core"), description="by which contributions are valued"
    )
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


class DeviationSettings(Settings):
    """Which deviations epsilon* of Eq. 13 is taken over, and in how many last rounds.

    Of the actions listed, each participant is tried with those of its own action set.
    """

    actions: tuple[str, ...] = Field(
        default=(
            "contribute",
            "contribute-half",
            "free-ride",
            "label-flip",
            "backdoor",
            "stay-out",
        ),
        description="what each participant's own action is measured against",
    )
    rounds: int = Field(default=3, ge=0, description="how many last rounds; 0: none")
    within_sets: bool = Field(
        default=True, description="only actions of a participant's own set, not all for everybody"
    )

    def check(self, known: Iterable[str]) -> None:
        """Refuse actions that there are not."""
        check_names(self.actions, known, "actions")


class DepartureSettings(Settings):
    """After the last round a participant leaves, and wants its data forgotten.

    The server tries the executors and takes the cheapest that is as good as retraining.
    """

    participant: int = Field(default=0, ge=0, description="who leaves, from 0")
    executors: tuple[str, ...] = Field(
        default=("fine-tune", "federaser", "adapter-negation", "distillation"),
        description="methods of unlearning that the server tries",
    )
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
        with within("executors"):
            for name in self.executors:
                EXECUTORS.check(name)
