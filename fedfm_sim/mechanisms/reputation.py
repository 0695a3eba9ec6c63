"""Reputation by subjective logic: evidence, opinions and trust.

References
----------
.. [1] A. Josang, "Subjective Logic", Springer, 2016, chapter 3 (the
   mapping between evidence and opinions) and chapter 12 (cumulative fusion).
.. [2] J. Kang, Z. Xiong, D. Niyato, S. Xie and J. Zhang, "Incentive mechanism
   for reliable federated learning", IEEE Internet of Things Journal 6(6), 2019,
   pp. 10700-10714 (reputation in federated learning, with fading evidence).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.core.errors import UserError

#: Weight of the prior, in pieces of evidence: the W of [1], for two outcomes.
PRIOR_WEIGHT = 2.0

#: Weight that last round's evidence keeps: its half-life is about 7 rounds.
FADING = 0.9

#: Pieces of evidence that an audit or a trace weighs, against 1 for a round's sound update.
AUDIT_EVIDENCE = 5.0


@dataclass(frozen=True, eq=False)
class Opinion:
    """Binomial opinions: how far something is believed, disbelieved, or unknown.

    Attributes
    ----------
    belief, disbelief, uncertainty : arrays of one shape
        Each in [0, 1]; they add up to 1.
    """

    belief: Array
    disbelief: Array
    uncertainty: Array

    def __post_init__(self) -> None:
        parts = (self.belief, self.disbelief, self.uncertainty)
        total = np.sum(np.broadcast_arrays(*parts), axis=0)
        if not all(np.all(part >= 0) for part in parts) or not np.allclose(total, 1.0):
            raise UserError("belief, disbelief and uncertainty must be at least 0 and add up to 1")

    def trust(self, base_rate: float = 0.5) -> Array:
        """Return ``belief + base_rate * uncertainty``, in [0, 1] ([1]_, projected probability)."""
        return np.clip(self.belief + base_rate * self.uncertainty, 0.0, 1.0)


def opinion(positive: npt.ArrayLike, negative: npt.ArrayLike) -> Opinion:
    """Return the opinion that evidence supports.

    With a positive and b negative pieces of evidence and ``W = 2``,
    ``u = W / (a + b + W)`` and ``belief = (1 - u) a / (a + b)`` ([1]_, chapter 3).

    Parameters
    ----------
    positive, negative : arrays of one shape
        Amounts of evidence, at least 0; they need not be whole.

    Returns
    -------
    Opinion
        Of the same shape; without evidence, all uncertainty.

    Raises
    ------
    UserError
        When evidence is negative or not finite.
    """
    a, b = _evidence(positive), _evidence(negative)
    total = a + b + PRIOR_WEIGHT
    return Opinion(a / total, b / total, PRIOR_WEIGHT / total)


def consensus(first: Opinion, second: Opinion) -> Opinion:
    """Return the cumulative fusion of two independent opinions ([1]_, chapter 12).

    Equal to the opinion on the sum of their evidence. Where neither opinion
    has any uncertainty the evidence is without bound on both sides; it is then
    taken to be equally much, and the beliefs are averaged.

    Parameters
    ----------
    first, second : Opinion
        Of one shape, each from evidence that the other has not seen.

    Returns
    -------
    Opinion
    """
    u1, u2 = np.asarray(first.uncertainty), np.asarray(second.uncertainty)
    both = u1 + u2 - u1 * u2
    dogmatic = both == 0
    scale = np.where(dogmatic, 1.0, both)

    def fuse(of_first: Array, of_second: Array) -> Array:
        weighted: Array = (of_first * u2 + of_second * u1) / scale
        return np.where(dogmatic, (of_first + of_second) / 2, weighted)

    return Opinion(
        fuse(first.belief, second.belief),
        fuse(first.disbelief, second.disbelief),
        np.where(dogmatic, 0.0, u1 * u2 / scale),
    )


def beta_reputation(positive: npt.ArrayLike, negative: npt.ArrayLike) -> Array:
    """Return the expected trust ``(a + 1) / (a + b + 2)`` of beta reputation.

    The mean of the beta distribution that the evidence leaves of a uniform prior
    (Josang and Ismail 2002); equal to the trust of `opinion` at a base rate of one half.

    Parameters
    ----------
    positive, negative : arrays of one shape
        Amounts of evidence, at least 0; they need not be whole.

    Raises
    ------
    UserError
        When evidence is negative or not finite.
    """
    a, b = _evidence(positive), _evidence(negative)
    return np.asarray((a + 1) / (a + b + 2))


class Reputation:
    """The server's evidence about n participants, as arrays, fading by the round.

    Parameters
    ----------
    participants : int
        Number of participants n.
    base_rate : float
        Trust where there is no evidence, the gamma of [2]_, in [0, 1].
    fading : float
        Weight that last round's evidence keeps, in [0, 1]; 1 never forgets.

    Attributes
    ----------
    positive, negative : (n,) arrays
        Faded evidence so far.

    Raises
    ------
    UserError
        When a parameter is out of its range.
    """

    def __init__(
        self, participants: int, *, base_rate: float = 0.5, fading: float = FADING
    ) -> None:
        if participants < 1:
            raise UserError(f"reputation needs at least 1 participant, got {participants}")
        if not (0 <= base_rate <= 1 and 0 <= fading <= 1):
            raise UserError(
                f"base_rate and fading must lie in [0, 1], got {base_rate} and {fading}"
            )
        self.base_rate = base_rate
        self.fading = fading
        self.positive: Array = np.zeros(participants)
        self.negative: Array = np.zeros(participants)

    def update(self, positive: npt.ArrayLike, negative: npt.ArrayLike) -> None:
        """Let the old evidence fade by one round, and add this round's.

        Parameters
        ----------
        positive, negative : (n,) arrays
            Amounts of evidence, at least 0.

        Raises
        ------
        UserError
            When the shape is not (n,), or evidence is negative or not finite.
        """
        added = _evidence(positive), _evidence(negative)
        if any(evidence.shape != self.positive.shape for evidence in added):
            raise UserError(f"evidence must have the shape {self.positive.shape}")
        self.positive = self.fading * self.positive + added[0]
        self.negative = self.fading * self.negative + added[1]

    @property
    def opinion(self) -> Opinion:
        """The opinions that the evidence supports, of shape (n,)."""
        return opinion(self.positive, self.negative)

    @property
    def trust(self) -> Array:
        """The trust in each participant, (n,) in [0, 1]."""
        return self.opinion.trust(self.base_rate)

    @property
    def uncertainty(self) -> Array:
        """How little is known of each participant, (n,) in (0, 1]."""
        return self.opinion.uncertainty

    def __repr__(self) -> str:
        return (
            f"Reputation(participants={self.positive.size}, base_rate={self.base_rate}, "
            f"fading={self.fading}, mean_trust={self.trust.mean():.3f})"
        )


def round_evidence(
    sound: Mask, rejected: Mask, audited: Mask, convicted: Mask, exposed: Mask
) -> tuple[Array, Array]:
    """Return what a round tells of n participants: positive and negative evidence, each (n,).

    A sound update is one piece for a participant, an audit that finds nothing
    `AUDIT_EVIDENCE` more; a rejected update is one against it, a conviction and a found copy
    that is traced to it `AUDIT_EVIDENCE` each. Nothing speaks for the convicted and exposed.

    Parameters
    ----------
    sound, rejected : (n,) bool arrays
        Whose update has a part in the model, and whose could not be used.
    audited, convicted : (n,) bool arrays
    exposed : (n,) bool array
        To whom a found copy of the model was traced.
    """
    guilty = convicted | exposed
    positive = (sound + AUDIT_EVIDENCE * audited) * ~guilty
    negative = rejected + AUDIT_EVIDENCE * convicted + AUDIT_EVIDENCE * exposed
    return positive, negative


def _evidence(amounts: npt.ArrayLike) -> Array:
    evidence = np.asarray(amounts, dtype=np.float64)
    if not (np.isfinite(evidence) & (evidence >= 0)).all():
        raise UserError("evidence must be finite and at least 0")
    return evidence
