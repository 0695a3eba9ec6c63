"""What a run spent of differential privacy: the largest over what each participant really did.

Nothing here knows what makes the noise: training settings and protections say themselves
what they spend (`TrainingSettings.spends`, `Protection.spends`), those of plug-ins too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fedfm_sim.core.arrays import Array
from fedfm_sim.security.privacy.accounting import largest_epsilon
from fedfm_sim.simulation.setting import Setting

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from fedfm_sim.simulation.play import Play

#: The delta at which epsilon is stated.
DELTA = 1e-5

#: What is not counted, at whatever level.
UNCOUNTED = "audits, payments, and what is trained again after the rounds are not counted"


def released(play: Play) -> dict[str, Array]:
    """Return what each of n participants gave away in a round, and under how much noise.

    Returns
    -------
    dict
        ``examples_sent``, how many examples what was seen of its upload was trained on, 0 for
        who sent nothing, dropped out or did not train. ``noisy_uploads``, how many times the
        variance of its own noise is in what was seen of it: m in the plain sum of m equal
        ones (at weights w, ``sum_j w_j^2 / w_k^2`` over the protected), 1 where an upload
        is seen by itself, 0 for one that was protected but not in the sum, NaN for one that
        was not protected.
    """
    setting, weights = play.setting, play.weights
    attacks = [setting.attacks.get(name) for name in play.names]
    selected, hidden = play.allocation.selected, setting.defence.hides_updates
    peeking = [attack is not None and (attack.sees_others or attack.copies) for attack in attacks]
    peeked = bool((selected & np.array(peeking)).any())
    arrived = selected.copy()
    arrived[play.accepted[play.aggregate.dropped]] = False
    seen = selected if peeked else (weights > 0 if hidden else arrived)
    protected = seen & np.array([attack is None for attack in attacks])
    times = np.where(protected, 1.0, np.nan)
    if setting.defence.sums and not peeked:
        own = np.where(protected, weights, 0.0) ** 2
        shares = np.divide(own.sum(), own, out=np.zeros_like(own), where=own > 0)
        times = np.where(protected, shares, np.nan)
    trained = play.worked / setting.scenario.training.epochs
    return {"examples_sent": np.where(seen, trained, 0.0), "noisy_uploads": times}


def privacy_spent(setting: Setting, participants: pd.DataFrame) -> dict[str, Any] | None:
    """Return the largest epsilon over participants, and what it is about; None without DP.

    DP-SGD protects examples, whoever sees the uploads. A protection of whole uploads
    protects participants; how well depends on who is in the sum. Where both are on, the
    second statement is in ``also`` of the first.

    Parameters
    ----------
    setting : Setting
    participants : DataFrame
        A row per participant and round: ``round``, ``participant``, ``action``, and what
        `released` says.

    Returns
    -------
    dict or None
        ``epsilon`` (None where nothing bounds it) at ``delta`` for the ``adjacency``;
        ``participant``, who spent most, and the events it ``spent`` it by; ``assumes``, in
        words. Of uploads also ``epsilon_of_uploads``, towards who sees them one by one, and
        ``unprotected``, who sent something of its data without protection.
    """
    if not len(participants):
        columns = ["round", "participant", "action", "examples_sent", "noisy_uploads"]
        participants = pd.DataFrame(columns=columns, dtype=np.float64)
    each = [_of_training(setting, participants), _of_uploads(setting, participants)]
    stated = [statement for statement in each if statement is not None]
    return stated[0] | {"also": stated[1] if len(stated) > 1 else None} if stated else None


def _of_training(setting: Setting, participants: pd.DataFrame) -> dict[str, Any] | None:
    training = setting.federation.settings
    if training.spends(1) is None:
        return None
    sent = participants[participants["examples_sent"] > 0]
    return _stated(sent, "examples_sent", lambda n: training.spends(round(n)), training.unit) | {
        "assumes": [
            f"{training.scheme}, out of sight",
            f"one {training.unit} less leaves its place empty: sizes, steps and who takes part "
            "are public; a copy counts as another",
            "every upload is seen by others",
            UNCOUNTED,
        ],
    }


def _of_uploads(setting: Setting, participants: pd.DataFrame) -> dict[str, Any] | None:
    protection = setting.protection
    if protection.spends(1.0) is None:
        return None
    uploads = participants["noisy_uploads"]
    protected, unit = participants[uploads.notna()], protection.unit
    alone = _stated(protected, "noisy_uploads", lambda _: protection.spends(1.0), unit)
    bare = participants[uploads.isna() & (participants["examples_sent"] > 0)]
    return _stated(participants[uploads > 0], "noisy_uploads", protection.spends, unit) | {
        "epsilon_of_uploads": alone["epsilon"],
        "unprotected": sorted({int(k) for k in bare["participant"]}),
        "assumes": [
            *_trust(setting, participants, protected),
            f"one {unit} less leaves its noise where it is: declared samples and who takes part "
            "are public",
            UNCOUNTED,
        ],
    }


def _trust(setting: Setting, participants: pd.DataFrame, protected: pd.DataFrame) -> list[str]:
    """Return whom one has to trust for the noise of others to count, and who looked closer."""
    if not setting.defence.sums:
        return ["the rule looks at uploads one by one, so each has its own noise alone"]
    # In a sum of several no share is 1 exactly, as everybody's noise counts for everybody.
    rounds = protected[protected["noisy_uploads"] > 0].groupby("round")["noisy_uploads"]
    attacked = int(((rounds.size() > 1) & (rounds.max() == 1)).sum())
    table, hidden = setting.scenario.action_table, setting.defence.hides_updates
    looking = [name for name, action in table.items() if action.snoop or action.report]
    snooped = participants[participants["action"].isin(looking)]["round"].nunique()
    told = [
        "the server keeps to secure aggregation, which shows it the sum alone"
        if hidden
        else "the server is trusted: nobody else sees more than the aggregate",
        "participants are honest but curious: nobody takes off its own noise, or tells of it",
    ]
    if attacked:
        told.append(f"in {attacked} rounds attackers saw single uploads, which is counted")
    if snooped and not hidden:
        told.append(f"in {snooped} rounds others looked at single uploads, which is not counted")
    return told


def _stated(
    table: pd.DataFrame, column: str, spends: Callable[[float], DpEvent | None], unit: str
) -> dict[str, Any]:
    """Return the largest epsilon over participants whose rows spend what ``column`` says."""
    rows: dict[int, Counter[DpEvent]] = {}
    for participant, value in zip(table["participant"], table[column], strict=True):
        if (event := spends(float(value))) is not None:
            rows.setdefault(int(participant), Counter())[event] += 1
    members, spent = list(rows), list(rows.values())
    worst, most = largest_epsilon(spent, DELTA) if spent else (None, 0.0)
    return {
        # JSON has no infinity; without noise there is no bound.
        "epsilon": most if most < np.inf else None,
        "delta": DELTA,
        "adjacency": f"add or remove one {unit}",
        "participant": None if worst is None else members[worst],
        "spent": {}
        if worst is None
        else {str(event).replace("DpEvent", ""): times for event, times in spent[worst].items()},
    }
