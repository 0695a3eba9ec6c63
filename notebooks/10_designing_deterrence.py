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
# # Designing deterrence: what does honesty cost?
#
# Some participants could plant a backdoor that is worth much to them. An audit replays a
# participant's training, and tells; whoever is caught loses its pay and a fine, which a deposit
# secures. Audits cost the operator replays, and deposits cost everybody interest. Which audit
# rate and fine keep everybody honest at the least cost?
#
# What attacks bring is measured: federations are trained in which all are honest, and others in
# which all the malicious attack, and in every round everybody's deviations are played out.

# %%
# %matplotlib inline
from tempfile import TemporaryDirectory

import fedfm_sim as fs
from fedfm_sim.mechanisms import deterrence_rate
from fedfm_sim.reporting.design_figures import draw_frontier, draw_temptations

scenario = fs.load_scenario(
    "backdoor-deterrence",
    ["rounds=2", "deviations.actions=['contribute', 'backdoor', 'stay-out']",
     "participants.count=8", "participants.malicious=3", "design.check_rounds=15",
     "design.policies=['best-response', 'replicator']"],
)  # fmt: skip
folder = TemporaryDirectory()
made = fs.design(scenario, "budget", seeds=[0], workshop=fs.Workshop.at(folder.name))
point = made.deterrent
print(
    f"audit rate {point.rate:.3f}, fine and deposit {point.fine:.2f}: {made.cost:.2f} money a round"
)
print(f"it is for: {made.binding}")

# %% [markdown]
# ## The frontier
#
# Every fine has its least audit rate. Audits get cheaper with the fine, and deposits dearer;
# the least of both is the point. The cross has a fifth fewer audits.

# %%
draw_frontier(made.frontier, point, made.scenario)

# %%
draw_temptations(made.temptations, point)

# %% [markdown]
# The backdoor is what the sanctions are for; everything else is deterred along the way. Where
# only one deviation binds, the frontier is the textbook's formula on the measured gain:

# %%
row = made.temptations.iloc[point.binding]
gain = 1.1 * row["benefit"]  # by the margin of a tenth
formula = deterrence_rate(gain, point.fine + row["confiscated"], 1.0, confiscate=False)
print(f"{formula:.4f} by formula, {point.rate:.4f} designed")

# %% [markdown]
# ## Does it hold?
#
# Learning participants meet the sanctions: best repliers expect the most of a backdoor until
# they have tried it; the replicator moves its chances by what it expects. With a fifth fewer
# audits the attack pays again.

# %%
made.trials

# %% [markdown]
# ## Or another defence?
#
# Audits are not the only deterrent: a rule that keeps the backdoor out of the model leaves
# nothing to deter. The same trainings, measured under each alternative:

# %%
alternatives = {
    "fedavg": {"defence": {"name": "fedavg"}},
    "multi-krum": {"defence": {"name": "multi-krum", "attackers": 3}},
    "clipping": {"defence": {"name": "norm-clipping"}},
}
both = scenario.model_copy(
    update={"design": scenario.design.model_copy(update={"settings": alternatives})}
)
compared = fs.design(both, "surplus", seeds=[0], workshop=fs.Workshop.at(folder.name), trials=0)
compared.settings.round(3)

# %%
folder.cleanup()
at, fewer = (made.trials[made.trials["part"] == part] for part in (1.0, 0.8))
assert abs(formula - point.rate) < 1e-6
assert (made.frontier["rate"].diff().dropna() <= 1e-12).all()
assert (at["tempted"] == 0).all()
assert (fewer["tempted"] > 0).all()
