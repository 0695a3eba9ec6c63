"""One round played by a profile of actions: what it leads to, each measured when asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.agents import ledger
from fedfm_sim.agents.ledger import Amount, Utility, Verdicts
from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.learning.aggregation import Uploads
from fedfm_sim.learning.quarantine import receive
from fedfm_sim.mechanisms.protocol import Allocation, Announcement, Delivery, Offers
from fedfm_sim.security.attacks import TriggerAttack
from fedfm_sim.security.detection import audit_chances
from fedfm_sim.simulation.conditions import conditions_of
from fedfm_sim.simulation.sending import send
from fedfm_sim.simulation.setting import Setting
from fedfm_sim.simulation.updates import RoundUpdates, Sale
from fedfm_sim.simulation.valuation import round_game


@dataclass
class Play:
    """What a profile leads to, but for the audit lottery.

    Attributes
    ----------
    setting : Setting
    updates : RoundUpdates
    names : tuple of n str
        The action of each participant.
    announcement : Announcement
        What the mechanism announced for the round.
    trust : (n,) array
        The server's trust before the round.
    leakage_expected : (n,) array
        What each expects its participation to reveal; an honest ask covers it.
    """

    setting: Setting
    updates: RoundUpdates
    names: tuple[str, ...]
    announcement: Announcement
    trust: Array
    leakage_expected: Array

    def __post_init__(self) -> None:
        scenario = self.setting.scenario
        table = scenario.action_table
        self.actions = [table[name] for name in self.names]
        self._guilty: dict[int, bool] = {}
        self._success: dict[TriggerAttack, float] = {}
        count = range(len(self.names))
        self.units = np.array([self.setting.units(self.actions[k], k) for k in count])
        markups = np.array([action.markup for action in self.actions])
        self.asks = markups * self.setting.full_costs(self.units, self.leakage_expected)
        offers = Offers(self.units, self.asks, self.trust, self.setting.holdings.covers)
        self.allocation: Allocation = self.setting.mechanism.allocate(offers, self.announcement)
        self._aggregate()

    def _aggregate(self) -> None:
        count, reference = len(self.names), self.updates.reference
        members = np.flatnonzero(self.allocation.selected)
        self.updates.prepare((k, self.names[k]) for k in members.tolist())
        self.sent = send(self.setting, self.updates, self.names, members.tolist())
        received = receive(list(self.sent.values()), reference, self.setting.federation.layout)
        self.reasons = {int(members[row]): why for row, why in received.reasons.items()}
        sound = [row for row in range(len(members)) if row not in received.reasons]
        self.accepted = members[sound]
        self.rows = reference.repeat(count, 1)
        self.rows[self.accepted] = received.updates[sound]
        self.uploads = Uploads(
            self.rows[self.accepted],
            reference,
            self.units[self.accepted],
            self.setting.federation.layout,
            self.accepted,
            self.updates.server,
            self.setting.streams.integer("aggregation", self.updates.number),
        )
        self.aggregate = self.setting.defence.aggregate(self.uploads)
        self.weights, self.suspicion = np.zeros(count), np.full(count, np.nan)
        self.weights[self.accepted] = self.aggregate.weights
        self.suspicion[self.accepted] = self.aggregate.suspicion
        self.delivered = self.accepted[~self.aggregate.dropped]

    @cached_property
    def conditions(self) -> tuple[str, ...]:
        """Which published conditions of the rules in play did not hold, a line each."""
        return tuple(
            conditions_of(
                self.setting, self.names, self.allocation.selected, self.attacking, self.accepted
            )
        )

    @cached_property
    def game(self) -> CoalitionGame:
        """The coalition game of the round, by the scenario's measure."""
        return round_game(self)

    @cached_property
    def payments(self) -> Array:
        """What is due to each for sound, delivered work, money; sanctions come later."""
        due = self.setting.mechanism.pay(self.allocation, self.delivery).copy()
        due[list(self.reasons)] = 0.0
        due[self.accepted[self.aggregate.dropped]] = 0.0
        return due

    @cached_property
    def collected(self) -> float:
        """What buyers outside pay for the round, money."""
        return self.setting.mechanism.collect(self.allocation, self.delivery)

    @cached_property
    def gram(self) -> Array:
        """Inner products of the changes of dW that the updates make, (n, n)."""
        layout = self.setting.federation.layout
        return np.asarray(layout.change_gram(self.rows, self.updates.reference).numpy())

    @cached_property
    def delivery(self) -> Delivery:
        """What the mechanism is told of the work delivered."""
        mechanism = self.setting.mechanism
        delivered = np.zeros(len(self.names))
        delivered[self.delivered] = self.units[self.delivered]
        return Delivery(
            delivered,
            self.game if mechanism.uses_game else None,
            self.gram if mechanism.uses_gram else None,
            self.setting.streams.integer("payments", self.updates.number),
        )

    @property
    def attacking(self) -> Mask:
        """Who takes part and breaks the protocol, (n,)."""
        attacks = np.array([action.attack is not None for action in self.actions])
        return attacks & self.allocation.selected

    @property
    def guilty(self) -> Mask:
        """Whom an audit by replay convicts, (n,)."""
        return np.array([self.guilty_of(k) for k in range(len(self.names))])

    def guilty_of(self, participant: int) -> bool:
        """Return whether an audit by replay convicts: evidence above the tolerance."""
        if not self.allocation.selected[participant]:
            return False
        if participant in self.reasons:
            return True
        if participant not in self._guilty:
            name, sent = self.names[participant], self.sent[participant]
            self._guilty[participant] = self.convicts(participant, name, sent)
        return self._guilty[participant]

    def convicts(self, participant: int, name: str, sent: Tensor) -> bool:
        """Return whether a replay of ``sent`` (P,) finds evidence above the tolerance."""
        tolerance = self.setting.scenario.sanctions.tolerance
        return self.updates.evidence(participant, name, sent) > tolerance

    @cached_property
    def accusations(self) -> dict[int, int]:
        """Reporter to accused: the most suspect of the others, by the published updates."""
        accused = {}
        for k, action in enumerate(self.actions):
            others = [j for j in self.accepted.tolist() if j != k]
            if action.report and self.allocation.selected[k] and others:
                accused[k] = max(others, key=lambda j: self.suspicion[j])
        return accused

    @cached_property
    def sales(self) -> dict[int, Sale]:
        """Seller to what it sells: the copy it was sent, and to whom that is traced."""
        return {
            k: self.updates.sale(k, self.names[k])
            for k, action in enumerate(self.actions)
            if action.sell and self.allocation.selected[k]
        }

    @cached_property
    def audit_probability(self) -> Array:
        """The chance of each to be audited: by the audit rule, or 1 when accused, (n,)."""
        sanctions, chance = self.setting.scenario.sanctions, np.zeros(len(self.names))
        selected = self.allocation.selected
        chance[selected] = audit_chances(
            self.suspicion[selected], sanctions.audit_rate, sanctions.audit_focus
        )
        chance[list(self.accusations.values())] = 1.0
        return chance

    @cached_property
    def leakage(self) -> Array:
        """P of Eq. 12: what each sent gives away, by the scenario's measure, (n,)."""
        chosen = [int(k) for k in np.flatnonzero(self.allocation.selected)]
        asked = [(k, self.names[k], self._shown(self.sent[k])) for k in chosen]
        leakage = np.zeros(len(self.names))
        leakage[chosen] = self.updates.leakages(asked)
        return leakage

    def leakage_of(self, participant: int) -> float:
        """Return one participant's leakage."""
        if not self.allocation.selected[participant]:
            return 0.0
        return self.leaked(participant, self.names[participant], self.sent[participant])

    def leaked(self, participant: int, name: str, sent: Tensor) -> float:
        """Return what others learn of a participant by what they see of ``sent`` (P,)."""
        return self.updates.leakage(participant, name, self._shown(sent))

    def _shown(self, sent: Tensor) -> Tensor:
        """Return what others see of what one sends: where a rule hides that, the mean alone."""
        return self.aggregate.adapter if self.setting.defence.hides_updates else sent

    def cost_of(self, participant: int) -> float:
        """Return c of Eq. 12: work really done, and effort, money."""
        action = self.actions[participant]
        if not self.allocation.selected[participant]:
            return 0.0
        return float(self.setting.costs.cost(self.worked)[participant]) + action.effort

    @cached_property
    def worked(self) -> Array:
        """Units of work really done, (n,)."""
        return np.array(
            [
                self.updates.worked(k, name) if self.allocation.selected[k] else 0.0
                for k, name in enumerate(self.names)
            ]
        )

    @cached_property
    def burden(self) -> Array:
        """E of Eq. 12 and 16, (n,)."""
        return self.setting.costs.burden(self.worked, self.allocation.selected)

    def proceeds_of(self, participant: int) -> float:
        """Return what an attack earns outside, money: its price times its measured success."""
        if not self.allocation.selected[participant]:
            return 0.0
        prices, name = self.setting.scenario.prices, self.names[participant]
        total = 0.0
        if self.actions[participant].snoop:
            others = [j for j in self.accepted.tolist() if j != participant]
            seen = [self.leakage_of(j) for j in others]
            total += prices.snooping * float(np.mean(seen)) if seen else 0.0
        if participant in self.sales:
            total += self.sales[participant].money
        attack = self.setting.attacks.get(name)
        if isinstance(attack, TriggerAttack):
            total += prices.backdoor * self.attack_success(attack)
        if attack is not None and attack.goal == "damage":
            total += prices.damage * self.damage_of(participant)
        return total

    def attack_success(self, attack: TriggerAttack) -> float:
        """Return the trigger's success on the new model, less its rate on the base model.

        Over triggered test images that are not of the target class already; at least 0. A
        model that got better is fooled less than the base model, so that cutting at 0 adds
        next to nothing: 0.000 to 0.005 in the mean of runs without an attack.
        """
        if attack not in self._success:
            evaluator, adapter = self.setting.evaluator, self.aggregate.adapter
            rate = float(evaluator.trigger_rates(adapter[None], attack)[0])
            self._success[attack] = max(0.0, rate - evaluator.base_trigger_rate(attack))
        return self._success[attack]

    def damage_of(self, participant: int) -> float:
        """Return the test accuracy that the aggregate loses through one participant.

        Below 0 where it gains: cut at 0, an attack without effect would earn by chance.
        """
        return self._lost_through(self.accepted == participant)

    @cached_property
    def accuracy_lost(self) -> float:
        """The test accuracy that the aggregate loses through all who attack; 0 where nobody does.

        Against what the same rule makes of the others' uploads: negative where it does worse.
        """
        attackers = self.attacking[self.accepted]
        return self._lost_through(attackers) if attackers.any() else 0.0

    def _lost_through(self, rows: Mask) -> float:
        """Return the accuracy of the aggregate without these accepted uploads, less its own."""
        without = self.setting.defence.aggregate(self.uploads.select(np.flatnonzero(~rows)))
        both = torch.stack([without.adapter, self.aggregate.adapter])
        ahead, own = self.setting.evaluator.accuracies(both)
        return float(ahead - own)

    @cached_property
    def new_adapter(self) -> Tensor:
        """The next global adapter (P,), after the server's own marking of it."""
        return self.setting.watermark.mark_shared(self.aggregate.adapter, self.updates.number)

    def stakes_of(self, participant: int) -> dict[str, Amount]:
        """Return what each line of the ledger comes to before verdicts.

        Trust is that before the round, as it moves only afterwards.
        """
        k = participant
        return {
            "payment": float(self.payments[k]),
            "proceeds": self.proceeds_of(k),
            "cost": self.cost_of(k),
            "reputation": float(self.trust[k]),
            "privacy": self.leakage_of(k),
            "efficiency": float(self.burden[k]),
        }

    @cached_property
    def stakes(self) -> dict[str, Amount]:
        """The stakes of all, (n,) each."""
        together: dict[str, Amount] = {"privacy": self.leakage}  # before any is asked for alone
        each = [self.stakes_of(k) for k in range(len(self.names))]
        return {name: np.array([own[name] for own in each]) for name in each[0]} | together

    def verdicts(self, audited: Array | Mask, found: Array | Mask) -> Verdicts:
        """Return what follows, for each of n, from who is audited and whose copy is found.

        Parameters
        ----------
        audited : (n,) array
            1 for the audited and 0 for others, or the chance of it. Who is accused is audited.
        found : (n,) array
            Whether the copy that each sells is found, or the chance of it.
        """
        guilty = [float(chance > 0 and self.guilty_of(k)) for k, chance in enumerate(audited)]
        convicted = np.asarray(audited, dtype=np.float64) * guilty
        exposed, upheld, refuted = np.zeros((3, len(self.names)))
        for seller, sale in self.sales.items():
            if sale.accused is not None:
                exposed[sale.accused] += found[seller]
        for reporter, accused in self.accusations.items():
            upheld[reporter] = convicted[accused]
            refuted[reporter] = 1.0 - convicted[accused]
        return Verdicts(convicted, exposed, upheld, refuted)

    @cached_property
    def expected_verdicts(self) -> Verdicts:
        """What each has to expect of the lotteries of audits and of the market, (n,)."""
        watched = np.full(len(self.names), self.setting.scenario.sanctions.watch_rate)
        return self.verdicts(self.audit_probability, watched)

    def expected(self, participant: int, *, unaudited: bool = False) -> Utility:
        """Return the ledger that one participant has to expect, or would if nobody audited it."""
        verdicts = self.expected_verdicts.of(participant)
        if unaudited:
            verdicts = replace(verdicts, convicted=0.0)
        return self.settled(self.stakes_of(participant), verdicts)

    def settled(self, stakes: dict[str, Amount], verdicts: Verdicts) -> Utility:
        """Return the ledger of stakes and verdicts at the scenario's sanctions and prices."""
        scenario = self.setting.scenario
        return ledger.settle(stakes, verdicts, scenario.sanctions, scenario.prices)
