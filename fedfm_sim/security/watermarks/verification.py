"""Claims of ownership: how unlikely the hits would be on a model that nobody marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError

#: A claim stands at or below this p-value, after Bonferroni.
CLAIM = 1e-6
#: The same where powers of a chance were multiplied up.
_CLAIM = CLAIM * (1 + 1e-9)


@dataclass(frozen=True)
class Claim:
    """What a key finds in a model.

    Attributes
    ----------
    owner : str
    hits, trials : int
        Bits as the key says, or triggers answered as it says, and of how many.
    p_value : float
        Probability of as many hits on a model without the mark, times ``claimants``
        (Bonferroni), at most 1. It holds for a key that was fixed before the model was seen:
        who can try a million keys finds one of one in a million (see `signed`).
    claimants : int
        How many keys are tried on the model.
    """

    owner: str
    hits: int
    trials: int
    p_value: float
    claimants: int = 1

    @property
    def detection(self) -> float:
        """Share of hits."""
        return self.hits / self.trials

    @property
    def stands(self) -> bool:
        """Whether the claim is beyond doubt."""
        return self.p_value <= _CLAIM


def claim(owner: str, hits: int, trials: int, chance: float = 0.5, claimants: int = 1) -> Claim:
    """Return the claim of ``hits`` out of ``trials``.

    ``p = P(Binom(trials, chance) >= hits)``, times the number of claimants.

    Parameters
    ----------
    chance : float
        Of a hit on an unmarked model: 1/2 for bits; for triggers the rate measured there.

    Raises
    ------
    UserError
        When there is no trial, more hits than trials, no claimant or the chance is
        outside [0, 1].
    """
    if not (trials > 0 and 0 <= hits <= trials and claimants >= 1 and 0 <= chance <= 1):
        raise UserError(
            f"no claim from {hits} hits of {trials} at chance {chance} among {claimants}"
        )
    p = float(binom.sf(hits - 1, trials, chance))
    return Claim(owner, hits, trials, min(1.0, claimants * p), claimants)


def unprovable(what: str, secrets: int, answers: int, claimants: int = 1) -> str | None:
    """Return why no claim can stand, however well a model knows the mark; None where one can.

    Parameters
    ----------
    what : str
        Of the mark, as a scenario sets it: "bits = 16".
    secrets : int
        How many answers were drawn apart.
    answers : int
        Of how many each was drawn: 2 for bits.

    Examples
    --------
    >>> unprovable("bits = 16", 16, 2, claimants=10)
    'bits = 16: if all are known, p is 2e-04, and a claim stands at 1e-06'
    >>> unprovable("bits = 64", 64, 2)
    """
    best = min(1.0, claimants * float(max(1, answers)) ** -secrets)
    if best <= _CLAIM:
        return None
    return f"{what}: if all are known, p is {best:.0e}, and a claim stands at {CLAIM:.0e}"


def answers_claim(
    owner: str,
    told: Index,
    answers: Index,
    classes: int,
    blocks: Index | None = None,
    claimants: int = 1,
) -> Claim:
    """Return the claim of secret answers, by a randomisation test (Fisher 1935).

    The key drew one answer for each block, uniformly and apart from the triggers. Given what
    a model without the mark tells, whatever that is, the hits of a block are those of a
    random answer, and blocks are independent: the distribution of all hits is the
    convolution, exactly. So ``P(p <= a) <= a`` on every model, of any domain, even one that
    tells the same of all triggers. Blocks of one trigger give ``Binom(trials, 1 / classes)``.

    Parameters
    ----------
    told : (N,) array of int
        What the model answers.
    answers : (N,) array of int
        What the key says, in 0 to ``classes - 1``; the same within a block.
    blocks : (N,) array of int, optional
        Which triggers share one drawn answer; each has its own unless given.

    Raises
    ------
    UserError
        When there is no trigger or no answer, a block has two answers, or there is no claimant.

    Examples
    --------
    Ten patterns shown three times each, all known: one chance in ten for each of ten draws.

    >>> secret = np.random.default_rng(0).integers(0, 10, 10).repeat(3)
    >>> f"{answers_claim('a', secret, secret, 10, np.arange(30) // 3).p_value:.0e}"
    '1e-10'
    """
    own = np.arange(len(answers)) if blocks is None else np.asarray(blocks)
    if not (len(told) == len(answers) == len(own) > 0 and classes >= 1 and claimants >= 1):
        raise UserError(f"no claim from {len(answers)} triggers of {classes} answers")
    chances = np.ones(1)
    for block in np.unique(own):
        members = own == block
        if len(np.unique(answers[members])) > 1:
            raise UserError("triggers of one block have one answer")
        values, votes = np.unique(told[members], return_counts=True)
        sizes = votes[(values >= 0) & (values < classes)]  # of answers that could be drawn
        chance = np.bincount(sizes, minlength=members.sum() + 1) / classes
        chance[0] = 1 - len(sizes) / classes
        chances = np.convolve(chances, chance)
    hits = int((told == answers).sum())
    p = min(1.0, claimants * float(chances[hits:].sum()))
    return Claim(owner, hits, len(answers), p, claimants)


@dataclass(frozen=True)
class Trace:
    """To whom a leaked model is traced.

    Attributes
    ----------
    claims : tuple of Claim
        One for each key tried.
    scores : (K,) array
        What the keys are ranked by, in [0, 1].
    """

    claims: tuple[Claim, ...]
    scores: Array

    @property
    def suspect(self) -> int:
        """The key with the highest score, by its number."""
        return int(np.argmax(self.scores))

    @property
    def accused(self) -> int | None:
        """The suspect if the claim stands, or nobody."""
        return self.suspect if self.claims[self.suspect].stands else None


def similarity_scores(responses: Array, signs: Array, target: Array) -> Array:
    """Return FedTracker's fingerprint similarity (Shao et al. 2024), (K,).

    ``FSS = (1/N) sum_j min(eps, b_j (w^T E)_j) / eps``, floored at -1 for each bit.

    Parameters
    ----------
    responses, signs : (K, N) arrays
    target : (K,) array
        eps, the response that an undamaged mark has.
    """
    level = np.maximum(target, 1e-30)[:, None]
    return np.asarray(np.clip(signs * responses / level, -1, 1).mean(axis=1))


def intersection(groups: Sequence[frozenset[int]]) -> frozenset[int]:
    """Return who is in all groups; everybody is out of nothing."""
    return frozenset.intersection(*groups) if groups else frozenset()
