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
# # Unlearning: taking data back out of a model
#
# A participant leaves a federation and wants its data forgotten. Training again without it is
# exact and dear. Ten executors try to come near it for less; what they are measured by is always
# the retrained model, never the original.

# %%
import matplotlib.pyplot as plt
import pandas as pd

import fedfm_sim as fs
from fedfm_sim.experiments.unlearn import probes_of, request_of_model
from fedfm_sim.security.unlearning import EXECUTORS, execute_together
from fedfm_sim.security.unlearning.verification import compare
from fedfm_sim.simulation.model import FederationModel

# %% [markdown]
# ## What is there
# Each executor says what it has to have.

# %%
for name in EXECUTORS:
    print(f"{name:17} needs {EXECUTORS[name].needs}")

# %% [markdown]
# ## A client with a backdoor
# One of ten participants has planted a trigger by model replacement, and the server kept the
# updates. Now it has to go.

# %%
overrides = ["participants.malicious=1", "contribution.every=0", "deviations.rounds=0"]
scenario = fs.load_scenario("backdoor-undefended", overrides)
model = FederationModel(scenario, seed=0, keep_updates=True)
for _ in range(scenario.rounds):
    model.step()
request = request_of_model(model, client=9)
print(len(request.forgotten), "examples to forget,", len(request.retained), "to retain")

# %% [markdown]
# ## All executors in one batch
# An executor asks for local training and is sent the trained adapters; so all of them, and the
# retraining they are measured by, train side by side.

# %%
names = [name for name in EXECUTORS if name != "retrain"]
jobs = [(EXECUTORS[name](), request) for name in ("retrain", *names)]
retrained, *made = execute_together(jobs)
probes = probes_of(model.setting, 9, model.tables()[1]["action"])
table = compare(request, dict(zip(names, made, strict=True)), retrained, probes)
table = table.set_index("executor")
columns = ["accuracy", "attack_success", "membership", "distance", "relearn", "speed_up"]
table[columns].round(2)

# %% [markdown]
# ## Who is near, and for how much
# On the left of the picture is what costs little. Below the dashed line the trigger works no
# better than on a model that never saw it.

# %%
figure, axes = plt.subplots(figsize=(8, 4))
exact = table.loc["retrain", "attack_success"]
axes.axhline(exact + 0.05, color="black", ls="--", lw=0.8, label="retrained, and 5 points")
for name, row in table.iterrows():
    near = row["attack_success"] <= exact + 0.05
    axes.scatter(row["examples"], row["attack_success"], color="#0072B2" if near else "#D55E00")
    axes.annotate(
        name, (row["examples"], row["attack_success"]), xytext=(5, 4), textcoords="offset points"
    )
axes.set(xlabel="examples of which gradients were taken", ylabel="backdoor success")
axes.set_xlim(-300, 1.15 * table["examples"].max())
axes.legend()

# %% [markdown]
# Training on without the client, or adding a sparse adapter, makes the model look fine on every
# test that does not know the trigger; `relearn` gives it away: the forgotten data is back within
# a batch or two, where the retrained model needs dozens.

# %% [markdown]
# ## Who is owed what
# In `right-to-be-forgotten` the leaver is honest. The server takes the cheapest executor that is
# as good as retraining within a tolerance, and the pot is settled again among those who stay.
# That leaving costs the others something is also a bargaining position.

# %%
run = fs.run("right-to-be-forgotten", seed=0, overrides=["rounds=6", "participants.count=8"])
departure = run.departure
assert departure is not None
departure.table.set_index("executor")[["accuracy", "membership", "miss", "money"]].round(3)

# %%
shares = departure.shares.set_index("participant")
axes = shares.plot.bar(figsize=(8, 3), color=["#999999", "#0072B2"])
axes.set(ylabel="money", title=f"The pot, before and after (forgotten by {departure.chosen})")
print(pd.Series(departure.summary).to_string())

# %%
near = table[table["attack_success"] <= exact + 0.05]
assert {"distillation", "retrain"} <= set(near.index)
assert table.loc["fine-tune", "attack_success"] > exact + 0.2
assert table.loc["distillation", "speed_up"] >= 4
assert shares["after"].loc[7] == 0
assert abs(shares["before"].sum() - 20) < 1e-9
