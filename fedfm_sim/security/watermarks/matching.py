"""Which modules of a suspect are those that a key marks, whatever they are called.

Names are matched first, then their ends, then the order among modules of one size. Nothing
of the key's secret is looked at, so that bits read from the matched weights are fair
coins on a model without the mark, and no p-value has to pay for the search.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from fedfm_sim.learning.adapter_files import StoredAdapter
from fedfm_sim.learning.adapters import A_SUFFIX, B_SUFFIX, PREFIX, AdapterLayout
from fedfm_sim.learning.lora_tensors import listed
from fedfm_sim.security.watermarks.key import Key, modules_of

Modules = dict[str, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Matched:
    """The part of a suspect that a key speaks of.

    Attributes
    ----------
    adapter : Tensor
        (P,), the factors of the key's modules that were found.
    layout : AdapterLayout
        Under the key's names; of no module where nothing fits.
    notes : tuple of str
        What differs from what the key was made for.
    """

    adapter: Tensor
    layout: AdapterLayout
    notes: tuple[str, ...]


def matched(stored: StoredAdapter, key: Key) -> Matched:
    """Return what of a stored adapter is looked at for a key's mark."""
    there = {name: (outputs, inputs) for name, outputs, inputs in modules_of(stored.layout)}
    wanted = {name: (outputs, inputs) for name, outputs, inputs in key.modules} or there
    found = assignment(wanted, there)
    shapes: dict[str, tuple[int, ...]] = {}
    parts = []
    views = stored.layout.views(stored.adapter[None])
    for name in sorted(found):
        a, b = balanced(*(part[0] for part in stored.layout.pair(views, found[name])))
        shapes |= {
            PREFIX + name + A_SUFFIX: tuple(a.shape),
            PREFIX + name + B_SUFFIX: tuple(b.shape),
        }
        parts += [a.flatten(), b.flatten()]
    layout = AdapterLayout(tuple(sorted(found)), shapes, stored.layout.settings)
    row = torch.cat(parts) if parts else stored.adapter[:0]
    return Matched(row, layout, (*stored.notes, *_differences(stored, key, wanted, there, found)))


def balanced(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return the same ``B A`` from rows of A and columns of B of like lengths, exactly.

    Factors such as ``1e200 B`` and ``1e-200 A`` would overflow what is computed of them.
    """
    longest = a.abs().amax(1), b.abs().amax(0)
    (_, of_a), (_, of_b) = (torch.frexp(part) for part in longest)
    shift = torch.div(of_b - of_a, 2, rounding_mode="floor")
    shift[(longest[0] == 0) | (longest[1] == 0)] = 0
    return torch.ldexp(a, shift[:, None]), torch.ldexp(b, -shift)


def assignment(wanted: Modules, there: Modules) -> dict[str, str]:
    """Return for each wanted module, where there is one of its size, what it is called now.

    Examples
    --------
    >>> assignment({"vit.layer.0.q_proj": (4, 4)}, {"model.h.0.q_proj": (4, 4), "x": (4, 8)})
    {'vit.layer.0.q_proj': 'model.h.0.q_proj'}
    """
    found = {name: name for name, size in wanted.items() if there.get(name) == size}
    for size in sorted(set(wanted.values())):
        missing = sorted((n for n in wanted if wanted[n] == size and n not in found), key=_order)
        left = sorted(
            (n for n in there if there[n] == size and n not in found.values()), key=_order
        )
        for name in list(missing):
            ends = [_common_end(name, other) for other in left]
            if ends and max(ends) > 0 and ends.count(max(ends)) == 1:
                found[name] = left.pop(ends.index(max(ends)))
                missing.remove(name)
        if len(missing) == len(left):
            found |= dict(zip(missing, left, strict=True))
    return found


def _order(name: str) -> list[tuple[int, str]]:
    """Sort as people do: layer 10 after layer 9."""
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d+)", name)]


def _common_end(one: str, other: str) -> int:
    """Return how many parts of two names agree from the end; dots are as good as underscores."""
    first, second = (re.split(r"[._]", name)[::-1] for name in (one, other))
    agree = [a == b for a, b in zip(first, second, strict=False)]
    return agree.index(False) if False in agree else len(agree)


def _differences(
    stored: StoredAdapter, key: Key, wanted: Modules, there: Modules, found: dict[str, str]
) -> list[str]:
    notes = []
    if key.base and key.base != stored.base:
        notes.append(f"the key is for the base model {key.base!r}, the files say {stored.base!r}")
    if missing := sorted(wanted.keys() - found.keys()):
        notes.append(f"{len(missing)} of {len(wanted)} marked modules not there: {listed(missing)}")
    if surplus := sorted(there.keys() - set(found.values())):
        notes.append(f"modules that the key does not know are left out: {listed(surplus)}")
    if renamed := sorted(now for name, now in found.items() if name != now):
        notes.append(f"modules under other names: {listed(renamed)}")
    return notes
