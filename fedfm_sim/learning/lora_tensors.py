"""LoRA factors found among anybody's tensors: other names, shapes and types, damaged modules.

What a file calls its tensors and what its configuration says can be edited without
changing the model, so that whoever looks for a mark relies on as little of it as can be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fedfm_sim.learning.adapters import A_SUFFIX, B_SUFFIX, PREFIX

#: peft's names, with or without the adapter's own name, and those of diffusers.
_NAME = re.compile(
    r"(?P<module>.+)\.lora[._](?:embedding_)?(?P<factor>A|B|down|up)(?:\.[^.]+)??(?:\.weight)?"
)
#: What peft names beside the factors of a DoRA adapter.
MAGNITUDE = "lora_magnitude_vector"


@dataclass(frozen=True, eq=False)
class Pair:
    """The factors of one module.

    Attributes
    ----------
    names : tuple of str
        What the file calls A and B.
    a, b : Tensor
        (r, in) and (out, r), float64; a convolution's kernel is laid out flat.
    """

    names: tuple[str, str]
    a: Tensor
    b: Tensor


def factor_of(name: str) -> tuple[str, str] | None:
    """Return the module and "A" or "B" that a tensor's name stands for, or None."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    factor = {"down": "A", "up": "B"}.get(found["factor"], found["factor"])
    return found["module"].removeprefix(PREFIX), factor


def pairs_of(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Pair], dict[str, str]]:
    """Return the factors by module, and what is wrong with the modules that can't be read."""
    named: dict[str, dict[str, str]] = {}
    for name in sorted(tensors, key=_as_peft_does):  # whose names win
        if (found := factor_of(name)) is not None:
            named.setdefault(found[0], {})[found[1]] = name
    pairs, unread = {}, {}
    for module, names in named.items():
        try:
            pairs[module] = _pair(names, tensors)
        except ValueError as error:
            unread[module] = str(error)
    return pairs, unread


def _as_peft_does(name: str) -> tuple[bool, str]:
    return name.startswith(PREFIX) and name.endswith((A_SUFFIX, B_SUFFIX)), name


def _pair(names: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Pair:
    for factor in ("A", "B"):
        if factor not in names:
            raise ValueError(f"has no lora_{factor}")
    name_a, name_b = names["A"], names["B"]
    stored_a, stored_b = tensors[name_a], tensors[name_b]
    for stored in (stored_a, stored_b):
        if not stored.numel():
            raise ValueError(
                "is empty, as ZeRO-3 leaves weights that are saved without being gathered"
            )
        if not stored.is_floating_point():
            raise ValueError(f"is of type {stored.dtype}, expected a float")
        if stored.ndim < 2:
            raise ValueError(f"has shape {tuple(stored.shape)}, expected a matrix")
    a, b = (stored.detach().to(torch.float64).flatten(1) for stored in (stored_a, stored_b))
    if a.shape[0] != b.shape[1]:
        raise ValueError(f"has factors of ranks {a.shape[0]} and {b.shape[1]}")
    if not (a.isfinite().all() and b.isfinite().all()):
        raise ValueError("holds NaN or Inf")
    return Pair((name_a, name_b), a, b)


def scale_of(config: Mapping[str, Any], module: str, rank: int) -> float | None:
    """Return s of ``dW = s B A`` as peft computes it, or None where the configuration has none.

    The rank is the weights' own: it is theirs that peft would need.
    """
    alpha = said_of(config, module, "alpha_pattern", "lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        return None
    if not 1e-30 < abs(alpha) < 1e30:  # nor NaN, or a number without end
        return None
    return alpha / (rank**0.5 if config.get("use_rslora") is True else rank)


def said_of(config: Mapping[str, Any], module: str, special: str, general: str) -> object:
    """Return what a configuration says of a module: by the first pattern that fits, as in peft.

    A pattern fits the end of a module's name.
    """
    patterns = config.get(special)
    for pattern, value in patterns.items() if isinstance(patterns, dict) else ():
        if pattern == module or module.endswith(f".{pattern}"):
            return value
        if _harmless(pattern, module) and re.fullmatch(rf"(.*\.)?({pattern})", module):
            return value
    return config.get(general)


def _harmless(pattern: str, text: str) -> bool:
    """Return whether a stranger's regular expression is valid and can't take for ever on a text.

    Without repeated groups, the steps are at most the text's length to the number of repeats.
    """
    repeats = len(re.findall(r"[*+?{]", pattern))
    if len(text) ** repeats > 1e6 or re.search(r"\)[*+?{]", pattern):
        return False
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def listed(names: Iterable[str], most: int = 3) -> str:
    """Return some names in quotes, on one line whatever they hold."""
    all_names = list(names)
    more = f" and {len(all_names) - most} more" if len(all_names) > most else ""
    return ", ".join(map(repr, all_names[:most])) + more
