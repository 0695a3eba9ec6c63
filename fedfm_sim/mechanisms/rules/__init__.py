"""The payment rules: what a scenario can name as its mechanism.

- `posted_price`, `contracts`: what work is paid is announced before it is done.
- `auctions`: participants ask, and the rule chooses.
- `sharing`, `revenue`, `yardstick`, `fli`: what was delivered is paid for afterwards.

Each is a subclass of `Mechanism` in one file, and one line in `MECHANISMS`.
"""

from __future__ import annotations

from fedfm_sim.core.registry import Registry
from fedfm_sim.mechanisms.protocol import Mechanism

_HERE = "fedfm_sim.mechanisms.rules"

#: The payment mechanisms by name.
MECHANISMS: Registry[type[Mechanism]] = Registry(
    "mechanism",
    "fedfm_sim.mechanisms",
    {
        "posted-price": f"{_HERE}.posted_price:PostedPrice",
        "reputation-auction": f"{_HERE}.auctions.reputation:ReputationAuction",
        "lowest-price": f"{_HERE}.auctions.lowest_price:LowestPriceAuction",
        "second-price": f"{_HERE}.auctions.second_price:SecondPriceAuction",
        "vcg": f"{_HERE}.auctions.vcg:VCGAuction",
        "budget-feasible": f"{_HERE}.auctions.budget_feasible:BudgetFeasibleAuction",
        "fmore": f"{_HERE}.auctions.fmore:FMoreAuction",
        "forward": f"{_HERE}.auctions.forward:ForwardAuction",
        "mcafee": f"{_HERE}.auctions.mcafee:McAfeeAuction",
        "strongly-budget-balanced": (
            f"{_HERE}.auctions.strongly_budget_balanced:StronglyBudgetBalancedAuction"
        ),
        "vcg-double": f"{_HERE}.auctions.vcg_double:VCGDoubleAuction",
        "combinatorial": f"{_HERE}.auctions.combinatorial:CombinatorialAuction",
        "core-selecting": f"{_HERE}.auctions.core_selecting:CoreSelectingAuction",
        "myerson": f"{_HERE}.auctions.myerson:MyersonAuction",
        "contest": f"{_HERE}.sharing:ProportionalShare",
        "yardstick": f"{_HERE}.yardstick:Yardstick",
        "contract-menu": f"{_HERE}.contracts:ContractMenuMechanism",
        "fli": f"{_HERE}.fli:FairInstalments",
        "revenue-sharing": f"{_HERE}.revenue:RevenueSharing",
        "proportional": f"{_HERE}.sharing:ProportionalShare",
        "contribution-share": f"{_HERE}.sharing:ContributionShare",
    },
    base="fedfm_sim.mechanisms.protocol:Mechanism",
)
