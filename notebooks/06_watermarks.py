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
# # Watermarks: whose model is it, and who leaked it?
#
# Ten organisations train one adapter. Each wants to be able to prove that it took part, and the
# server wants to know which copy was sold. A mark has to be read again after whatever a thief
# does to it, and never from a model that nobody marked.

# %%
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import binom

import fedfm_sim as fs
from fedfm_sim.learning.adapter_files import open_adapter, save_adapter
from fedfm_sim.security.watermarks.client_marks import FedIPR
from fedfm_sim.security.watermarks.marking import mark, new_key, trace, verify
from fedfm_sim.security.watermarks.removal import (
    REMOVALS,
    Prune,
    Thief,
    false_claims,
    forged_claim,
)
from fedfm_sim.simulation.model import FederationModel

# %% [markdown]
# ## Marked while training
# Every client adds a penalty to its loss (Eq. 15) that pulls 64 secret projections of the weight
# change to the signs of its bits. The server notices nothing but a slightly longer update.

# %%
quiet = ["contribution.every=0", "deviations.rounds=0", "rounds=8"]
scenario = fs.load_scenario("honest-only", [*quiet, "watermark=fedipr"])
model = FederationModel(scenario, seed=0)
for _ in range(scenario.rounds):
    model.step()
setting = model.setting
scheme, federation, adapter = setting.watermark, setting.federation, model.adapter
assert isinstance(scheme, FedIPR)
claims = scheme.claims(adapter)
pd.DataFrame([vars(own) for own in claims]).drop(columns="claimants").head()

# %% [markdown]
# ## What chance would read
# The p-value is a binomial tail: on a model without the mark each bit is a fair coin. A thousand
# keys of strangers show that it is, on the marked model as on an unmarked one.

# %%
strangers = scheme.world.keys("strangers", 1000)
values = false_claims(federation, [adapter], strangers)[0]
hits = binom.isf(values, 64, 0.5) + 1
figure, axes = plt.subplots(figsize=(7, 3))
axes.hist(hits, bins=np.arange(14, 66), label="1000 foreign keys", color="#999999")
bits = np.arange(14, 65)
axes.plot(bits + 0.5, 1000 * binom.pmf(bits, 64, 0.5), color="black", lw=1, label="binomial")
axes.hist([own.hits for own in claims], bins=np.arange(14, 66), color="#0072B2", label="owners")
axes.axvline(binom.isf(1e-6, 64, 0.5) + 1, color="#D55E00", ls="--", label="p = $10^{-6}$")
axes.set(xlabel="bits as the key says, of 64", ylabel="keys", yscale="symlog")
axes.legend()

# %% [markdown]
# ## Made up afterwards
# A claim is only worth something if the key was fixed before the model was seen: who tries a
# thousand keys finds one of one in a thousand. Signed keys (`fedsov`) close this: the bits follow
# from a signature under a public key that was registered before.

# %%
forged = {
    tries: forged_claim(federation, adapter, tries, np.random.default_rng(0)).p_value
    for tries in (1, 10, 100, 1000)
}
pd.Series(forged, name="best p").rename_axis("keys tried").to_frame()

# %% [markdown]
# ## Washed
# A thief has the adapter and the data of one client. What removes the mark costs more accuracy
# than the mark is worth, but for distillation, which makes another model of it.

# %%
rows = []
for name in REMOVALS:
    thief = Thief(federation, setting.holdings.shards[0], np.random.default_rng(1))
    washed = REMOVALS[name]().wash(adapter, thief)
    found = scheme.claims(washed)
    rows.append(
        {
            "removal": name,
            "accuracy": float(setting.evaluator.accuracies(washed[None])[0]),
            "bits read": np.mean([own.detection for own in found]),
            "claims stand": np.mean([own.stands for own in found]),
        }
    )
washed_table = pd.DataFrame(rows).set_index("removal")
washed_table.round(3)

# %%
shares = np.linspace(0, 0.98, 15)
thief = Thief(federation, setting.holdings.shards[0], np.random.default_rng(1))
pruned = [Prune(share=float(share)).wash(adapter, thief) for share in shares]
read = [np.mean([own.detection for own in scheme.claims(row)]) for row in pruned]
useful = [float(setting.evaluator.accuracies(row[None])[0]) for row in pruned]
figure, axes = plt.subplots(figsize=(7, 3))
axes.plot(100 * shares, read, marker="o", color="#E69F00", label="bits read")
axes.plot(100 * shares, useful, marker="s", color="#0072B2", label="accuracy")
axes.set(xlabel="numbers of the adapter set to zero, %", ylim=(0, 1.05))
axes.legend()

# %% [markdown]
# ## A fingerprint in every copy, without a simulation
# Any LoRA adapter in peft's format can be marked from its folder alone; on the command line it is
# `fedfm-sim watermark embed`, `verify` and `trace`.

# %%
with TemporaryDirectory() as folder:
    original = Path(folder) / "adapter"
    save_adapter(original, adapter, federation.layout, "digits-vit")
    stored, keys = open_adapter(original), []
    for owner in ("hospital", "bank", "insurer"):
        keys.append(new_key(stored, owner, bits=64))
        mark(stored, keys[-1], Path(folder) / owner)
    leaked = open_adapter(Path(folder) / "bank")
    found = trace(leaked, keys)
    suspect = found.claims[found.suspect]
    print(f"traced to {suspect.owner}: {suspect.hits} of {suspect.trials}, p {suspect.p_value:.0e}")
    before = verify(stored, keys[0])

# %% [markdown]
# ## What tracing is worth
# In `model-theft` two clients sell the copy they were sent. The mark is what turns a found copy
# into a fine. From some chance of finding a copy on, selling no longer pays.

# %%
theft = fs.run("model-theft", seed=0, overrides=["deviations.rounds=0", "rounds=6"])
print(pd.Series(theft.summary["theft"]).to_string())
bare = fs.run(
    "model-theft", seed=0, overrides=["deviations.rounds=0", "rounds=6", "watermark=none"]
)
print("without marks, the threshold is", bare.summary["theft"]["threshold"])

# %%
assert all(own.stands for own in claims)
assert not (values <= 1e-6).any()
assert washed_table.loc["regauge", "bits read"] == washed_table.loc["none", "bits read"]
assert found.accused is not None
assert suspect.owner == "bank"
assert not before.stands
low, high = theft.summary["theft"]["low"], theft.summary["theft"]["high"]
assert low <= theft.summary["theft"]["threshold"] <= high
assert bare.summary["theft"]["high"] is None
