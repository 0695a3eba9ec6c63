"""Audits are drawn, verdicts fall, and every account is settled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fedfm_sim.agents import ledger
from fedfm_sim.agents.ledger import Utility, Verdicts
from fedfm_sim.core.arrays import Array, Mask
from fedfm_sim.mechanisms.accounts import AccountBook
from fedfm_sim.mechanisms.reputation import round_evidence
from fedfm_sim.mechanisms.sanctions import draw_audits
from fedfm_sim.simulation.play import Play


@dataclass(frozen=True, eq=False)
class Settlement:
    """Who was audited and found out, and what the round was worth to each.

    A convicted participant gets no payment and pays the fine. A true report earns the
    bounty, a false one costs the fee. A participant to whom a found
    copy is traced pays a fine. Only what is asked for is measured.

    Attributes
    ----------
    play : Play
    audited : (n,) bool array
    found : (n,) bool array
        Whose copy would be found on the market, had it sold one.
    """

    play: Play
    audited: Mask
    found: Mask

    @classmethod
    def draw(cls, play: Play, rng: np.random.Generator, watch: np.random.Generator) -> Settlement:
        """Draw the audits of a round, and the copies that are found for sale."""
        count = len(play.names)
        audited = draw_audits(play.audit_probability, count, rng)
        watch_rate = play.setting.scenario.sanctions.watch_rate
        return cls(play, audited, draw_audits(watch_rate, count, watch))

    @cached_property
    def verdicts(self) -> Verdicts:
        """What was found out, (n,) each."""
        return self.play.verdicts(self.audited, self.found)

    @property
    def convicted(self) -> Mask:
        """Whom an audit convicted, (n,)."""
        return np.asarray(self.verdicts.convicted) > 0

    @property
    def exposed(self) -> Mask:
        """To whom a found copy of the model was traced, (n,)."""
        return np.asarray(self.verdicts.exposed) > 0

    @cached_property
    def utility(self) -> Utility:
        """The ledger of the round, (n,) each."""
        return self.play.settled(self.play.stakes, self.verdicts)

    @cached_property
    def payments(self) -> Array:
        """What the mechanism pays each after verdicts, money; sanctions are another thing."""
        return np.asarray(ledger.kept(self.play.payments, self.verdicts.convicted))

    @cached_property
    def going_rate(self) -> float:
        """What those who were paid got for a declared unit, money; 0 where nobody was."""
        paid = self.payments > 0
        units = float(self.play.units[paid].sum())
        return float(self.payments[paid].sum()) / units if units else 0.0

    @property
    def evidence(self) -> tuple[Array, Array]:
        """What the round tells of each: positive and negative evidence, (n,)."""
        rejected = np.zeros(len(self.audited), dtype=np.bool_)
        rejected[list(self.play.reasons)] = True
        sound = self.play.weights > 0
        return round_evidence(sound, rejected, self.audited, self.convicted, self.exposed)

    def pay(self, book: AccountBook) -> None:
        """Move the money.

        Fines come out of deposits as far as those go. Work and effort are paid to the
        outside world, which also pays for what attacks steal or break, and is paid back what
        was measured below 0: so chance earns nothing in the mean.
        """
        sanctions, utility = self.play.setting.scenario.sanctions, self.utility
        amount = {name: np.asarray(value) for name, value in utility.amounts.items()}
        fee = np.asarray(ledger.fee(self.verdicts, sanctions))
        fine = amount["fine"] - fee
        everyone = np.arange(len(self.audited))
        secured = np.minimum(book.locked, fine)
        book.transfer_many("server", everyone, amount["payment"], "payment")
        book.forfeit(everyone, secured, purpose="fine out of deposit")
        book.transfer_many(everyone, "server", fine - secured, "fine")
        book.transfer_many("server", everyone, amount["bounty"], "bounty")
        book.transfer_many(everyone, "server", fee, "false report")
        book.transfer("outside", "server", self.play.collected, "buyers")
        book.transfer_many(everyone, "outside", amount["cost"], "work and effort")
        gained, returned = np.maximum([amount["proceeds"], -amount["proceeds"]], 0.0)
        book.transfer_many("outside", everyone, gained, "proceeds of an attack")
        book.transfer_many(everyone, "outside", returned, "proceeds measured below 0")
        audits = sanctions.audit_cost * float(self.audited.sum())
        book.transfer("server", "outside", audits, "audits")


@dataclass(frozen=True, eq=False)
class Lived:
    """A settled round as one participant lives it: see `fedfm_sim.agents.world.Experience`."""

    settled: Settlement
    participant: int

    @property
    def utility(self) -> float:
        """Eq. 12, money."""
        return float(np.asarray(self.settled.utility.total)[self.participant])

    @property
    def selected(self) -> bool:
        """Whether the mechanism let it take part."""
        return bool(self.settled.play.allocation.selected[self.participant])

    @property
    def payment(self) -> float:
        """What the mechanism paid it, money."""
        return float(self.settled.payments[self.participant])

    @property
    def convicted(self) -> bool:
        """Whether an audit convicted it."""
        return bool(self.settled.convicted[self.participant])

    @property
    def going_rate(self) -> float:
        """What those who were paid got for a declared unit, money."""
        return self.settled.going_rate

    @property
    def proceeds(self) -> float:
        """What it earned outside, money."""
        return float(np.asarray(self.settled.utility["proceeds"])[self.participant])

    @property
    def leakage(self) -> float:
        """What its update gave away."""
        return self.settled.play.leakage_of(self.participant)

    @property
    def traced(self) -> bool | None:
        """Whether the copy that it sold could be traced to it."""
        sale = self.settled.play.sales.get(self.participant)
        return None if sale is None else sale.accused == self.participant

    @property
    def upheld(self) -> bool | None:
        """Whether its report was found true."""
        accused = self.settled.play.accusations.get(self.participant)
        return None if accused is None else bool(self.settled.convicted[accused])
