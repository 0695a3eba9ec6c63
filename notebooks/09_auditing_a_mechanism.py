# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Auditing a mechanism: what does it really keep?
#
# A payment rule promises things: nobody loses by taking part, nobody gains by lying, the money
# is enough. `audit` looks for the worst case of each, over populations drawn at random, and
# keeps it so that it can be looked at. A search that finds nothing proves nothing; one that
# finds something does.

# %%
# %matplotlib inline
import numpy as np
import pandas as pd

from fedfm_sim.mechanisms import MECHANISMS, Allocation, SecondPriceAuction, audit
from fedfm_sim.mechanisms.rules.sharing import PaidAfterwards, ProportionalShare
from fedfm_sim.reporting.audit_figures import draw_audit

# %% [markdown]
# ## Pay as bid, and the second price

# %%
lowest = audit("lowest-price", instances=60, parameters={"winners": 2})
draw_audit(lowest)

# %%
second = audit("second-price", instances=60, parameters={"winners": 2})
draw_audit(second)

# %% [markdown]
# Paying what is asked invites asking for more; paying the first loser's price does not. What
# the second price does not stop is a pair that agrees: one asks for more and moves the price
# of the other.

# %%
for report in (lowest, second):
    for name in ("incentive compatibility", "collusion-proofness"):
        found = report.finding(name)
        print(f"{report.name}, {name}: {found.verdict}. {found.describe()}")

# %% [markdown]
# ## Sharing a budget
#
# Shares in proportion to the work delivered cannot be raised by splitting in two, but by
# bringing the same data twice, and whoever fakes its work is paid like anybody else. Shares by
# contribution see through the faking; they pay for that with other openings.

# %%
shares = {}
for name in ("proportional", "contribution-share"):
    report = audit(name, instances=40)
    shares[name] = {
        found.name: found.worst if found.applies else np.nan for found in report.findings
    }
chosen = ["Sybil-proofness", "duplication-proofness", "no pay for free riders", "budget balance"]
pd.DataFrame(shares).loc[chosen].round(3)

# %% [markdown]
# ## Would it have been found?
#
# An audit is worth what it finds where something is wrong. Three rules with a flaw each:


# %%
class PaysOwnAsk(SecondPriceAuction):
    """Pays half-way between the price and the own ask."""

    def allocate(self, offers, announcement):
        fair = super().allocate(offers, announcement)
        return Allocation(fair.selected, (fair.promised + offers.asks * fair.selected) / 2)


class Leaks(ProportionalShare):
    """Pays a tenth more than there is."""

    def pay(self, allocation, delivery):
        return 1.1 * super().pay(allocation, delivery)


class ByHeads(PaidAfterwards):
    """A budget of 12, shared equally by all who work."""

    properties = ProportionalShare.properties

    def pay(self, allocation, delivery):
        heads = allocation.selected.astype(float)
        return 12.0 * heads / max(heads.sum(), 1.0)


planted = {
    "incentive compatibility": PaysOwnAsk(winners=2),
    "budget balance": Leaks(budget=7.0),
    "Sybil-proofness": ByHeads(),
}
caught = {}
for name, mechanism in planted.items():
    report = audit(mechanism, instances=30, properties=[name])
    caught[name] = report.finding(name)
    print(f"{type(mechanism).__name__}: {caught[name].verdict}; {caught[name].describe()}")
    assert report.replay(name) == caught[name].worst

# %% [markdown]
# ## All of them
#
# What the catalogue's mechanisms promise by theorem, beside what a short audit sees of it.

# %%
rows = {}
for name in ("posted-price", "second-price", "vcg", "reputation-auction", "lowest-price", "fmore"):
    report = audit(
        name, instances=15, properties=["individual rationality", "incentive compatibility"]
    )
    claims = MECHANISMS[name].properties
    rows[name] = {
        "rational by theorem": claims.individually_rational,
        "worst loss": report.finding("individual rationality").worst,
        "truthful by theorem": claims.truthful,
        "largest gain by lying": report.finding("incentive compatibility").worst,
    }
table = pd.DataFrame(rows).T
table

# %%
assert lowest.finding("incentive compatibility").verdict == "violated"
assert second.finding("incentive compatibility").verdict == "not violated"
assert second.finding("collusion-proofness").verdict == "violated"
assert all(found.verdict == "violated" for found in caught.values())
assert (table["largest gain by lying"][table["truthful by theorem"].astype(bool)] < 1e-6).all()
