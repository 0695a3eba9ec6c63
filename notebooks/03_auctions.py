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
# # Buying work at auction
#
# The server needs training done and does not know what it costs anybody. It asks. Whether the
# answers are honest depends on the rule, and that can be checked: let one bidder lie, and see.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import fedfm_sim as fs
from fedfm_sim.experiments.compare import compare
from fedfm_sim.mechanisms import MECHANISMS

# %% [markdown]
# ## Two rules, one population
# Five bidders, two are needed. Paying winners what they ask invites asking more; paying everybody
# the first losing ask does not.

# %%
costs = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
lies = np.linspace(0.2, 6, 59)


def profit(auction, ask):
    asks = costs.copy()
    asks[0] = ask
    result = auction(asks, 2)
    return result.payments[0] - costs[0] * result.selected[0]


profits = {
    name: np.array([profit(auction, lie) for lie in lies])
    for name, auction in (
        ("lowest price (pay as bid)", fs.mechanisms.lowest_price),
        ("second price", fs.mechanisms.second_price),
    )
}
for name, values in profits.items():
    plt.plot(lies, values, label=name)
plt.axvline(costs[0], color="grey", lw=0.8, ls=":")
plt.xlabel("what bidder 0 asks (its cost is 1)")
plt.ylabel("its profit, money")
plt.legend()
plt.show()

# %% [markdown]
# ## What every rule promises
# By theorem, under assumptions that each one states.

# %%
pd.DataFrame(
    {
        name: {
            "IR": MECHANISMS[name].properties.individually_rational,
            "IC": MECHANISMS[name].properties.truthful,
            "budget": MECHANISMS[name].properties.within_budget,
            "who knows what": MECHANISMS[name].properties.knows,
        }
        for name in MECHANISMS
    }
).T

# %% [markdown]
# ## A double auction, and what it costs to be truthful
# McAfee's rule gives up one trade when it must, so that nobody sets their own price.

# %%
full = fs.mechanisms.mcafee([17, 14, 13, 9, 6], [1, 4, 5, 8, 11])
reduced = fs.mechanisms.mcafee([9, 8], [3, 4])
(full.trades, full.buyer_price), (reduced.trades, reduced.buyer_price, reduced.seller_price)

# %% [markdown]
# ## The same in a federation
# Ten organisations with real costs, data and leakage. Everybody asks its full cost, privacy
# included. epsilon* is the most that any of them could have gained by asking otherwise; it is not
# quite 0 even for truthful rules, because nobody knows beforehand how much a round will leak.

# %%
auctions = ["lowest-price", "second-price", "reputation-auction", "mcafee"]
result = compare("auction-house", {"mechanism": auctions}, overrides=["rounds=3"])
result.table.round(3)

# %%
result.plot()
plt.show()

# %%
best = {name: lies[values.argmax()] for name, values in profits.items()}
assert best["lowest price (pay as bid)"] > costs[0] + 1
assert profits["second price"].max() == profit(fs.mechanisms.second_price, costs[0])
assert (full.trades, full.buyer_price) == (4, 8.5)
assert (reduced.trades, reduced.buyer_price, reduced.seller_price) == (1, 8, 4)
paid = result.table["payments"]
assert paid["lowest-price"] < paid["second-price"]
assert result.table["epsilon_star"]["second-price"] < result.table["epsilon_star"]["lowest-price"]
