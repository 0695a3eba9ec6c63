"""What the truth comes to: individual rationality, budget, efficiency and the core.

References
----------
.. [1] D. B. Gillies, "Solutions to general non-zero-sum games", in Contributions
   to the Theory of Games IV, Annals of Mathematics Studies 40, 1959, pp. 47-85.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import brentq

from fedfm_sim.core.arrays import Array
from fedfm_sim.mechanisms.auditing.probes.probe import Probe, people
from fedfm_sim.mechanisms.auditing.rounds import TRUTH, Deviation, Round, Traits
from fedfm_sim.mechanisms.contribution.core import excesses, subset_sums
from fedfm_sim.mechanisms.contribution.least_core import least_core
from fedfm_sim.mechanisms.protocol import Mechanism
from fedfm_sim.mechanisms.rules.posted_price import best_response


class _Truthful(Probe):
    """Base of the probes of truthful play, in which there is nothing to search."""

    def deviations(self, round_: Round) -> Iterator[Deviation]:
        """Yield the truth."""
        yield TRUTH


class IndividualRationality(Probe):
    """What a truthful participant's work costs beyond its pay."""

    property = "individual rationality"
    measure = "cost beyond the pay of a truthful participant"
    unit = "money"

    def deviations(self, round_: Round) -> Iterator[Deviation]:
        """Yield the truth of each."""
        for k in round_.offering:
            yield Deviation((k,), (round_.offers.units[k],), (round_.offers.asks[k],))

    def measured(self, round_: Round, deviation: Deviation) -> float:
        """Return the loss, money."""
        return -round_.utility(deviation.participants[0], deviation)

    def described(self, round_: Round, deviation: Deviation) -> str:
        """Return pay and cost."""
        k = deviation.participants[0]
        outcome = round_.deviate(deviation)
        cost = round_.instance.costs(outcome.delivered)[k]
        return f"{people([k])} is paid {outcome.payments[k]:.3g} for work that costs {cost:.3g}"


class BudgetBalance(_Truthful):
    """Payments beyond the budget; without one, beyond what buyers pay or the work is worth."""

    property = "budget balance"
    measure = "payments beyond the budget, what was collected, or else the worth of the work"
    unit = "money"

    def limit(self, round_: Round) -> float:
        """Return the money that there is to pay from."""
        outcome, instance = round_.truth, round_.instance
        if (budget := getattr(round_.mechanism, "budget", None)) is not None:
            return float(budget)
        if round_.traits.collects:
            return outcome.collected
        game = instance.game(outcome.delivered)
        return instance.value * float(game.values(game.grand))

    def measured(self, round_: Round, deviation: Deviation) -> float:
        """Return the deficit, money."""
        return float(round_.truth.payments.sum()) - self.limit(round_)

    def described(self, round_: Round, deviation: Deviation) -> str:
        """Return what is paid and what there is."""
        paid = round_.truth.payments.sum()
        return f"{paid:.3g} is paid out of {self.limit(round_):.3g}"


class CostEfficiency(_Truthful):
    """Cost of the work chosen, over the least cost of at least as much.

    As much means the units of work and, of a rule that looks at classes, each class by as
    many participants. Participants work in full or not at all, unless a tariff is posted.
    """

    property = "cost efficiency"
    measure = "cost of the work chosen beyond the least cost of as much, relative to it"
    unit = "share"

    def excuse(self, mechanism: Mechanism, traits: Traits) -> str:
        """Excuse rules that take everybody."""
        return "" if traits.posts or traits.chooses else "everybody who offers work is taken"

    def measured(self, round_: Round, deviation: Deviation) -> float:
        """Return the share of the least cost that is wasted."""
        spent, least = self._costs(round_)
        return spent / least - 1 if least > 0 else 0.0

    def described(self, round_: Round, deviation: Deviation) -> str:
        """Return both costs."""
        spent, least = self._costs(round_)
        return f"the work chosen costs {spent:.3g}, and as much could be had for {least:.3g}"

    def _costs(self, round_: Round) -> tuple[float, float]:
        truth = round_.truth
        spent = float(round_.instance.costs(truth.delivered).sum())
        if round_.tariff is not None:
            return spent, _least_divisible(round_, float(truth.delivered.sum()))
        wanted = int(truth.selected @ (1 << np.arange(truth.selected.size)))
        work = subset_sums(round_.offers.units)
        enough = work >= work[wanted] * (1 - 1e-12)
        if round_.traits.covers:
            for column in round_.offers.covers.T:
                holders = subset_sums(column.astype(np.float64))
                enough &= holders >= holders[wanted]
        return spent, float(subset_sums(round_.costs)[enough].min())


def _least_divisible(round_: Round, work: float) -> float:
    """Return the least cost of an amount of work, everybody working at one marginal cost."""
    market = round_.instance.market
    highest = float((market.linear + 2 * market.quadratic * market.capacity).max())
    if work <= 0:
        return 0.0
    if work >= market.capacity.sum():
        return float(round_.instance.costs(market.capacity).sum())
    price = brentq(lambda p: float(best_response(p, market).sum()) - work, 0.0, highest, xtol=1e-15)
    return float(round_.instance.costs(best_response(price, market)).sum())


class WelfareEfficiency(_Truthful):
    """Worth of the work less its cost, against the best coalition working in full."""

    property = "welfare efficiency"
    measure = "welfare lost against the best coalition, relative to it"
    unit = "share"

    def excuse(self, mechanism: Mechanism, traits: Traits) -> str:
        """Excuse tariffs, under which nobody works all or nothing."""
        return "units are chosen freely under the tariff; see cost efficiency" * traits.posts

    def measured(self, round_: Round, deviation: Deviation) -> float:
        """Return the share of the best welfare that is lost."""
        welfare, chosen, best = self._welfare(round_)
        return float(1 - welfare[chosen] / welfare[best]) if welfare[best] > 0 else 0.0

    def described(self, round_: Round, deviation: Deviation) -> str:
        """Return both coalitions' welfare."""
        welfare, chosen, best = self._welfare(round_)
        who = people(k for k in range(round_.instance.size) if best >> k & 1)
        return f"welfare is {welfare[chosen]:.4g}, and {welfare[best]:.4g} with {who} alone"

    def _welfare(self, round_: Round) -> tuple[Array, int, int]:
        instance, selected = round_.instance, round_.truth.selected
        game = instance.game(round_.offers.units)
        welfare = instance.value * game.table() - subset_sums(round_.costs)
        return welfare, int(selected @ (1 << np.arange(selected.size))), int(welfare.argmax())


class CoreStability(_Truthful):
    """How much more the best-off coalition could have by leaving than it must be able to.

    Payments are scaled to share out exactly the value of all [1]_. The core of a game of
    diminishing returns is often empty; then some coalition gains by leaving whatever is
    paid, and only the excess beyond the least core's is held against the rule.
    """

    property = "core stability"
    measure = "largest excess of a coalition beyond the least core's, relative to v(N)"
    unit = "share"

    def excuse(self, mechanism: Mechanism, traits: Traits) -> str:
        """Excuse rules that pay no shares of a game."""
        return "" if mechanism.uses_game else "payments are not shares of a coalition game"

    def measured(self, round_: Round, deviation: Deviation) -> float:
        """Return the excess as a share of the value of all."""
        gains, least, whole = self._excesses(round_)
        return float(gains.max()) / whole - least if whole > 0 else 0.0

    def described(self, round_: Round, deviation: Deviation) -> str:
        """Return who gains by leaving."""
        gains, least, whole = self._excesses(round_)
        blocking = int(gains.argmax())
        who = people(k for k in range(round_.instance.size) if blocking >> k & 1)
        return (
            f"{who} could have {gains[blocking] / whole:.1%} of v(N) more by leaving, "
            f"and {least:.1%} under the stablest shares"
        )

    def _excesses(self, round_: Round) -> tuple[Array, float, float]:
        truth = round_.truth
        game = round_.instance.game(truth.delivered)
        whole, paid = float(game.values(game.grand)), float(truth.payments.sum())
        shares = truth.payments * (whole / paid if paid > 0 else 0.0)
        least = least_core(game).excess / whole if whole > 0 else 0.0
        return excesses(game, shares), least, whole
