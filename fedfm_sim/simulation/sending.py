"""Who sends what in a round: the honest first, as attackers may look at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from fedfm_sim.simulation.setting import Setting
from fedfm_sim.simulation.updates import RoundUpdates


def send(
    setting: Setting, updates: RoundUpdates, names: Sequence[str], members: Sequence[int]
) -> dict[int, Tensor]:
    """Return what each of the members sends (P,): the honest, who may see that, who copies.

    Parameters
    ----------
    names : sequence of n str
        The action of each participant.
    members : sequence of int
        Who was let take part.
    """
    attacks = {k: setting.attacks.get(names[k]) for k in members}
    honest = [k for k in members if attacks[k] is None]
    sent = {k: updates.upload(k, names[k]) for k in honest}
    seen = updates.view(rows(sent, honest), len(members) - len(honest))
    copying = [k for k in members if (attack := attacks[k]) and attack.copies]
    for k in members:
        if k not in sent and k not in copying:
            sent[k] = updates.upload(k, names[k], seen)
    kinds = setting.scenario.participants.kinds
    accomplices = [k for k in sent if kinds[k] == "malicious"]
    for k in copying:
        own = [j for j in sorted(accomplices) if j != k and kinds[k] == "malicious"]
        sent[k] = updates.upload(k, names[k], replace(seen, colluders=rows(sent, own)))
    return {k: sent[k] for k in members}


def rows(sent: dict[int, Tensor], members: Sequence[int]) -> Tensor:
    """Return what some members sent (m, P); (0, 0) for nobody."""
    return torch.stack([sent[k] for k in members]) if members else torch.empty(0, 0)
