"""Signals of a hidden kind: what a sender shows, and what a receiver makes of it.

Here reputation is the signal: a participant knows whether it is honest or malicious, shows it
by what it submits or pays for (a certificate, a deposit, rounds of good work), and the server
trusts it or not. A signal tells kinds apart when it costs the wrong kind too much. How a good
name is built over rounds and spent is in `fedfm_sim.games.reputation`.

References
----------
.. [1] M. Spence, "Job market signaling", Quarterly Journal of Economics 87(3), 1973.
.. [2] I.-K. Cho and D. M. Kreps, "Signaling games and stable equilibria", Quarterly Journal of
   Economics 102(2), 1987, pp. 179-221.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal

import numpy as np

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.exact import ROUNDING, whole
from fedfm_sim.games.linear import distribution, least

#: Pairs of a sender's and a receiver's pure strategies that are looked through.
MOST_PROFILES = 1_000_000


@dataclass(frozen=True, eq=False)
class SignallingEquilibrium:
    """A perfect Bayesian equilibrium in pure strategies.

    Attributes
    ----------
    signals : tuple of t int
        What each type sends.
    replies : tuple of m int
        The receiver's action after each signal.
    beliefs : (m, t) array
        What the receiver believes after each signal: by Bayes' rule where it is sent, and
        elsewhere some belief that makes the reply best.
    sender : (t,) array
        Payoff of each type.
    receiver : float
        Expected payoff.
    intuitive : bool
        Whether it passes the intuitive criterion [2]_.
    """

    signals: tuple[int, ...]
    replies: tuple[int, ...]
    beliefs: Array
    sender: Array
    receiver: float
    intuitive: bool

    @property
    def kind(self) -> Literal["pooling", "separating", "hybrid"]:
        """Pooling where all types send one signal, separating where no two do, else hybrid."""
        distinct = len(set(self.signals))
        if distinct == len(self.signals):
            return "separating"
        return "pooling" if distinct == 1 else "hybrid"


@dataclass(frozen=True, eq=False)
class SignallingGame:
    """A sender of a hidden type sends a signal; a receiver sees it and acts [1]_.

    Attributes
    ----------
    prior : (t,) array
        Chance of each type, above 0.
    sender : (t, m, a) array
        Payoff by type, signal and action, net of what the signal costs that type.
    receiver : (t, m, a) array

    Raises
    ------
    UserError
        When shapes do not fit, the prior is no distribution with full support, or a payoff is
        not finite.
    """

    prior: Array
    sender: Array
    receiver: Array

    def __post_init__(self) -> None:
        for name in ("prior", "sender", "receiver"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        shape = self.sender.shape
        if len(shape) != 3 or shape != self.receiver.shape or self.prior.shape != shape[:1]:
            raise UserError(
                f"sender {shape}, receiver {self.receiver.shape} and prior {self.prior.shape}: "
                "expected (types, signals, actions) twice, and (types,)"
            )
        if not self.sender.size or not (self.prior.min() > 0 and abs(self.prior.sum() - 1) < 1e-9):
            raise UserError("the prior must be a distribution with a chance for every type")
        if not (np.isfinite(self.sender).all() and np.isfinite(self.receiver).all()):
            raise UserError("payoffs of a signalling game must be finite")

    def equilibria(self) -> tuple[SignallingEquilibrium, ...]:
        """Return every perfect Bayesian equilibrium in pure strategies.

        Those that differ in replies to signals that nobody sends are listed apart.

        Raises
        ------
        UserError
            When there are more than `MOST_PROFILES` pairs of pure strategies.
        """
        types, signals, actions = self.sender.shape
        if float(signals) ** types * float(actions) ** signals > MOST_PROFILES:
            raise UserError(f"{types} types, {signals} signals and {actions} actions are too many")
        return tuple(
            found
            for sent in product(range(signals), repeat=types)
            for found in self._supporting(sent)
        )

    def _supporting(self, sent: tuple[int, ...]) -> Iterator[SignallingEquilibrium]:
        """Yield the equilibria in which types send these signals."""
        types = np.arange(len(sent))
        replies = [self._replies(signal, sent) for signal in range(self.sender.shape[1])]
        for chosen in product(*replies):
            values = self.sender[:, np.arange(len(chosen)), list(chosen)]
            own = values[types, list(sent)]
            if _more(values.max(1), own).any():
                continue
            acts = [chosen[signal] for signal in sent]
            yield SignallingEquilibrium(
                sent,
                chosen,
                np.array([beliefs[a] for beliefs, a in zip(replies, chosen, strict=True)]),
                own,
                float(self.prior @ self.receiver[types, list(sent), acts]),
                self._intuitive(sent, own),
            )

    def _replies(self, signal: int, sent: tuple[int, ...]) -> dict[int, Array]:
        """Return the best replies to a signal, each with a belief that makes it best."""
        senders = np.array(sent) == signal
        if not senders.any():
            return self._rationalised(signal, tuple(range(len(sent))))
        belief = np.where(senders, self.prior, 0) / self.prior[senders].sum()
        values = belief @ self.receiver[:, signal]
        sizes = belief @ np.abs(self.receiver[:, signal])
        best = np.flatnonzero(values.max() - values <= ROUNDING * sizes.max())
        return {int(action): belief for action in best}

    @cached_property
    def _known(self) -> dict[tuple[int, tuple[int, ...]], dict[int, Array]]:
        """What `_rationalised` returned, which many profiles ask for."""
        return {}

    def _rationalised(self, signal: int, types: tuple[int, ...]) -> dict[int, Array]:
        """Return the actions that are best under some belief over these types, and the belief."""
        if (signal, types) not in self._known:
            self._known[signal, types] = self._best_under_some(signal, types)
        return self._known[signal, types]

    def _best_under_some(self, signal: int, types: tuple[int, ...]) -> dict[int, Array]:
        payoffs = whole(self.receiver[list(types), signal])
        found = {}
        for action in range(payoffs.shape[1]):
            # The least e such that under some belief no other action is better by more.
            short = (payoffs - payoffs[:, [action]]).T
            solved = least(
                np.r_[np.zeros(len(types), dtype=object), 1],
                np.c_[short, -np.ones(len(short), dtype=object)],
                np.zeros(len(short), dtype=object),
                np.r_[np.ones(len(types), dtype=object), 0],
            )
            if solved is not None and solved[1] <= 0:
                found[action] = np.zeros(len(self.prior))
                found[action][list(types)] = distribution(solved[0][:-1])
        return found

    def _intuitive(self, sent: tuple[int, ...], own: Array) -> bool:
        """Whether no type could leave by a signal that only such types might gain from [2]_."""
        every = tuple(range(len(sent)))
        for signal in set(range(self.sender.shape[1])) - set(sent):
            values = self.sender[:, signal]
            hoped = values[:, list(self._rationalised(signal, every))].max(1)
            might = tuple(t for t in every if not _more(own[t], hoped[t]))
            if not might:
                continue
            sure = values[:, list(self._rationalised(signal, might))].min(1)
            if any(_more(sure[t], own[t]) for t in might):
                return False
        return True


def _more(first: Array, second: Array) -> Array:
    """Whether payoffs are higher than others by more than their rounding."""
    return np.asarray(first - second > ROUNDING * np.maximum(np.abs(first), np.abs(second)))
