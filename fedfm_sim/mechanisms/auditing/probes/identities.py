"""What false identities bring: splitting in two, copying one's data, contributing nothing.

References
----------
.. [1] J. R. Douceur, "The Sybil attack", IPTPS 2002, pp. 251-260.
.. [2] M. Yokoo, Y. Sakurai and S. Matsubara, "The effect of false-name bids in
   combinatorial auctions", Games and Economic Behavior 46(1), 2004, pp. 174-188.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import ClassVar

import numpy as np

from fedfm_sim.core.arrays import Array
from fedfm_sim.mechanisms.auditing.population import Instance
from fedfm_sim.mechanisms.auditing.probes.probe import Found, Probe, around, people
from fedfm_sim.mechanisms.auditing.rounds import Deviation, Outcome, Round
from fedfm_sim.mechanisms.protocol import Offers

#: Multiples of its share of the cost that each of two identities asks.
FACTORS = ((1.0, 1.0), (1.0, 2.0), (2.0, 1.0))

#: Shares of its capacity that an identity may offer under a tariff.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


class _TwoIdentities(Probe):
    """Base of the probes in which one participant enters twice [1]_.

    The gain is over the best that it gets as one, by the same multiples of its cost as
    asks, so that a gain from asks alone does not count. Both identities have the
    reputation and the classes of their owner, and no new tariff is announced. Without a
    tariff each offers all that it can.
    """

    unit = "money"
    lower_bound = True
    clause: ClassVar[str]

    def doubled(self, instance: Instance, participant: int) -> Instance:
        """Return the instance with the second identity last."""
        raise NotImplementedError

    def deviations(self, round_: Round) -> Iterator[Deviation]:
        """Yield what the two identities of each participant offer and ask."""
        for k in range(round_.instance.size):
            world = self.doubled(round_.instance, k)
            most = float(world.market.capacity[k])
            if round_.tariff is not None:
                for one, other in product(SHARES, repeat=2):
                    yield Deviation((k,), (one * most, other * most), (0.0, 0.0))
                continue
            # Parts of the data cost half of the whole each, and a copy asks like the original.
            ask = float(round_.costs[k]) / (1 if world.copies else 2)
            for one, other in FACTORS if round_.traits.asks else FACTORS[:1]:
                yield Deviation((k,), (most, most), (one * ask, other * ask))

    def closer(self, round_: Round, found: Found, width: float) -> Iterator[Deviation]:
        """Yield other units under a tariff; nothing else."""
        if round_.tariff is not None and found.deviation.participants:
            k = found.deviation.participants[0]
            most = self.doubled(round_.instance, k).market.capacity[k]
            for near in around(found.deviation, width, "units"):
                if max(near.units) <= most:
                    yield near

    def measured(self, round_: Round, deviation: Deviation) -> float:
        """Return the owner's gain over its best as one, money."""
        k = deviation.participants[0]
        world = self.doubled(round_.instance, k)
        outcome = self._outcome(round_, world, deviation)
        paid = outcome.payments[k] + outcome.payments[-1]
        alone = [round_.utility(k)]
        if round_.tariff is None and round_.traits.asks:
            whole, cost = float(round_.offers.units[k]), float(round_.costs[k])
            alone.append(round_.utility(k, Deviation((k,), (whole,), (2 * cost,))))
        return float(paid - world.owner_cost(k, outcome.delivered) - max(alone))

    def _outcome(self, round_: Round, world: Instance, deviation: Deviation) -> Outcome:
        k, truth = deviation.participants[0], round_.offers
        units = _two(truth.units, k, deviation.units)
        asks = _two(truth.asks, k, deviation.asks)
        return round_.play(Offers(units, asks, world.reputation, world.covers), world)

    def described(self, round_: Round, deviation: Deviation) -> str:
        """Return who enters twice, and the gain."""
        gain = self.measured(round_, deviation)
        return f"{people(deviation.participants)} {self.clause} and gains {gain:.3g}"


def _two(values: Array, participant: int, own: tuple[float, ...]) -> Array:
    both = np.append(values, own[1])
    both[participant] = own[0]
    return both


class SybilAttack(_TwoIdentities):
    """What one gains by entering as two with half of its data each [2]_."""

    property = "Sybil-proofness"
    measure = "largest gain of one participant from entering as two with half of its data"
    clause = "enters as two with half of its data each"

    def doubled(self, instance: Instance, participant: int) -> Instance:
        """Return the instance with the participant split."""
        return instance.split(participant)


class DataDuplication(_TwoIdentities):
    """What one gains by entering a copy of its data, which adds nothing and costs nothing."""

    property = "duplication-proofness"
    measure = "largest gain of one participant from entering a copy of its data as another"
    clause = "enters a copy of its data as another participant"

    def doubled(self, instance: Instance, participant: int) -> Instance:
        """Return the instance with the participant's copy."""
        return instance.copied(participant)


class FreeRiding(Probe):
    """What is paid for full work of no worth, as a share of an honest participant's pay."""

    property = "no pay for free riders"
    measure = "pay of one who offers its full work and contributes nothing, over honest pay"
    unit = "share"

    def deviations(self, round_: Round) -> Iterator[Deviation]:
        """Yield the truthful offer of each."""
        for k in round_.offering:
            yield Deviation((k,), (round_.offers.units[k],), (round_.offers.asks[k],))

    def measured(self, round_: Round, deviation: Deviation) -> float:
        """Return the share of honest pay; 0 where the honest are paid nothing."""
        paid, honest = self._payments(round_, deviation)
        return paid / honest if honest > 0 else 0.0

    def _payments(self, round_: Round, deviation: Deviation) -> tuple[float, float]:
        k = deviation.participants[0]
        outcome = round_.play(round_.offers, round_.instance.worthless(k))
        return float(outcome.payments[k]), float(round_.truth.payments[k])

    def described(self, round_: Round, deviation: Deviation) -> str:
        """Return both payments."""
        paid, honest = self._payments(round_, deviation)
        who = people(deviation.participants)
        return f"{who} contributes nothing and is paid {paid:.3g} of an honest {honest:.3g}"
