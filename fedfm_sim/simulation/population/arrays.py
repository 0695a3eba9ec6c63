"""Very many participants who learn by regret, as arrays that one step passes over.

Everybody chooses between the same few actions; the terms that the server announced and the
outcome that the shares of all lead to then decide what each action was worth. Nothing but
``+ - * /`` and comparisons touches a participant's numbers, in one fixed order, so that the
arrays here and the agents of `fedfm_sim.simulation.population.clients` agree bit for bit.

References
----------
.. [1] S. Hart and A. Mas-Colell, "A simple adaptive procedure leading to correlated
   equilibrium", Econometrica 68(5), 2000, pp. 1127-1150 (section 4, the unconditional rule).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import fsum
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fedfm_sim.agents import ledger
from fedfm_sim.agents.ledger import Verdicts
from fedfm_sim.agents.prices import CostModel
from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.core.random import Streams
from fedfm_sim.mechanisms.reputation import FADING, round_evidence
from fedfm_sim.scenarios.actions import attack_of
from fedfm_sim.scenarios.schema import Scenario
from fedfm_sim.simulation.measurements import Workload
from fedfm_sim.simulation.outcomes import OutcomeSource
from fedfm_sim.simulation.population.faced import Faced, Totals, play_measured

T = TypeVar("T")

#: Participants whose numbers are worked on together: few enough for a core's cache, and
#: so many that threads seldom wait for the interpreter.
BLOCK = 65536


class Population:
    """A struct of arrays over n participants and m actions.

    Own cost levels are lognormal, as in a trained federation; what each can do in a round
    is drawn from what the measured participants can. Each round everybody plays an action
    with a chance proportional to its positive regret so far, any action without one [1]_;
    regrets compare the utility of every action at the participant's own draw of the audit
    lottery. Trust is the same whatever one does now, and so is not regretted.

    Parameters
    ----------
    scenario : Scenario
    actions : tuple of m str
    workload : Workload
    streams : Streams

    Attributes
    ----------
    units, cost, burden : (m, n) arrays
        Declared units of each action, what it costs (money, effort included), and E.
    regrets : (m, n) array
        Cumulative, money.
    positive, negative : (n,) arrays
        Faded evidence of reputation.
    account : (n,) array
        Money since the start.
    action : (n,) int8 array
        Last action.
    payment, incurred, burdened, trust, utility : (n,) arrays
        Of the last round: money paid to and borne by each, then E, R and all of Eq. 12.
    audited, convicted : (n,) bool arrays
        Of the last round.
    server, outside : float
        The other accounts, money.
    round : int
        Rounds finished.
    """

    def __init__(
        self, scenario: Scenario, actions: tuple[str, ...], workload: Workload, streams: Streams
    ) -> None:
        self.scenario, self.actions, self.streams = scenario, actions, streams
        self.size = size = scenario.participants.count
        self.units, self.cost, self.burden = _work(scenario, actions, workload, streams)
        self.regrets: Array = np.zeros((len(actions), size))
        self.positive, self.negative, self.account = np.zeros((3, size))
        self.payment, self.incurred, self.burdened = np.zeros((3, size))
        self.trust, self.utility = np.zeros((2, size))
        self.action: npt.NDArray[np.int8] = np.zeros(size, dtype=np.int8)
        self.audited, self.convicted = np.zeros((2, size), dtype=np.bool_)
        self.server = self.outside = 0.0
        self.round = 0

    def play_round(self, source: OutcomeSource) -> tuple[Faced, Totals]:
        """Play one round: choose, be audited, be paid, learn."""
        return play_measured(self, source)

    def choose(self) -> None:
        """Let everybody choose this round's action."""

        def chosen(part: slice) -> None:
            self.action[part] = draw_actions(self.regrets[:, part], self.draw("choice", part))

        self._by_block(chosen)

    @property
    def shares(self) -> Array:
        """The shares (m,) of those who chose each action."""
        counts = [np.count_nonzero(self.action == a) for a in range(len(self.actions))]
        return np.array(counts) / self.size

    def play(self, faced: Faced) -> Totals:
        """Audit and pay everybody for the actions chosen, and let them learn."""

        def played(part: slice) -> tuple[list[int], list[float]]:
            self._play(part, self.draw("audit", part), faced)
            return self.tally(part)

        return self.settle(faced, self._by_block(played))

    def _by_block(self, work: Callable[[slice], T]) -> list[T]:
        """Return what each block gives; blocks share nothing, so threads change no bit."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(work, self.blocks()))

    def draw(self, purpose: str, part: slice) -> Array:
        """Return this round's uniform numbers of one purpose, one for each of a block."""
        generator = self.streams.generator(purpose, self.round)
        generator.bit_generator.advance(part.start)  # type: ignore[attr-defined]
        drawn: Array = generator.random(part.stop - part.start)
        return drawn

    def blocks(self) -> Iterator[slice]:
        """Iterate over the participants by blocks."""
        return (slice(k, min(k + BLOCK, self.size)) for k in range(0, self.size, BLOCK))

    def _play(self, part: slice, audit: Array, faced: Faced) -> None:
        """Play the round of one block; `Client.play` beside this file is the same."""
        regrets, action = self.regrets[:, part], self.action[part]
        due, cost, burden = (each[:, part] for each in (self.units, self.cost, self.burden))
        due = faced.price * due
        utilities = np.empty_like(due)
        for a, own in enumerate(utilities):
            caught = audit < faced.conviction[a] if faced.conviction[a] > 0 else 0.0
            stakes: dict[str, ledger.Amount] = {
                "payment": due[a],
                "proceeds": faced.proceeds[a],
                "cost": cost[a],
                "privacy": faced.leakage[a],
                "efficiency": burden[a],
            }
            own[:] = self._settled(stakes, Verdicts(convicted=caught)).total
        # Where the action played stands in a block's (m, n) numbers, laid out flat.
        played = action * np.intp(len(action)) + np.arange(len(action))
        utilities -= utilities.ravel().take(played)
        regrets += utilities
        convicted = audit < np.array(faced.conviction).take(action)
        audited = audit < faced.audit_rate
        stakes = {
            "payment": due.ravel().take(played),
            "proceeds": np.array(faced.proceeds).take(action),
            "cost": cost.ravel().take(played),
            "reputation": self._trust(part, audited, convicted),
            "privacy": np.array(faced.leakage).take(action),
            "efficiency": burden.ravel().take(played),
        }
        settled = self._settled(stakes, Verdicts(convicted=convicted))
        self.audited[part], self.convicted[part] = audited, convicted
        self.payment[part], self.trust[part] = settled["payment"], settled["reputation"]
        self.incurred[part], self.burdened[part] = settled["cost"], settled["efficiency"]
        self.utility[part] = settled.total
        self.account[part] += settled.reward - settled["cost"]

    def _settled(self, stakes: dict[str, ledger.Amount], verdicts: Verdicts) -> ledger.Utility:
        return ledger.settle(stakes, verdicts, self.scenario.sanctions, self.scenario.prices)

    def _trust(self, part: slice, audited: Mask, convicted: Mask) -> Array:
        """Return the trust before the round, and take note of the round's evidence."""
        positive, negative = self.positive[part], self.negative[part]
        trust = (positive + 1.0) / (positive + negative + 2.0)
        nobody = np.zeros_like(convicted)
        for_, against = round_evidence(~nobody, nobody, audited, convicted, nobody)
        positive *= FADING
        positive += for_
        negative *= FADING
        negative += against
        return np.asarray(trust)

    def tally(self, part: slice) -> tuple[list[int], list[float]]:
        """Return what was written for a block: counts of actions and verdicts, and sums."""
        action = self.action[part]
        counted = [int(np.count_nonzero(action == a)) for a in range(len(self.actions))]
        counted += [
            int(np.count_nonzero(verdict[part])) for verdict in (self.audited, self.convicted)
        ]
        written = (self.payment, self.trust, self.utility, self.incurred, self.burdened)
        return counted, [float(each[part].sum()) for each in written]

    def settle(self, faced: Faced, tallies: Sequence[tuple[list[int], list[float]]]) -> Totals:
        """Close the round: add up the blocks, exactly, and book the money."""
        counted = [sum(each) for each in zip(*(own for own, _ in tallies), strict=True)]
        sums = [fsum(each) for each in zip(*(own for _, own in tallies), strict=True)]
        *counts, audited, convicted = counted
        payment, trust, utility, cost, burden = sums
        proceeds, leakage = (
            fsum(count * each for count, each in zip(counts, one, strict=True))
            for one in (faced.proceeds, faced.leakage)
        )
        totals = Totals(
            counts=tuple(counts),
            audited=audited,
            convicted=convicted,
            payment=payment,
            proceeds=proceeds,
            fine=faced.fine * convicted,
            cost=cost,
            reputation=trust,
            privacy=leakage,
            efficiency=burden,
            utility=utility,
        )
        audits = self.scenario.sanctions.audit_cost * audited
        self.server += totals.fine - payment - audits
        self.outside += cost - proceeds + audits
        self.round += 1
        return totals

    @property
    def money_error(self) -> float:
        """How much money was made or lost, relative to what the accounts hold."""
        held = [float(self.account[part].sum()) for part in self.blocks()]
        gross = fsum(float(np.abs(self.account[part]).sum()) for part in self.blocks())
        gross += abs(self.server) + abs(self.outside)
        return abs(fsum([*held, self.server, self.outside])) / max(gross, 1.0)


def draw_actions(regrets: Array, choice: Array) -> npt.NDArray[np.int8]:
    """Return the actions (n,) of regret matching, by inversion of one uniform number each.

    Parameters
    ----------
    regrets : (m, n) array
    choice : (n,) array
        In [0, 1).
    """
    weights = np.maximum(regrets, 0.0)
    total = weights[0].copy()
    for own in weights[1:]:
        total += own
    content = np.flatnonzero(total == 0)
    weights[:, content] = 1.0
    total[content] = len(weights)
    level = choice * total
    action = np.zeros(choice.shape, dtype=np.int8)
    passed = np.zeros_like(level)
    for own in weights[:-1]:
        passed += own
        action += passed <= level
    return action


def _work(
    scenario: Scenario, actions: tuple[str, ...], workload: Workload, streams: Streams
) -> tuple[Array, Array, Array]:
    """Return units declared, cost in money and burden E of each action, each (m, n)."""
    size, prices = scenario.participants.count, scenario.prices
    draws = streams.generator("costs").standard_normal(size)
    capacity = streams.generator("capacity").choice(np.array(workload.capacity), size)
    costs = CostModel(
        np.exp(prices.cost_spread * draws),
        workload.gflops_per_unit,
        workload.megabytes,
        workload.gigabytes,
        prices,
    )
    units, cost, burden = np.empty((3, len(actions), size))
    for a, name in enumerate(actions):
        action = scenario.action_table[name]
        attack = attack_of(action)
        units[a] = action.share * capacity
        done = units[a] if attack is None or attack.trains else np.zeros(size)
        cost[a] = costs.cost(done) + action.effort
        burden[a] = costs.burden(done, units[a] > 0)
    return units, cost, burden
