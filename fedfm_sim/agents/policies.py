"""Decision policies: how a participant picks an action from its set.

A policy turns the utilities that a participant expects of its actions into
probabilities, and may learn from the utility it then gets.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from pydantic import Field, PrivateAttr, field_validator
from scipy.special import softmax

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.registry import Registry
from fedfm_sim.core.settings import Plugin


class Policy(Plugin):
    """Base of all policies; its fields are its scenario parameters.

    A participant owns a copy, which may hold what it has learnt.
    """

    #: Whether it looks at utilities, expected or received; for one that does not, none
    #: are worked out.
    deliberates: ClassVar[bool] = True

    @abstractmethod
    def probabilities(self, names: tuple[str, ...], expected: Array) -> Array:
        """Return the probability of each action.

        Parameters
        ----------
        names : tuple of str
            The action set.
        expected : (m,) array
            Utility expected of each action at the announced terms, money.
        """

    def learn(self, chosen: int, probabilities: Array, utility: float) -> None:
        """Take note of the utility that the chosen action gave."""

    def take_position(self, position: int) -> None:
        """Be told which one of its kind the participant is, from 0."""


class Fixed(Policy):
    """Always the same action; several are dealt out in turn to the participants of the kind.

    After ``rounds`` rounds the participant changes to ``then``, so that the decay of a
    backdoor can be watched once its author has stopped.
    """

    deliberates: ClassVar[bool] = False
    action: str | tuple[str, ...] = Field(
        default="contribute", description="an action of the kind's set, or several"
    )
    rounds: int | None = Field(default=None, ge=0, description="rounds of it; None for all")
    then: str = Field(default="contribute", description="the action after so many rounds")
    _position: int = PrivateAttr(default=0)
    _played: int = PrivateAttr(default=0)

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions named."""
        own = (self.action,) if isinstance(self.action, str) else self.action
        return own if self.rounds is None else (*own, self.then)

    @field_validator("action")
    @classmethod
    def _at_least_one(cls, action: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not action:
            raise ValueError("expected the name of an action, or several")
        return action

    def take_position(self, position: int) -> None:
        """Take the action of the participant at ``position`` among its kind."""
        self._position = position

    def probabilities(self, names: tuple[str, ...], expected: Array) -> Array:
        """Return certainty of the named action."""
        own = (self.action,) if isinstance(self.action, str) else self.action
        over = self.rounds is not None and self._played >= self.rounds
        action = self.then if over else own[self._position % len(own)]
        return _certainly(len(names), names.index(action))

    def learn(self, chosen: int, probabilities: Array, utility: float) -> None:
        """Count the rounds."""
        self._played += 1


class BestResponse(Policy):
    """The action of the highest expected utility; the first named of equals."""

    def probabilities(self, names: tuple[str, ...], expected: Array) -> Array:
        """Return certainty of the best action."""
        return _certainly(len(names), int(np.argmax(expected)))


class Logit(Policy):
    """Logit choice, ``p_a ~ exp(U_a / temperature)`` (McKelvey and Palfrey 1995)."""

    temperature: float = Field(default=0.5, gt=0, description="money")

    def probabilities(self, names: tuple[str, ...], expected: Array) -> Array:
        """Return the logit probabilities."""
        return np.asarray(softmax(expected / self.temperature), dtype=np.float64)


class NoRegret(Policy):
    """Exp3 on the utilities received (Auer et al. 2002); no beliefs are used.

    Utilities are mapped to [0, 1] by ``(U + span) / (2 span)`` and clipped, so
    ``span`` should cover what a round can bring.
    """

    exploration: float = Field(
        default=0.2, gt=0, le=1, description="gamma, the share of uniform play"
    )
    span: float = Field(default=10.0, gt=0, description="money")
    _gains: Array | None = PrivateAttr(default=None)

    def probabilities(self, names: tuple[str, ...], expected: Array) -> Array:
        """Return ``(1 - gamma) softmax(gamma G / m) + gamma / m``."""
        count = len(names)
        gains = np.zeros(count) if self._gains is None else self._gains
        weights = softmax(self.exploration * gains / count)
        return np.asarray((1 - self.exploration) * weights + self.exploration / count)

    def learn(self, chosen: int, probabilities: Array, utility: float) -> None:
        """Add the importance-weighted gain of the chosen action."""
        if self._gains is None:
            self._gains = np.zeros(len(probabilities))
        gain = float(np.clip((utility + self.span) / (2 * self.span), 0, 1))
        self._gains[chosen] += gain / probabilities[chosen]


class Replicator(Policy):
    """Shares that grow with what actions are expected to bring (Taylor and Jonker 1978).

    The discrete replicator in exponential form, also called Hedge: each round
    ``p_a ~ p_a exp(rate U_a)``. Whoever starts with all actions never quite gives one up.
    """

    rate: float = Field(default=0.3, gt=0, description="per unit of money")
    _logits: Array | None = PrivateAttr(default=None)

    def probabilities(self, names: tuple[str, ...], expected: Array) -> Array:
        """Return the shares, grown by what is expected now."""
        before = np.zeros(len(names)) if self._logits is None else self._logits
        self._logits = before + self.rate * expected
        return np.asarray(softmax(self._logits), dtype=np.float64)


class RegretMatching(Policy):
    """Actions in proportion to the regret of not having played them.

    Hart and Mas-Colell, Econometrica 68(5), 2000, with expected regrets: what an action is
    expected to bring, less what the mixture played is; uniform while nothing is regretted.
    """

    _regrets: Array | None = PrivateAttr(default=None)

    def probabilities(self, names: tuple[str, ...], expected: Array) -> Array:
        """Return the positive regrets, normalised."""
        regrets = np.zeros(len(names)) if self._regrets is None else self._regrets
        positive = np.maximum(regrets, 0.0)
        total = positive.sum()
        mixture = positive / total if total > 0 else np.full(len(names), 1 / len(names))
        self._regrets = regrets + expected - mixture @ expected
        return np.asarray(mixture)


class FictitiousPlay(Policy):
    """The best reply to what was expected on average so far (Brown 1951).

    Expected utility is linear in what the others play, so that replying to its average is
    replying to their average play.
    """

    _total: Array | None = PrivateAttr(default=None)

    def probabilities(self, names: tuple[str, ...], expected: Array) -> Array:
        """Return certainty of the action that is best on average."""
        self._total = expected + (0.0 if self._total is None else self._total)
        return _certainly(len(names), int(np.argmax(self._total)))


class QLearning(Policy):
    """Learnt values of own actions, played by softmax (Watkins and Dayan 1992, one state).

    Utilities received alone are used, no beliefs; an action not yet tried is worth
    ``hope``.
    """

    rate: float = Field(
        default=0.3, gt=0, le=1, description="weight of the latest utility in a learnt value"
    )
    temperature: float = Field(default=0.5, gt=0, description="money")
    hope: float = Field(default=5.0, description="money; what the untried is thought worth")
    _values: Array | None = PrivateAttr(default=None)

    def probabilities(self, names: tuple[str, ...], expected: Array) -> Array:
        """Return the softmax of the learnt values."""
        if self._values is None:
            self._values = np.full(len(names), self.hope)
        return np.asarray(softmax(self._values / self.temperature), dtype=np.float64)

    def learn(self, chosen: int, probabilities: Array, utility: float) -> None:
        """Move the value of the chosen action towards the utility received."""
        if self._values is None:
            self._values = np.full(len(probabilities), self.hope)
        self._values[chosen] += self.rate * (utility - self._values[chosen])


def _certainly(count: int, chosen: int) -> Array:
    probabilities = np.zeros(count)
    probabilities[chosen] = 1.0
    return probabilities


POLICIES: Registry[type[Policy]] = Registry(
    "policy",
    "fedfm_sim.policies",
    {
        "fixed": "fedfm_sim.agents.policies:Fixed",
        "best-response": "fedfm_sim.agents.policies:BestResponse",
        "logit": "fedfm_sim.agents.policies:Logit",
        "no-regret": "fedfm_sim.agents.policies:NoRegret",
        "replicator": "fedfm_sim.agents.policies:Replicator",
        "regret-matching": "fedfm_sim.agents.policies:RegretMatching",
        "fictitious-play": "fedfm_sim.agents.policies:FictitiousPlay",
        "q-learning": "fedfm_sim.agents.policies:QLearning",
    },
    base="fedfm_sim.agents.policies:Policy",
)
