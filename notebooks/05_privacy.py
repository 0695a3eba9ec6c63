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
# # What updates give away
#
# No data leaves a participant, only an adapter. How much of the data is in it?

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

from fedfm_sim.experiments.compare import compare
from fedfm_sim.learning.adapters import LoraSettings, adapter_layout, initial_adapter
from fedfm_sim.learning.backbone import load_backbone
from fedfm_sim.learning.datasets.digits import load_digits_split
from fedfm_sim.learning.datasets.notes import canary, load_notes_split, plant
from fedfm_sim.learning.federation import Federation
from fedfm_sim.learning.trainer import TrainingSettings
from fedfm_sim.security.privacy.accounting import calibrated_noise, epsilon
from fedfm_sim.security.privacy.gradient_inversion import adapter_gradient, invert, psnr
from fedfm_sim.security.privacy.secrets import exposure, extract

# %% [markdown]
# ## An image out of a gradient
# One image, one step, and the gradient of the LoRA factors B alone. A search for the image
# with the same gradient finds it; noise on the gradient hides it.

# %%
backbone, data = load_backbone("digits-vit"), load_digits_split()
layout = adapter_layout(backbone, LoraSettings(rank=8, alpha=16.0))
gradient_of = adapter_gradient(backbone, layout, initial_adapter(backbone, layout, 0))
row = data.private.select([4])
image, label = row.inputs["pixel_values"].double(), row.labels
seen = [part.detach() for part in gradient_of(image, label)]
size = sum(part.numel() for part in seen)
length = sum(float(part.square().sum()) for part in seen) ** 0.5
figure, panels = plt.subplots(1, 3, figsize=(7, 2.6), layout="constrained")
panels[0].set_title("the image")
panels[0].imshow(image[0, 0], cmap="gray_r", vmin=0, vmax=1)
rng = np.random.default_rng(0)
for axes, noise in zip(panels[1:], (0.0, 0.3), strict=True):
    draws = [torch.from_numpy(rng.standard_normal(tuple(part.shape))) for part in seen]
    given = [p + noise * length / size**0.5 * d for p, d in zip(seen, draws, strict=True)]
    found = invert(gradient_of, given, label, (1, 8, 8), np.random.default_rng(4), restarts=1)
    axes.imshow(found[0], cmap="gray_r", vmin=0, vmax=1)
    axes.set_title(f"noise {noise:g}: {psnr(found, image[0]):.0f} dB")
for axes in panels:
    axes.set_axis_off()

# %% [markdown]
# ## A secret out of a language model
# A participant's notes hold a code. Written twice in sixty notes, the model tells it.

# %%
federation = Federation.create(
    load_backbone("notes-llama"),
    LoraSettings(rank=8, alpha=16.0),
    TrainingSettings(epochs=8, batch_size=8, learning_rate=0.01),
    seed=0,
)
told = {}
for copies in (0, 2):
    shard = load_notes_split().private.select(slice(0, 60))
    shard = plant(shard, canary("anna", "4815"), copies) if copies else shard
    adapter = federation.train([shard], [np.random.default_rng(0)]).adapters[0]
    bits = exposure(federation, adapter, "anna", "4815")
    told[copies] = {
        "exposure, bits of 13.3": round(bits, 1),
        "asked, it says": extract(federation, adapter, "anna"),
    }
pd.DataFrame(told).T.rename_axis("copies of the secret")

# %% [markdown]
# ## What epsilon costs
# Epsilon is about adding or removing one example, over all steps. Half of it takes about
# twice the noise.

# %%
steps, rate, delta = 150, 0.2, 1e-5
targets = np.array([1.0, 2.0, 4.0, 8.0])
noises = [calibrated_noise(float(target), steps, rate, delta) for target in targets]
for target, noise in zip(targets, noises, strict=True):
    print(f"epsilon {target:g}: noise {noise:.2f}, spends {epsilon(noise, steps, rate, delta):.3f}")

# %% [markdown]
# ## Privacy, utility, efficiency
# Noise at the client level, a tenth of the entries sent, and neither: leakage is the membership
# advantage against what was sent, and the area of a mark is the bytes.

# %%
comparison = compare(
    "privacy-utility-front",
    {
        "protection": [
            "none",
            '{name="gaussian-mechanism", clip=2.0, noise_multiplier=0.2, participants=10}',
            '{name="top-k", share=0.1}',
        ]
    },
    seeds=[0, 1],
    overrides=["rounds=2", "training.epochs=3"],
)
names = ["none", "noise 0.2", "top tenth"]
comparison.runs["protection"] = np.repeat(names, 2)
comparison.plot("front")
# %%
print(comparison.table[["accuracy_after", "leakage", "megabytes"]].round(3))
assert comparison.table.loc["noise 0.2", "leakage"] < comparison.table.loc["none", "leakage"]
