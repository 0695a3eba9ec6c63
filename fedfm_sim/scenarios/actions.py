"""What a scenario says of actions: the attacks they carry out, and the names of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fedfm_sim.agents.policies import Fixed, Policy
from fedfm_sim.core.action import Action
from fedfm_sim.core.keys import choices, shortened
from fedfm_sim.core.registry import NestedError
from fedfm_sim.security.attacks import ATTACKS, Attack


def attack_of(action: Action) -> Attack | None:
    """Return a fresh copy of the attack that an action carries out.

    Raises
    ------
    NestedError
        When it is unknown, or a parameter does not fit.
    """
    if action.attack is None:
        return None
    if "name" in action.parameters:
        raise NestedError(("name",), "the attack is named by the action's 'attack', not here")
    return ATTACKS.build({"name": action.attack, **action.parameters})


def whole_action(action: Action) -> dict[str, Any]:
    """Return an action with all parameters of its attack, as plain values."""
    attack = attack_of(action)
    parameters = {} if attack is None else attack.model_dump(mode="json", exclude_none=True)
    return action.model_dump(mode="json", exclude_none=True) | {"parameters": parameters}


def check_names(names: Iterable[str], known: Iterable[str], *location: str) -> None:
    """Refuse names of actions that are not among the known.

    Raises
    ------
    NestedError
        At ``location``, naming the first and listing the known.
    """
    allowed = tuple(known)
    for name in names:
        if name not in allowed:
            raise NestedError(
                location, f"unknown action '{shortened(name)}'{choices(name, allowed)}"
            )


def check_policy(policy: Policy, names: Iterable[str]) -> None:
    """Refuse a policy that would take an action that is not among ``names``."""
    if isinstance(policy, Fixed):
        check_names(policy.actions, names, "action")
