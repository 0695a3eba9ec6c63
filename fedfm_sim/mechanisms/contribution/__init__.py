"""Contribution evaluation: what each participant adds, from a coalition game.

One file holds one scheme, a `Scheme` whose fields are its parameters, and one
line of `SCHEMES` names it; another package adds its own through the
entry-point group ``fedfm_sim.contribution``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame
from fedfm_sim.core.registry import NestedError, Registry
from fedfm_sim.mechanisms.contribution.result import Contribution
from fedfm_sim.mechanisms.contribution.scheme import SampledScheme, Scheme

_HERE = "fedfm_sim.mechanisms.contribution"

#: The contribution schemes by name.
SCHEMES: Registry[type[Scheme]] = Registry(
    "contribution scheme",
    "fedfm_sim.contribution",
    {
        "banzhaf": f"{_HERE}.banzhaf:Banzhaf",
        "banzhaf-sampled": f"{_HERE}.banzhaf:SampledBanzhaf",
        "beta": f"{_HERE}.beta:BetaShapley",
        "gtg": f"{_HERE}.guided_truncation:GuidedTruncation",
        "individual": f"{_HERE}.individual:Individual",
        "kernel-shap": f"{_HERE}.kernel_shap:KernelShap",
        "least-core": f"{_HERE}.least_core:LeastCoreScheme",
        "least-core-sampled": f"{_HERE}.monte_carlo_least_core:SampledLeastCore",
        "leave-one-out": f"{_HERE}.leave_one_out:LeaveOneOut",
        "nucleolus": f"{_HERE}.nucleolus:NucleolusScheme",
        "permutation": f"{_HERE}.permutation:Permutation",
        "prenucleolus": f"{_HERE}.nucleolus:PrenucleolusScheme",
        "shapley": f"{_HERE}.shapley:Shapley",
        "stratified": f"{_HERE}.stratified:Stratified",
        "truncated": f"{_HERE}.truncated:TruncatedMonteCarlo",
    },
    base="fedfm_sim.mechanisms.contribution.scheme:Scheme",
)


def evaluate(
    game: CoalitionGame,
    method: str = "shapley",
    *,
    budget: int | None = None,
    rng: np.random.Generator | None = None,
    **options: Any,
) -> Contribution:
    """Return what each player of ``game`` contributes.

    Parameters
    ----------
    game : CoalitionGame
        The game of ``n`` players, in any unit.
    method : str
        A name in `SCHEMES`.
    budget : int, optional
        Most different coalitions that a sampled scheme may value.
    rng : Generator, optional
        Needed by sampled schemes; exact ones take no notice of it.
    **options
        The scheme's other parameters, such as ``tolerance=0.05`` of "gtg".

    Returns
    -------
    Contribution
        With ``values`` of shape (n,), in the game's unit, and standard errors
        where they are sampled.

    Raises
    ------
    UserError
        When the method or an option is unknown, the game is too large or the
        budget too small for it, or a budget is given to an exact scheme.

    Examples
    --------
    >>> glove = CoalitionGame.from_dict(3, {(0, 1): 1, (0, 2): 1, (0, 1, 2): 1})
    >>> evaluate(glove, "shapley").values.round(3).tolist()
    [0.667, 0.167, 0.167]
    """
    kind = SCHEMES[method]
    if budget is not None:
        if not issubclass(kind, SampledScheme):
            raise UserError(f"'{method}' is exact and takes no budget; sampled are: {_sampled()}")
        options["budget"] = budget
    try:
        scheme = SCHEMES.build({**options, "name": method})
    except NestedError as error:
        raise UserError(f"contribution scheme '{method}': {error.line}") from error
    return scheme.evaluate(game, rng)


def is_sampled(method: str) -> bool:
    """Return whether a scheme samples coalitions, and so takes a budget."""
    return issubclass(SCHEMES[method], SampledScheme)


def _sampled() -> str:
    return ", ".join(name for name in SCHEMES if is_sampled(name))


__all__ = ["SCHEMES", "Contribution", "SampledScheme", "Scheme", "evaluate", "is_sampled"]
