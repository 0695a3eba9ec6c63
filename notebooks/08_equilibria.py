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
# # Equilibria: who keeps whom in check?
#
# Two of eight organisations may fake their work, and the operator may audit, which costs it a
# replay of every training. Neither has a dominant strategy: where nobody cheats audits are
# wasted, and where nobody audits cheating pays. What each gets is not assumed here: every
# profile is a federation that is trained.

# %%
# %matplotlib inline
import matplotlib.pyplot as plt
import numpy as np

import fedfm_sim as fs
from fedfm_sim.games import BayesianGame, NormalFormGame, critical_discount, dynamics
from fedfm_sim.reporting import game_figures

rng = np.random.default_rng(0)

# %%
scenario = fs.load_scenario("inspection-game", ["rounds=2"])
game = fs.federation_game(scenario, seeds=range(3))
game.runs.groupby(["rule", "profile"], sort=False)[["server", "utility", "cost", "accuracy"]].mean()

# %%
found = game.solve(rng)
figure = game_figures.draw_payoffs(game.empirical, found, game.roles)
figure

# %% [markdown]
# A frame marks a best reply. There is no cell with two frames, so nobody can be at rest in
# pure strategies: the best replies go round. The one equilibrium is mixed, and it is that of
# the textbook's inspection game: audits just often enough that cheating does not pay, cheating
# just often enough that audits do not either.

# %%
(equilibrium,) = found
cheat, audit = (float(part[1]) for part in equilibrium.equilibrium.strategies)
paid, server = game.empirical.game.payoffs
by_hand = (paid[1, 0] - paid[0, 0]) / (paid[1, 0] - paid[0, 0] + paid[0, 1] - paid[1, 1])
print(f"cheating {cheat:.1%}, audits {audit:.1%}, by hand {by_hand:.1%}")
print(f"cheaters get {equilibrium.low[0]:.3f} to {equilibrium.high[0]:.3f} money per round (95 %)")
print(
    f"epsilon* of honesty without audits: {game.epsilon_star(('contribute', 'trust'), rng)} money"
)

# %% [markdown]
# ## How would they learn it?
#
# Some rules of learning come to the equilibrium, and some go round it for ever. The averages
# of fictitious play and regret matching come close; the replicator's path spirals outwards,
# and best replies overshoot.

# %%
own = game.empirical.game
start = [np.full(2, 0.5)] * 2
paths = {
    "best response": dynamics.best_response(own, start, 2000, rate=0.1),
    "replicator": dynamics.replicator(own, start, 2000, rate=2),
    "logit": dynamics.logit(own, start, 2000, precision=20 / own.scales),
    "fictitious play": dynamics.fictitious_play(own, start, 2000),
    "regret matching": dynamics.regret_matching(own, 2000),
}
game_figures.draw_trajectories(own, paths, found)

# %%
target = equilibrium.equilibrium.strategies
last = {name: float(path.distance(target)[-200:].max()) for name, path in paths.items()}
for name, distance in last.items():
    print(f"{name:16s} stays within {distance:.3f} of the equilibrium in its last 200 steps")

# %% [markdown]
# ## Who is who is not known
#
# The operator does not know who is malicious. Let a share of participants be of a kind that
# can earn something outside by cheating; the others cannot. With the payoffs above, from which
# share of malicious participants on do audits of everybody pay?

# %%
shares, audits = np.linspace(0.02, 0.98, 25), []
for share in shares:
    # Player 0 is the participant (honest or malicious), player 1 the operator (one type).
    honest = np.stack([np.stack([[paid[0, 0], paid[0, 1]], [-9.0, -9.0]]), server])
    malicious = np.stack([paid, server])
    payoffs = np.stack([honest, malicious], axis=1)[:, :, None]
    hidden = BayesianGame(np.array([[1 - share], [share]]), payoffs)
    audits.append(float(hidden.equilibria()[0].strategies[1][0][1]))
_, axes = plt.subplots(figsize=(6, 3.4))
axes.plot(shares, audits, marker="o", markersize=3)
axes.axvline(cheat, color="black", ls=":", label="share that cheats when all could")
axes.set(xlabel="share of malicious participants", ylabel="chance of an audit")
axes.legend()

# %% [markdown]
# As long as fewer are malicious than would cheat in equilibrium, auditing does not pay even if
# all of them cheat: they do, and nobody looks.
#
# ## Play that goes on
#
# Whoever loses its place in the federation when caught has more to lose than the fine. How
# patient must two participants be to keep each other honest without any audit?

# %%
dilemma = NormalFormGame.from_bimatrix([[2.0, -1.0], [3.0, 0.0]], [[2.0, 3.0], [-1.0, 0.0]])
(punishment,) = dilemma.pure_equilibria()
patience = critical_discount(dilemma, (0, 0), punishment)
print(f"honest for ever from a discount factor of {patience:.3f} on; (T - R) / (T - P) = 1 / 3")

# %%
assert abs(audit - by_hand) < 1e-9
assert max(last["fictitious play"], last["regret matching"]) < 0.1 < last["replicator"]
assert abs(patience - 1 / 3) < 1e-9
assert all(a < 1e-6 for s, a in zip(shares, audits, strict=True) if s < 0.9 * cheat)
