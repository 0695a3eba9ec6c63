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

# %% [markdown]
# # Attacks and defences
#
# Four of twenty participants poison a model that all twenty train. What each attack does depends on
# how the server aggregates; what looks robust against one is open to another. Every cell here is
# a federation that was trained.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import fedfm_sim as fs
from fedfm_sim.experiments.robustness import robustness
from fedfm_sim.learning.adapters import AdapterLayout, LoraSettings
from fedfm_sim.learning.low_rank import changes
from fedfm_sim.security.attacks import ATTACKS, View
from fedfm_sim.security.attacks.min_max import MinMax
from fedfm_sim.security.defences import DEFENCES

# %% [markdown]
# ## What is there
# Each attack says what it has to know, and each rule what it has to assume.

# %%
for name in ATTACKS:
    print(f"{name:18} after {ATTACKS[name].goal:12} knows {ATTACKS[name].knowledge}")

# %%
for name in DEFENCES:
    print(f"{name:18} assumes {DEFENCES[name].knowledge}")

# %% [markdown]
# ## A table
# Two attacks and nobody attacking, against five rules, for two rounds. All cells train in one
# batch.

# %%
scenario = fs.load_scenario("poisoning-vs-defences", overrides=["rounds=2"])
attacks = {
    "none": ["contribute"],
    "sign-flip": ["sign-flip"],
    "sybil backdoor": ["backdoor", "sybil", "sybil", "sybil"],
}
rules = {name: {"name": name} for name in ("fedavg", "median", "foolsgold")}
rules["krum"] = {"name": "krum", "attackers": 4}
rules["multi-krum"] = {"name": "multi-krum", "attackers": 4}
cells = robustness(scenario, attacks, rules, seed=0)

# %%
figure, panels = plt.subplots(1, 2, figsize=(10, 3.2), sharey=True, layout="constrained")
for axes, measure in zip(panels, ["accuracy", "attack_success"], strict=True):
    table = cells.pivot_table(index="attack", columns="defence", values=measure, sort=False)
    image = axes.imshow(table, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        colour = "black" if value > 0.55 else "white"
        axes.text(column, row, f"{100 * value:.0f}", ha="center", va="center", color=colour)
    axes.set_xticks(range(table.shape[1]), table.columns, rotation=40, ha="right")
    axes.set_yticks(range(table.shape[0]), table.index)
    axes.set_title(measure.replace("_", " ") + ", %")

# %% [markdown]
# FoolsGold takes honest participants that agree for sybils, so it weighs up whoever is alone, an
# attacker too; against real sybils nothing does better. Krum takes one update of twenty and
# learns slowly even when nobody attacks. Which rule is best depends on the attack, and that is
# a game: see `fedfm-sim run poisoning-vs-defences`.
#
# ## Who stands out
# Suspicion is each rule's own measure. It ranks attackers first (area 1) where they are far from
# the others, and last where they sit in the middle of them, as Min-Max does.

# %%
small = fs.load_scenario("poisoning-vs-defences", overrides=["rounds=1"])
areas = robustness(
    small,
    {"backdoor": ["backdoor"], "min-max": ["min-max"], "free-ride": ["free-ride"]},
    {name: rules[name] for name in ("fedavg", "krum")},
    seed=0,
)
print(areas.pivot_table(index="attack", columns="defence", values="detection_auc").round(2))

# %% [markdown]
# ## An attack by hand
# Min-Max moves as far from the mean as the honest are apart, and not an inch further. Here are
# five honest changes of two weights, and what it sends.

# %%
names = ["base_model.model.m.lora_A.weight", "base_model.model.m.lora_B.weight"]
shapes = dict(zip(names, [(1, 1), (2, 1)], strict=True))
layout = AdapterLayout(("m",), shapes, LoraSettings(rank=1, alpha=1.0))
points = torch.from_numpy(np.random.default_rng(1).normal([2, 1], size=(5, 2))).float()
honest = torch.cat([torch.ones(5, 1), points], dim=1)
start = torch.tensor([1.0, 0.0, 0.0])
attack = MinMax(direction="mean")
sent = attack.corrupt(start, View(start, layout, honest, 1), np.random.default_rng(0))
moved = changes(layout, sent[None], start)[0]
figure, axes = plt.subplots(figsize=(4.5, 4), layout="constrained")
axes.scatter(points[:, 0], points[:, 1], label="honest")
axes.scatter(*points.mean(0), marker="+", s=120, label="their mean")
axes.scatter(*moved, marker="x", s=90, color="#D55E00", label="Min-Max")
axes.set_aspect("equal")
axes.legend()

# %%
farthest = (points.double() - moved).norm(dim=1).max()
apart = torch.cdist(points, points).max()
assert abs(float(farthest) - float(apart)) < 1e-3
