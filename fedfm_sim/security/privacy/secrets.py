"""Secrets in texts: how much a language model has memorised, and whether it tells.

A participant's notes hold a code that follows "the code of NAME is". Exposure is by how many
bits the model prefers it to a code at random (Carlini et al. 2019); extraction asks
the model to go on from the prefix.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.datasets.notes import BEGIN, canary, decode, encode
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.federation import Federation
from fedfm_sim.security.privacy.leakage import LeakageMeasure, Observation

#: Digits of a code.
DIGITS = 4


class Exposure(LeakageMeasure):
    """Exposure of the participant's own codes in what it sent, over the most there can be.

    A model that never saw a code ranks it anywhere, which is an exposure of 1.44 bits in the
    mean, and more for the largest of several. That is taken off both.
    """

    unit: ClassVar[str] = "exposure over its most, both less chance's, in [0, 1] but for chance"
    source: ClassVar[str] = "Carlini et al., USENIX Security 2019"

    def leakage(self, seen: Observation) -> float:
        """Return the largest exposure of a code in the data, as a share; 0 without codes."""
        row = seen.sent if bool(torch.isfinite(seen.sent).all()) else seen.reference
        found = [exposure(seen.federation, row, *secret) for secret in secrets_in(seen.members)]
        if not found:
            return 0.0
        chance = chance_exposure(len(found))
        return (max(found) - chance) / (DIGITS * float(np.log2(10)) - chance)


def chance_exposure(codes: int) -> float:
    """Return the mean of the largest exposure of so many codes whose ranks are even draws, bits."""
    count = 10**DIGITS
    ranks = np.arange(1, count + 1)
    least = ((count - ranks + 1) / count) ** codes - ((count - ranks) / count) ** codes
    return float(np.log2(count) - least @ np.log2(ranks))


def exposure(federation: Federation, adapter: Tensor, name: str, code: str) -> float:
    """Return ``log2 |R| - log2 rank`` of a code among all 10,000, in bits, at least 0.

    Parameters
    ----------
    federation : Federation
        Of a language model of the notes.
    adapter : Tensor
        (P,) what is asked.
    name, code : str
        Whose code, and the code itself.

    Raises
    ------
    UserError
        When the code is not four digits.
    """
    if len(code) != DIGITS or not code.isdigit():
        raise UserError(f"code '{code}': expected {DIGITS} digits")
    count = 10**DIGITS
    texts = encode([canary(name, f"{k:0{DIGITS}d}") for k in range(count)], [0] * count)
    losses = np.concatenate(
        [
            federation.evaluate(adapter[None], texts.select(slice(start, start + 1000))).losses[0]
            for start in range(0, count, 1000)
        ]
    )
    # Ties, and losses that are NaN, count against the code.
    rank = int((~(losses > losses[int(code)])).sum())
    return float(np.log2(count) - np.log2(rank))


def extract(federation: Federation, adapter: Tensor, name: str) -> str:
    """Return the four words that the model puts after "the code of NAME is", greedily."""
    told: list[str] = []
    for _ in range(DIGITS):
        text = encode([" ".join(["the code of", name, "is", *told])], [0])
        last = int((text.labels[0] != -100).sum()) - 2  # the word before the end token
        best = federation.evaluate(adapter[None], text).predictions[0, 0, last]
        word = decode([int(best)])
        if not word:
            break
        told.append(word)
    return "".join(told)


def secrets_in(examples: Examples) -> list[tuple[str, str]]:
    """Return each (name, code) that some notes give away, once."""
    if "input_ids" not in examples.inputs:
        return []
    prefix = encode(["the code of"], [0]).inputs["input_ids"][0, :4]
    tokens = examples.inputs["input_ids"]
    rows = tokens[(tokens[:, :4] == prefix).all(1) & (tokens[:, 0] == BEGIN)]
    words = [decode(row.tolist()).split() for row in rows]
    return sorted({(told[3], "".join(told[5 : 5 + DIGITS])) for told in words})
