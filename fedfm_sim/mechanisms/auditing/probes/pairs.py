"""What two participants gain together by lies that they agree on.

References
----------
.. [1] J. R. Green and J.-J. Laffont, "On coalition incentive compatibility", The
   Review of Economic Studies 46(2), 1979, pp. 243-254.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product

import numpy as np

from fedfm_sim.mechanisms.auditing.probes.misreports import FACTORS, other_asks
from fedfm_sim.mechanisms.auditing.probes.probe import WIDTHS, Found, Probe, around, people
from fedfm_sim.mechanisms.auditing.rounds import Deviation, Round

#: Shares of its truthful units that a member may offer, where asks do not matter.
SHARES = (1.0, 0.5, 0.0)


class PairCollusion(Probe):
    """What two participants gain together over truth; they can share it as they like [1]_."""

    property = "collusion-proofness"
    measure = "largest joint gain of a pair from joint misreports"
    unit = "money"
    lower_bound = True

    def deviations(self, round_: Round) -> Iterator[Deviation]:
        """Yield joint choices of the true ask, double, and one too high to be chosen.

        Where asks do not matter: of offering all, half or nothing. What one member may
        ask with the other truthful comes first: it is played for its own sake anyway.
        """
        for pair in combinations(round_.offering, 2):
            truth = [(float(round_.offers.units[k]), float(round_.offers.asks[k])) for k in pair]
            units, asks = zip(*truth, strict=True)
            for place, k in enumerate(pair):
                for ask in other_asks(round_, k, deep=False) if round_.traits.asks else []:
                    yield Deviation(pair, units, _with(asks, place, ask))
            moves = [self._moves(round_, k) for k in pair]
            for one, other in list(product(*moves))[1:]:
                units, asks = zip(one, other, strict=True)
                yield Deviation(pair, units, asks)

    def _moves(self, round_: Round, k: int) -> list[tuple[float, float]]:
        units, ask = float(round_.offers.units[k]), float(round_.offers.asks[k])
        if round_.traits.asks and not round_.traits.posts:
            return [(units, factor * ask) for factor in (1.0, 2.0, FACTORS[-1])]
        costs = round_.instance.costs
        return [(s * units, float(costs(s * round_.offers.units)[k])) for s in SHARES]

    def closer(self, round_: Round, found: Found, width: float) -> Iterator[Deviation]:
        """Yield every ask of one member with the other as it is or out, and those around."""
        deviation = found.deviation
        if not round_.traits.asks:
            most = round_.instance.market.capacity[list(deviation.participants)]
            for near in around(deviation, width, "units"):
                if (np.array(near.units) <= most).all():
                    yield near
            return
        if width == WIDTHS[0]:
            for place, k in enumerate(deviation.participants):
                alone = replace(deviation, units=(0.0, 0.0), asks=(0.0, 0.0))
                for ask, other in product(other_asks(round_, k, deep=True), (deviation, alone)):
                    units = _with(other.units, place, float(round_.offers.units[k]))
                    yield replace(other, units=units, asks=_with(other.asks, place, ask))
        yield from around(deviation, width, "asks")

    def measured(self, round_: Round, deviation: Deviation) -> float:
        """Return the gain of both together, money."""
        return sum(round_.utility(k, deviation) - round_.utility(k) for k in deviation.participants)

    def described(self, round_: Round, deviation: Deviation) -> str:
        """Return what each does, and the gain."""
        gain = self.measured(round_, deviation)
        declared = zip(deviation.participants, deviation.units, deviation.asks, strict=True)
        acts = " and ".join(_act(round_, *each) for each in declared)
        return f"{acts}; together they gain {gain:.3g}"


def _act(round_: Round, k: int, units: float, ask: float) -> str:
    if units == 0:
        return f"{people([k])} stays out"
    whole, cost = round_.offers.units[k], round_.costs[k]
    if not np.isclose(units, whole, rtol=1e-3):
        return f"{people([k])} offers {units:.4g} units instead of {whole:.4g}"
    if round_.traits.asks and not np.isclose(ask, cost, rtol=1e-3):
        return f"{people([k])} asks {ask:.4g} instead of {cost:.4g}"
    return f"{people([k])} tells the truth"


def _with(given: tuple[float, ...], place: int, value: float) -> tuple[float, ...]:
    return (*given[:place], value, *given[place + 1 :])
