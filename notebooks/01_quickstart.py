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
# # Quickstart: who gains what in a federation
#
# Ten organisations fine-tune one vision transformer together. Six are honest, two follow the rules
# but snoop, two may attack. The server posts a price for work, audits some of them, and fines those
# whose update is not what training on their data gives. Every outcome below was trained.

# %%
import matplotlib.pyplot as plt

import fedfm_sim as fs

run = fs.run("quickstart", seed=7)
run.summary

# %% [markdown]
# ## The shared model
# It starts out poor on the participants' domains, as it has only seen public images. Watch what
# the attackers' experiments do to it: the server averages whatever it gets.

# %%
run.plot("accuracy")
plt.show()

# %% [markdown]
# ## What they did, and what it brought them
# Honest participants give their best response to the price, the semi-honest choose by logit, and
# the malicious learn without regret what pays.

# %%
run.plot("actions")
plt.show()

# %%
run.plot("terms")
plt.show()

# %%
run.by_kind().round(3)

# %% [markdown]
# ## Is it an equilibrium?
# Equation 13, checked by deviating: in the last rounds, each participant's every other action was
# trained as well, everybody else unchanged. A gain above 0 means that honesty, or whatever was
# played, was not a best reply.

# %%
run.plot("deviations")
plt.show()

# %%
run.deviation_test.gains.nlargest(5, "gain").round(3)

# %% [markdown]
# ## The same attack with a defence
# Two fixed attackers plant a backdoor by model replacement. Averaging lets it through, Multi-Krum
# does not, and accuracy stays.

# %%
attack = ["deviations.rounds=0", "contribution.every=0"]
undefended = fs.run("backdoor-undefended", seed=7, overrides=attack)
defended = fs.run("backdoor-defended", seed=7, overrides=attack)
{
    r.scenario.name: (r.summary["accuracy_after"], r.summary["attack_success"])
    for r in (undefended, defended)
}

# %%
assert run.summary["money_error"] < 1e-9
assert run.rounds["accuracy"].max() > run.summary["accuracy_before"]
assert undefended.summary["attack_success"] > 0.5 > 0.15 > defended.summary["attack_success"]
assert defended.summary["accuracy_after"] > undefended.summary["accuracy_after"]
