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
# # Who contributed what?
#
# A coalition game says what every group of participants is worth. A contribution scheme turns it
# into one number each. This notebook starts with a game whose answers are in every textbook, then
# values a real federation in which some labels were spoilt on purpose.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import fedfm_sim as fs
from fedfm_sim.mechanisms import TEXTBOOK_GAMES, CoalitionGame, evaluate, least_core
from fedfm_sim.mechanisms.contribution import SCHEMES

# %% [markdown]
# ## One left glove, two right gloves
# Only pairs are worth anything. The Shapley value pays the right gloves a little, since each is
# sometimes the one that completes a pair. The core pays them nothing: they undercut each other.

# %%
glove = CoalitionGame.from_dict(3, {(0, 1): 1, (0, 2): 1, (0, 1, 2): 1})
schemes = ["individual", "leave-one-out", "shapley", "banzhaf", "beta", "least-core", "nucleolus"]
table = pd.DataFrame({name: evaluate(glove, name).values for name in schemes}).T
table.columns = ["left", "right", "right"]
table.round(3)

# %% [markdown]
# Each scheme names the axioms that hold of what it returns. No scheme has them all and is stable:
# the Shapley value is the only one with all four, and it need not lie in the core.

# %%
pd.Series({name: ", ".join(SCHEMES[name].axioms) for name in schemes})

# %%
len(TEXTBOOK_GAMES), sorted(TEXTBOOK_GAMES)[:8]

# %% [markdown]
# ## Estimating it
# Ten players have 1,024 coalitions, and each would be a federated training. Sampled schemes get
# near with a budget, and say how far they may be off.

# %%
rng = np.random.default_rng(0)
worth = rng.uniform(0.05, 0.6, 10)
members = (np.arange(1024)[:, None] >> np.arange(10)) & 1
saturating = CoalitionGame.from_table(1 - np.exp(-members @ worth))
exact = evaluate(saturating, "shapley").values
errors = {
    (name, budget): np.linalg.norm(
        evaluate(saturating, name, budget=budget, rng=np.random.default_rng(1)).values - exact
    )
    / np.linalg.norm(exact)
    for name in ("permutation", "gtg", "stratified", "kernel-shap")
    for budget in (100, 200, 400)
}
pd.Series(errors).unstack().round(3)

# %%
found = evaluate(saturating, "permutation", budget=200, rng=np.random.default_rng(1))
plt.errorbar(
    range(10), found.values, yerr=found.intervals()[1] - found.values, fmt="o", label="sampled"
)
plt.plot(range(10), exact, "k_", ms=14, label="exact")
plt.xlabel("player")
plt.ylabel("Shapley value")
plt.legend()
plt.show()

# %% [markdown]
# ## A real federation with spoilt labels
# Participants 2 and 5 hold wrong labels: a third, and most of them. Every round's coalition game
# is reconstructed from the updates that were really sent.

# %%
spoilt = [
    "rounds=4",
    "participants.count=6",
    "data.label_noise=[0.0, 0.0, 0.35, 0.0, 0.0, 0.9]",
    'data.domains=["rotated"]',
    "contribution.every=1",
    'contribution.schemes=["shapley", "least-core", "leave-one-out", "gtg"]',
    "contribution.budget=40",
    "deviations.rounds=0",
]
run = fs.run("honest-only", seed=3, overrides=spoilt)
columns = ["shapley", "least_core", "leave_one_out", "gtg"]
contributions = run.participants.groupby("participant")[columns].mean()
contributions.round(4)

# %%
run.plot("contributions")
plt.show()

# %% [markdown]
# ## What is the coalition worth, though?
# The same updates, valued by other utilities: data size can't see quality, influence can.

# %%
by_utility = {
    measure: fs.run(
        "honest-only",
        seed=3,
        overrides=[*spoilt, "rounds=1", f"contribution.measure={measure}"],
    ).participants["shapley"]
    for measure in ("likelihood", "data-size", "similarity", "influence")
}
pd.DataFrame(by_utility).round(3)

# %%
assert np.allclose(table.loc["shapley"], [2 / 3, 1 / 6, 1 / 6])
assert np.allclose(table.loc["nucleolus"], [1, 0, 0])
assert abs(least_core(glove).excess) < 1e-9
assert errors["kernel-shap", 400] < errors["permutation", 100]
assert contributions["shapley"].idxmin() == 5
assert by_utility["influence"].idxmin() == 5
