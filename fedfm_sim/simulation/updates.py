"""The updates of one round: every (participant, action) asked for, trained in one batch."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from fedfm_sim.core.action import Action
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.trainer import Adjust
from fedfm_sim.security.attacks import Attack, View
from fedfm_sim.security.privacy.leakage import Observation
from fedfm_sim.security.privacy.noise import add_noise
from fedfm_sim.security.watermarks import without_marks
from fedfm_sim.security.watermarks.removal import Thief
from fedfm_sim.security.watermarks.triggers import with_triggers
from fedfm_sim.simulation.setting import Setting

#: Participant, share of its data, and the attack on it: what local training depends on.
Key = tuple[int, float, str]

#: Adapters that train in one batch; more gains no time and costs memory.
ROWS_AT_ONCE = 128


@dataclass(frozen=True)
class Sale:
    """What a sold copy of the model earns, and to whom it is traced if it is found."""

    money: float
    accused: int | None


class RoundUpdates:
    """Uploads of a round by participant and action, each computed once.

    An upload depends on the round, the participant and what it does to data and
    update, not on what others do: deviations and audits ask for what was not
    played, with the same random draws (common random numbers).
    """

    def __init__(self, setting: Setting, number: int) -> None:
        self.setting = setting
        self.number = number
        self.reference = setting.federation.adapter
        self._trained: dict[Key, Tensor] = {}
        self._leakage: dict[tuple[int, bytes], float] = {}
        self._sales: dict[tuple[int, str], Sale] = {}

    def prepare(self, wanted: Iterable[tuple[int, str]]) -> None:
        """Train for all (participant, action name) that are not there yet, in one batch."""
        prepare_together([(self, wanted)])

    def missing(self, wanted: Iterable[tuple[int, str]]) -> dict[Key, Examples]:
        """Return what still has to be trained on what."""
        missing: dict[Key, Examples] = {}
        for participant, name in wanted:
            key = self._key(participant, name)
            if key not in self._trained and key not in missing:
                missing[key] = self.data_of(participant, name)
        return missing

    def keep(self, key: Key, adapter: Tensor) -> None:
        """Take note of what a training comes to, without the marks of the copy."""
        self._trained[key] = adapter

    @cached_property
    def copies(self) -> Tensor:
        """What each participant is sent of the global adapter (n, P), marked if marks are."""
        return self.setting.watermark.copies(self.reference, self.number)

    def sale(self, participant: int, name: str) -> Sale:
        """Return what selling the participant's copy earns, washed as the action says."""
        if (participant, name) not in self._sales:
            setting, federation = self.setting, self.setting.federation
            rng = self._generator("wash", participant)
            thief = Thief(federation, setting.holdings.shard_at(participant, self.number), rng)
            sold = setting.removals[name].wash(self.copies[participant], thief)
            evaluator = setting.evaluator
            ahead = float(evaluator.accuracies(sold[None])[0]) - evaluator.base_accuracy
            trace = setting.watermark.trace(sold)
            accused = None if trace is None else trace.accused
            money = setting.scenario.prices.model * max(0.0, ahead)
            self._sales[participant, name] = Sale(money, accused)
        return self._sales[participant, name]

    @cached_property
    def server(self) -> Tensor | None:
        """What the server's own training on its validation data gives (P,), if the rule asks.

        It works as much as a participant does, as lengths of updates are compared.
        """
        setting = self.setting
        if not setting.defence.needs_server_update:
            return None
        rng = setting.streams.generator("server", self.number)
        size, validation = int(np.median(setting.holdings.sizes)), setting.holdings.validation
        root = validation.select(rng.permutation(len(validation))[:size])
        return setting.federation.train([root], [rng]).adapters[0]

    def view(self, honest: Tensor, attackers: int) -> View:
        """Return what attackers can see of the round: what (m, P) the honest send, and so on."""
        federation = self.setting.federation
        return View(
            self.reference,
            federation.layout,
            honest,
            attackers,
            previous=federation.previous,
            number=self.number,
        )

    def upload(self, participant: int, name: str, seen: View | None = None) -> Tensor:
        """Return the adapter (P,) that the participant sends when it takes the action.

        Of what is ``seen``, an attack gets the others' updates only if it says that it
        needs them.
        """
        self.prepare([(participant, name)])
        row = self._trained[self._key(participant, name)]
        action = self._action(name)
        if (attack := self.setting.attacks.get(name)) is not None:
            view = seen or self.view(torch.empty(0, 0), 1)
            if not attack.sees_others:
                view = replace(view, others=torch.empty(0, 0))
            row = attack.corrupt(row, view, self._generator("attack", participant))
        if attack is not None:
            return row
        return self._protected(row, action, participant)

    def _protected(self, row: Tensor, action: Action, participant: int) -> Tensor:
        """Return what is sent of an honest update: under own noise, and as the protocol says."""
        if action.noise:
            rng = self._generator("noise", participant)
            row = add_noise(row, self.reference, action.noise, rng)
        rng = self._generator("protection", participant)
        return self.setting.protection.protect(row, self.reference, rng)

    def worked(self, participant: int, name: str) -> float:
        """Return the units of work really done (samples x epochs)."""
        shard = self.data_of(participant, name)
        return float(len(shard) * self.setting.scenario.training.epochs)

    def evidence(self, participant: int, name: str, sent: Tensor) -> float:
        """Return what a replay audit of the upload ``sent`` (P,) finds: how far from declared.

        ``|dW - dW'| / |dW'|`` on effective weights, dW' being the update that
        the declared action gives when trained again on the true data.
        """
        if self.setting.attacks.get(name) is None:
            return 0.0
        action, setting = self._action(name), self.setting
        self._prepare_declared(participant, action)
        declared = self._trained[(participant, action.share, "")]
        declared = self._protected(declared, action, participant)
        both = torch.stack([sent, declared])
        if not torch.isfinite(both).all():
            return float("inf")
        gram = setting.federation.layout.change_gram(both, self.reference).numpy()
        squared = gram[0, 0] - 2 * gram[0, 1] + gram[1, 1]
        return float(np.sqrt(max(squared, 0.0) / max(gram[1, 1], 1e-30)))

    def leakage(self, participant: int, name: str, sent: Tensor) -> float:
        """Return what ``sent`` (P,) gives away, by the scenario's measure.

        Members are the participant's own examples, others are test examples of the
        same domain and labelled alike. One who stays out reveals nothing.
        """
        return self.leakages([(participant, name, sent)])[0]

    def leakages(self, asked: Sequence[tuple[int, str, Tensor]]) -> list[float]:
        """Return `leakage` of several participants, actions and uploads, in one pass."""
        # Actions that send the same (report, snoop, overbid) are attacked once.
        keys = [(k, blake2b(sent.numpy().tobytes()).digest()) for k, _, sent in asked]
        missing = {
            key: self._observation(k, sent)
            for key, (k, name, sent) in zip(keys, asked, strict=True)
            if key not in self._leakage and self._action(name).share
        }
        if missing:
            found = self.setting.leakage.leakages(list(missing.values()))
            self._leakage |= zip(missing, found, strict=True)
        return [
            self._leakage[key] if self._action(name).share else 0.0
            for key, (_, name, _) in zip(keys, asked, strict=True)
        ]

    def _observation(self, participant: int, sent: Tensor) -> Observation:
        holdings = self.setting.holdings
        return Observation(
            self.setting.federation,
            self.reference,
            sent,
            holdings.shard_at(participant, self.number),
            holdings.others_at(participant, self.number),
            holdings.shadow(participant),
            self._generator("membership", participant),
        )

    def _prepare_declared(self, participant: int, action: Action) -> None:
        key = (participant, action.share, "")
        if key not in self._trained:
            shard = self._take(participant, action.share)
            _train_block([((id(self.reference), key), (shard, [self]))])

    def _action(self, name: str) -> Action:
        return self.setting.scenario.action_table[name]

    def _key(self, participant: int, name: str) -> Key:
        """Return what local training depends on."""
        attack = self.setting.attacks.get(name)
        action = self._action(name)
        if attack is None or (attack.trains and type(attack).poison is Attack.poison):
            return participant, action.share, ""
        return participant, action.share, name if attack.trains else "untrained"

    def _take(self, participant: int, share: float) -> Examples:
        shard = self.setting.holdings.shard_at(participant, self.number)
        taken = shard.select(slice(0, int(np.ceil(share * len(shard)))))
        own = self.setting.watermark.own_triggers(participant)
        return taken if own is None else with_triggers(taken, own)

    def data_of(self, participant: int, name: str) -> Examples:
        """Return what the participant trains on when it takes the action, poison included."""
        attack = self.setting.attacks.get(name)
        if attack is None:
            return self._take(participant, self._action(name).share)
        if not attack.trains:
            return self._take(participant, 0.0)
        shard = self._take(participant, self._action(name).share)
        rng = self._generator("poison", participant)
        return attack.poison(shard, self.setting.holdings.data.classes, rng)

    def _generator(self, purpose: str, participant: int) -> np.random.Generator:
        return self.setting.streams.generator(purpose, self.number, participant)


def adjusted(setting: Setting, number: int, participants: Sequence[int]) -> Adjust | None:
    """Return what the watermark adds to the gradients of rows of these participants."""
    own, owners = setting.watermark.adjust(number), np.array(participants, dtype=np.int64)
    if own is None:
        return None

    def adjust(rows: Tensor, gradients: Tensor, members: npt.NDArray[np.int64]) -> None:
        own(rows, gradients, owners[members])

    return adjust


def prepare_together(jobs: Sequence[tuple[RoundUpdates, Iterable[tuple[int, str]]]]) -> None:
    """Train what several worlds of one federation want in one batch.

    The worlds, such as the cells of a table of attacks and defences, share backbone, data
    and streams; each has its own global adapter. Where two start from the same one, what
    both want is trained once. Those that prescribe another local training go apart.
    """
    groups: dict[Hashable, dict[tuple[int, Key], tuple[Examples, list[RoundUpdates]]]] = {}
    for updates, wanted in jobs:
        group = groups.setdefault(_training(updates.setting), {})
        for key, shard in updates.missing(wanted).items():
            group.setdefault((id(updates.reference), key), (shard, []))[1].append(updates)
    for group in groups.values():
        todo = list(group.items())
        for start in range(0, len(todo), ROWS_AT_ONCE):
            _train_block(todo[start : start + ROWS_AT_ONCE])


def _training(setting: Setting) -> Hashable:
    """Return what two worlds must have in common for their trainings to be the same."""
    scenario = setting.scenario
    return setting.federation.settings, str(scenario.watermark), str(scenario.actions)


def _train_block(
    todo: Sequence[tuple[tuple[int, Key], tuple[Examples, list[RoundUpdates]]]],
) -> None:
    first = todo[0][1][1][0]
    copies = torch.stack([owners[0].copies[key[0]] for (_, key), (_, owners) in todo])
    trained = first.setting.federation.train(
        [shard for _, (shard, _) in todo],
        [first.setting.streams.generator("train", first.number, key[0]) for (_, key), _ in todo],
        copies,
        adjust=adjusted(first.setting, first.number, [key[0] for (_, key), _ in todo]),
    )
    for row, copy, ((_, key), (_, owners)) in zip(trained.adapters, copies, todo, strict=True):
        sent = without_marks(row, copy, owners[0].reference)
        for updates in owners:
            updates.keep(key, sent)
