"""Audits are drawn, verdicts fall, and every account is settled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedfm_sim.agents.utility import Utility
from fedfm_sim.mechanisms.accounts import AccountBook
from fedfm_sim.mechanisms.sanctions import draw_audits
from fedfm_sim.simulation.play import Play

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Settlement:
    """Who was audited and convicted, and what the round was worth to each.

    Attributes
    ----------
    audited, convicted : (n,) bool arrays
    exposed : (n,) bool array
        To whom a found copy of the model was traced.
    utility : Utility
    """

    audited: Mask
    convicted: Mask
    exposed: Mask
    utility: Utility


def settle(
    play: Play, book: AccountBook, rng: np.random.Generator, watch: np.random.Generator
) -> Settlement:
    """Draw the audits of a round and the copies found on the market, and move the money.

    A convicted participant gets no payment and pays the fine, out of its
    deposit as far as that goes. A true report earns the bounty, a false one
    costs the fee. Each found copy costs whom it is traced to a fine. Work and effort
    are paid to the outside world, which also pays for what attacks steal or break.
    """
    sanctions = play.setting.scenario.sanctions
    count = len(play.names)
    audited = draw_audits(play.audit_chance, count, rng) & play.allocation.selected
    audited[list(play.accusations.values())] = True
    convicted = audited & play.guilty

    payment = np.where(convicted, 0.0, play.payments)
    fine = np.where(convicted, sanctions.fine, 0.0)
    found = draw_audits(sanctions.watch_rate, count, watch)
    exposed = np.zeros(count, dtype=bool)
    for seller, sale in play.sales.items():
        if found[seller] and sale.accused is not None:
            exposed[sale.accused] = True
            fine[sale.accused] += sanctions.theft_fine
    bounty, fee = np.zeros(count), np.zeros(count)
    for reporter, accused in play.accusations.items():
        true = convicted[accused]
        bounty[reporter] = sanctions.bounty if true else 0.0
        fee[reporter] = 0.0 if true else sanctions.false_report_fee
    cost = np.array([play.cost_of(k) for k in range(count)])
    proceeds = np.array([play.proceeds_of(k) for k in range(count)])

    everyone = np.arange(count)
    secured = np.minimum(book.locked, fine)
    book.transfer_many("server", everyone, payment, "payment")
    book.forfeit(everyone, secured, purpose="fine out of deposit")
    book.transfer_many(everyone, "server", fine - secured, "fine")
    book.transfer_many("server", everyone, bounty, "bounty")
    book.transfer_many(everyone, "server", fee, "false report")
    book.transfer("outside", "server", play.collected, "buyers")
    book.transfer_many(everyone, "outside", cost, "work and effort")
    book.transfer_many("outside", everyone, proceeds, "proceeds of an attack")
    book.transfer("server", "outside", sanctions.audit_cost * float(audited.sum()), "audits")

    utility = Utility(
        payment=payment + bounty,
        proceeds=proceeds,
        fine=fine + fee,
        cost=cost,
        reputation=play.trust,
        privacy=play.leakage,
        efficiency=play.burden,
        prices=play.setting.scenario.prices,
    )
    return Settlement(audited, convicted, exposed, utility)
