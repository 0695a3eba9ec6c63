"""The economics of a federation: who is paid what, for which contribution.

Everything here is a pure function or a small model over numpy arrays, and knows
nothing of training: a payment mechanism sees costs, offers and a coalition
game; it never sees an update. Money and value are in one unit throughout.

- `contribution`: what each participant adds to the coalition game of a round.
- `stackelberg`, `auctions`, `sharing`: the payment mechanisms, each a subclass
  of `Mechanism` and a line in `MECHANISMS`.
- `reputation`: trust from evidence. `audit`: what cheating must cost.
- `accounts`: where every unit of money went.
"""

from __future__ import annotations

from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.core.registry import Registry
from fedfm_sim.mechanisms.accounts import AccountBook
from fedfm_sim.mechanisms.auctions.reputation import (
    AuctionResult,
    ReputationAuction,
    reputation_auction,
)
from fedfm_sim.mechanisms.audit import Sanctions, deterrence_rate, draw_audits, expected_fine
from fedfm_sim.mechanisms.contribution import SCHEMES, Contribution, evaluate
from fedfm_sim.mechanisms.contribution.least_core import LeastCore, least_core
from fedfm_sim.mechanisms.protocol import (
    Allocation,
    Announcement,
    Delivery,
    Market,
    Mechanism,
    Offers,
    Properties,
)
from fedfm_sim.mechanisms.reputation import Opinion, Reputation, consensus, opinion
from fedfm_sim.mechanisms.sharing import ContributionShare, proportional_shares
from fedfm_sim.mechanisms.stackelberg import (
    PostedPrice,
    PostedPriceEquilibrium,
    best_response,
    posted_price,
    saturating_valuation,
)

#: The payment mechanisms by name.
MECHANISMS: Registry[type[Mechanism]] = Registry(
    "mechanism",
    "fedfm_sim.mechanisms",
    {
        "posted-price": "fedfm_sim.mechanisms.stackelberg:PostedPrice",
        "reputation-auction": "fedfm_sim.mechanisms.auctions.reputation:ReputationAuction",
        "contribution-share": "fedfm_sim.mechanisms.sharing:ContributionShare",
    },
)

__all__ = [
    "MECHANISMS",
    "SCHEMES",
    "AccountBook",
    "Allocation",
    "Announcement",
    "AuctionResult",
    "CoalitionGame",
    "Contribution",
    "ContributionShare",
    "Delivery",
    "LeastCore",
    "Market",
    "Mechanism",
    "Offers",
    "Opinion",
    "PostedPrice",
    "PostedPriceEquilibrium",
    "Properties",
    "Reputation",
    "ReputationAuction",
    "Sanctions",
    "best_response",
    "consensus",
    "deterrence_rate",
    "draw_audits",
    "evaluate",
    "expected_fine",
    "least_core",
    "opinion",
    "posted_price",
    "proportional_shares",
    "reputation_auction",
    "saturating_valuation",
]
