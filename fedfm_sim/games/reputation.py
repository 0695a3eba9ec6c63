"""Reputation as a signal in time: a malicious participant behaves well until betrayal pays.

References
----------
.. [1] D. M. Kreps and R. Wilson, "Reputation and imperfect information", Journal of Economic
   Theory 27(2), 1982, pp. 253-279; P. Milgrom and J. Roberts, same issue, pp. 280-312.
.. [2] C. Camerer and K. Weigelt, "Experimental tests of a sequential equilibrium reputation
   model", Econometrica 56(1), 1988, pp. 1-36 (the trust game).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedfm_sim.core.arrays import Array, Index
from fedfm_sim.core.errors import UserError


@dataclass(frozen=True, eq=False)
class ReputationPath:
    """A finite game of trust along the history in which trust was never betrayed.

    Attributes
    ----------
    belief : (T,) array
        Chance that the participant is honest, at the start of each round.
    trust : (T,) array
        Chance that it is trusted in that round.
    honour : (T,) array
        Chance that a malicious one behaves well if trusted.
    value : (T,) array
        A malicious participant's expected payoff from that round on.
    gain : float
        What the prior is worth to a malicious participant: its value over that of one who is
        known to be malicious and never trusted.
    """

    belief: Array
    trust: Array
    honour: Array
    value: Array
    gain: float


def reputation_value(
    prior: float,
    horizon: int,
    threshold: float,
    honoured: float,
    betrayed: float,
    outside: float = 0.0,
) -> ReputationPath:
    """Return how a malicious participant builds a good name, and when it spends it.

    In each of T rounds a new (or short-sighted) server trusts the participant or not; it
    trusts if good behaviour has at least a chance ``b``. Honest ones always behave well; a
    malicious one gets ``honoured`` or ``betrayed`` when trusted and ``outside`` when not.
    In the sequential equilibrium [1]_ [2]_, with k rounds to go and belief p:

    - trust if and only if ``p >= b**k``; at ``p = b**k`` after mixing, with the chance
      ``(betrayed - honoured) / (betrayed - outside)`` that keeps the malicious indifferent;
    - the malicious one behaves well while ``p >= b**(k - 1)``, and else with the chance
      ``p (1 - b**(k - 1)) / ((1 - p) b**(k - 1))``, which lifts the belief to ``b**(k - 1)``.

    Beliefs and mixing are those of the chain-store game, in which entrants with payoff b stay
    out (trust that entry is fought) at the same ``b**k``; there, what keeps the incumbent
    indifferent differs.

    Parameters
    ----------
    prior : float
        Chance of an honest participant, in [0, 1).
    horizon : int
        Rounds T, at least 1.
    threshold : float
        b, in (0, 1): loss over loss plus gain of a server that trusts.
    honoured, betrayed, outside : float
        Payoffs per round, money; ``betrayed > honoured > outside``.

    Raises
    ------
    UserError
        When a parameter is out of its range.
    """
    if not (0 <= prior < 1 and 0 < threshold < 1 and horizon >= 1):
        raise UserError(
            "reputation needs a prior in [0, 1), a threshold in (0, 1) and rounds >= 1: "
            f"{prior}, {threshold}, {horizon}"
        )
    if not (np.isfinite([betrayed, honoured, outside]).all() and betrayed > honoured > outside):
        raise UserError("reputation needs betrayed > honoured > outside, all finite")
    left = np.arange(horizon, 0, -1)
    needed, after = threshold**left, threshold ** (left - 1.0)
    if prior >= needed[0] and prior > 0:
        belief = np.maximum(prior, needed)
        mixing = np.r_[False, after[:-1] > belief[:-1]]
        trust = np.where(mixing, (betrayed - honoured) / (betrayed - outside), 1.0)
    else:
        belief, trust = np.full(horizon, prior), np.zeros(horizon)
    honour = np.divide(
        belief * (1 - after), (1 - belief) * after, out=np.ceil(belief), where=belief < after
    )
    value = _values(trust, honour, left, honoured, betrayed, outside)
    return ReputationPath(belief, trust, honour, value, float(value[0] - horizon * outside))


def _values(
    trust: Array,
    honour: Array,
    left: Index,
    honoured: float,
    betrayed: float,
    outside: float,
) -> Array:
    """Return the malicious participant's value of each round, backwards.

    Who is not trusted shows nothing; with its belief short of the next round's need, it is
    not trusted again. Betrayal ends trust as well.
    """
    value, later = np.zeros(len(trust)), 0.0
    for t in reversed(range(len(trust))):
        never = (left[t] - 1) * outside
        kept = honour[t] * (honoured + later) + (1 - honour[t]) * (betrayed + never)
        value[t] = later = trust[t] * kept + (1 - trust[t]) * (outside + never)
    return value
