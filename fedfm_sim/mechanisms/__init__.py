"""The economics of a federation: who is paid what, for which contribution.

Everything here is a pure function or a small model over numpy arrays, and knows
nothing of training: a payment mechanism sees costs, offers and a coalition
game; it never sees an update. Money and value are in one unit throughout.

- `protocol`: what a payment mechanism is. `rules`: those that a scenario can name.
- `contribution`: what each participant adds to the coalition game of a round.
- `theory`: results that no scenario pays by: equilibria, and what deters.
- `auditing`: what a mechanism really keeps.
- `accounts`: where every unit of money went. `reputation`: trust from evidence.
  `sanctions`: audits and fines.
"""

from __future__ import annotations

from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.mechanisms.accounts import AccountBook
from fedfm_sim.mechanisms.auditing import AuditReport, Population, audit
from fedfm_sim.mechanisms.contribution import SCHEMES, Contribution, evaluate
from fedfm_sim.mechanisms.contribution.core import excesses, in_core, is_convex, is_superadditive
from fedfm_sim.mechanisms.contribution.cosine_gradient import CosineGradient, cosine_gradient
from fedfm_sim.mechanisms.contribution.interaction import AccuracyModel, accuracy_model
from fedfm_sim.mechanisms.contribution.least_core import LeastCore, least_core
from fedfm_sim.mechanisms.contribution.loss import contribution_loss, rank_correlation
from fedfm_sim.mechanisms.contribution.monte_carlo_least_core import (
    MonteCarloLeastCore,
    monte_carlo_least_core,
)
from fedfm_sim.mechanisms.contribution.nucleolus import Nucleolus, nucleolus, prenucleolus
from fedfm_sim.mechanisms.contribution.reconstruction import contribution_index, multi_round
from fedfm_sim.mechanisms.contribution.shapley import shapley_values, weighted_voting_shapley
from fedfm_sim.mechanisms.protocol import (
    Allocation,
    Announcement,
    Delivery,
    Market,
    Mechanism,
    Offers,
    Properties,
)
from fedfm_sim.mechanisms.reputation import Opinion, Reputation, beta_reputation, consensus, opinion
from fedfm_sim.mechanisms.rules import MECHANISMS
from fedfm_sim.mechanisms.rules.auctions.beliefs import Belief, ContinuousBelief, DiscreteBelief
from fedfm_sim.mechanisms.rules.auctions.bids import ReverseResult, UniformPriceResult
from fedfm_sim.mechanisms.rules.auctions.budget_feasible import (
    BudgetFeasibleAuction,
    budget_feasible,
)
from fedfm_sim.mechanisms.rules.auctions.combinatorial import (
    BundleResult,
    CombinatorialAuction,
    combinatorial,
)
from fedfm_sim.mechanisms.rules.auctions.core_selecting import CoreSelectingAuction, core_selecting
from fedfm_sim.mechanisms.rules.auctions.double import DoubleAuctionResult
from fedfm_sim.mechanisms.rules.auctions.fmore import (
    EquilibriumBid,
    FMoreAuction,
    ScoringResult,
    equilibrium_bid,
    fmore,
)
from fedfm_sim.mechanisms.rules.auctions.forward import ForwardAuction, ForwardResult, forward
from fedfm_sim.mechanisms.rules.auctions.lowest_price import LowestPriceAuction, lowest_price
from fedfm_sim.mechanisms.rules.auctions.mcafee import McAfeeAuction, mcafee
from fedfm_sim.mechanisms.rules.auctions.myerson import (
    MyersonAuction,
    OptimalAuctionResult,
    myerson,
    myerson_procurement,
    optimal_revenue,
    reserve_price,
)
from fedfm_sim.mechanisms.rules.auctions.reputation import (
    AuctionResult,
    ReputationAuction,
    reputation_auction,
)
from fedfm_sim.mechanisms.rules.auctions.second_price import SecondPriceAuction, second_price
from fedfm_sim.mechanisms.rules.auctions.strongly_budget_balanced import (
    StronglyBudgetBalancedAuction,
    strongly_budget_balanced,
)
from fedfm_sim.mechanisms.rules.auctions.vcg import VCGAuction, VCGResult, vcg
from fedfm_sim.mechanisms.rules.auctions.vcg_double import VCGDoubleAuction, vcg_double
from fedfm_sim.mechanisms.rules.contracts import (
    ContractMenu,
    ContractMenuMechanism,
    contract_menu,
    full_menu,
)
from fedfm_sim.mechanisms.rules.fli import FairInstalments, Queues, instalments
from fedfm_sim.mechanisms.rules.posted_price import (
    PostedPrice,
    PostedPriceEquilibrium,
    best_response,
    posted_price,
    saturating_valuation,
)
from fedfm_sim.mechanisms.rules.revenue import RevenueSharing
from fedfm_sim.mechanisms.rules.sharing import (
    ContributionShare,
    ProportionalShare,
    proportional_shares,
)
from fedfm_sim.mechanisms.rules.yardstick import (
    Yardstick,
    YardstickTerms,
    yardstick_rewards,
    yardstick_terms,
)
from fedfm_sim.mechanisms.sanctions import Sanctions, draw_audits
from fedfm_sim.mechanisms.theory.contest import ContestEquilibrium, best_prize, contest
from fedfm_sim.mechanisms.theory.delay import (
    DelayEquilibrium,
    best_round,
    cheapest_delay,
    delay_response,
    fastest_round,
)
from fedfm_sim.mechanisms.theory.deterrence import Deterrent, Temptations, cheapest_deterrent
from fedfm_sim.mechanisms.theory.leader import (
    BestResponses,
    LeaderSolution,
    best_responses,
    solve_leader,
)
from fedfm_sim.mechanisms.theory.privacy_price import privacy_price, privacy_response
from fedfm_sim.mechanisms.theory.textbook import TEXTBOOK_GAMES, TextbookGame
from fedfm_sim.mechanisms.theory.thresholds import (
    deterrence_rate,
    deterring_discount,
    deterring_fine,
    exclusion_deters,
    expected_fine,
)

__all__ = [
    "MECHANISMS",
    "SCHEMES",
    "TEXTBOOK_GAMES",
    "AccountBook",
    "AccuracyModel",
    "Allocation",
    "Announcement",
    "AuctionResult",
    "AuditReport",
    "Belief",
    "BestResponses",
    "BudgetFeasibleAuction",
    "BundleResult",
    "CoalitionGame",
    "CombinatorialAuction",
    "ContestEquilibrium",
    "ContinuousBelief",
    "ContractMenu",
    "ContractMenuMechanism",
    "Contribution",
    "ContributionShare",
    "CoreSelectingAuction",
    "CosineGradient",
    "DelayEquilibrium",
    "Delivery",
    "Deterrent",
    "DiscreteBelief",
    "DoubleAuctionResult",
    "EquilibriumBid",
    "FMoreAuction",
    "FairInstalments",
    "ForwardAuction",
    "ForwardResult",
    "LeaderSolution",
    "LeastCore",
    "LowestPriceAuction",
    "Market",
    "McAfeeAuction",
    "Mechanism",
    "MonteCarloLeastCore",
    "MyersonAuction",
    "Nucleolus",
    "Offers",
    "Opinion",
    "OptimalAuctionResult",
    "Population",
    "PostedPrice",
    "PostedPriceEquilibrium",
    "Properties",
    "ProportionalShare",
    "Queues",
    "Reputation",
    "ReputationAuction",
    "RevenueSharing",
    "ReverseResult",
    "Sanctions",
    "ScoringResult",
    "SecondPriceAuction",
    "StronglyBudgetBalancedAuction",
    "Temptations",
    "TextbookGame",
    "UniformPriceResult",
    "VCGAuction",
    "VCGDoubleAuction",
    "VCGResult",
    "Yardstick",
    "YardstickTerms",
    "accuracy_model",
    "audit",
    "best_prize",
    "best_response",
    "best_responses",
    "best_round",
    "beta_reputation",
    "budget_feasible",
    "cheapest_delay",
    "cheapest_deterrent",
    "combinatorial",
    "consensus",
    "contest",
    "contract_menu",
    "contribution_index",
    "contribution_loss",
    "core_selecting",
    "cosine_gradient",
    "delay_response",
    "deterrence_rate",
    "deterring_discount",
    "deterring_fine",
    "draw_audits",
    "equilibrium_bid",
    "evaluate",
    "excesses",
    "exclusion_deters",
    "expected_fine",
    "fastest_round",
    "fmore",
    "forward",
    "full_menu",
    "in_core",
    "instalments",
    "is_convex",
    "is_superadditive",
    "least_core",
    "lowest_price",
    "mcafee",
    "monte_carlo_least_core",
    "multi_round",
    "myerson",
    "myerson_procurement",
    "nucleolus",
    "opinion",
    "optimal_revenue",
    "posted_price",
    "prenucleolus",
    "privacy_price",
    "privacy_response",
    "proportional_shares",
    "rank_correlation",
    "reputation_auction",
    "reserve_price",
    "saturating_valuation",
    "second_price",
    "shapley_values",
    "solve_leader",
    "strongly_budget_balanced",
    "vcg",
    "vcg_double",
    "weighted_voting_shapley",
    "yardstick_rewards",
    "yardstick_terms",
]
