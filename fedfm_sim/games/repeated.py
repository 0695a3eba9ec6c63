"""Repeated play with discounting: what the future can enforce, and which strategies do.

Payoffs are discounted means, ``(1 - D) sum D**t u_t``, in the unit of the stage game.

References
----------
.. [1] J. Friedman, "A non-cooperative equilibrium for supergames", Review of Economic
   Studies 38(1), 1971, pp. 1-12 (Nash reversion).
.. [2] D. Fudenberg and E. Maskin, "The folk theorem in repeated games", Econometrica 54(3),
   1986, pp. 533-554.
"""

from __future__ import annotations

from math import inf

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.games.exact import ROUNDING, exactly
from fedfm_sim.games.linear import least, zero_sum
from fedfm_sim.games.normal_form import Equilibrium, NormalFormGame

#: Payoffs that differ by less, in each player's own unit (`NormalFormGame.units`), are alike.
TOLERANCE = 1e-7

Profile = tuple[int, ...]


def minmax_values(game: NormalFormGame, mixed: bool = False) -> Array:
    """Return the least payoff that the others can hold each player to, (n,) [2]_.

    The others play pure actions, or with ``mixed`` mixtures; the player replies best.

    Raises
    ------
    UserError
        When ``mixed`` is asked of a game without exactly two players.
    """
    if not mixed:
        return np.array([own.max(axis=i).min() for i, own in enumerate(game.payoffs)])
    if game.players != 2:
        raise UserError(f"mixed minmax values are for two players, not {game.players}")
    first, second = game.payoffs
    return np.array([zero_sum(first).payoffs[0], zero_sum(second.T).payoffs[0]])


def feasible(game: NormalFormGame, payoffs: npt.ArrayLike) -> bool:
    """Whether some lottery over profiles pays this, to `TOLERANCE` of each player's unit."""
    corners = exactly(game.payoffs.reshape(game.players, -1) / game.units[:, None])
    aim = exactly(_payoffs(game, payoffs) / game.units)
    slack = -np.ones((game.players, 1), dtype=object)
    solved = least(
        np.r_[np.zeros(corners.shape[1], dtype=object), 1],
        np.r_[np.c_[corners, slack], np.c_[-corners, slack]],
        np.r_[aim, -aim],
        np.r_[np.ones(corners.shape[1], dtype=object), 0],
    )
    assert solved is not None  # any lottery is within some distance
    noise = ROUNDING * np.abs(game.payoffs).reshape(game.players, -1).max(1) / game.units
    return solved[1] <= max(TOLERANCE, float(noise.max()))


def individually_rational(
    game: NormalFormGame, payoffs: npt.ArrayLike, mixed: bool = False
) -> bool:
    """Whether nobody gets less than its minmax value: necessary for any equilibrium [2]_."""
    own, least_paid = _payoffs(game, payoffs), minmax_values(game, mixed)
    noise = ROUNDING * np.maximum(np.abs(own), np.abs(least_paid))
    return bool((least_paid - own <= np.maximum(noise, TOLERANCE * game.units)).all())


def critical_discount(
    game: NormalFormGame, cooperation: Profile, punishment: Equilibrium, detection: float = 1.0
) -> float:
    """Return the least discount factor at which Nash reversion sustains a profile [1]_.

    A deviation pays d instead of c once, and with the chance q that it is noticed the
    punishment's p for ever after: ``D* = (d - c) / (d - c + q (c - p))``, the largest over
    players; ``(T - R) / (T - P)`` in the prisoner's dilemma.

    Parameters
    ----------
    cooperation : tuple of n int
        A pure profile.
    punishment : Equilibrium
        Of the stage game, played for ever after a deviation is noticed.
    detection : float
        q, in (0, 1].

    Returns
    -------
    float
        In [0, 1); 0 where nobody gains by deviating even once, and infinity where no
        patience is enough.

    Raises
    ------
    UserError
        When the profile or the chance is out of range, or the punishment is no equilibrium.
    """
    gains, losses = _tempted(game, cooperation, punishment, detection)
    needed = [
        0.0 if gain <= 0 else inf if loss <= 0 else gain / (gain + detection * loss)
        for gain, loss in zip(gains.tolist(), losses.tolist(), strict=True)
    ]
    return max(needed)


def sustainable(
    game: NormalFormGame,
    cooperation: Profile,
    discount: float,
    punishment: Equilibrium,
    detection: float = 1.0,
) -> bool:
    """Whether Nash reversion sustains a profile at this discount factor, in [0, 1).

    Parameters, errors and formula are those of `critical_discount`.
    """
    check_discount(discount)
    gains, losses = _tempted(game, cooperation, punishment, detection)
    net = (1 - discount) * gains - discount * detection * losses
    return bool((net <= 1e-12 * game.units).all())


def _tempted(
    game: NormalFormGame, cooperation: Profile, punishment: Equilibrium, detection: float
) -> tuple[Array, Array]:
    """Return what deviating once gains each player, and what a round of punishment loses."""
    check_profile(game, cooperation)
    if not 0 < detection <= 1:
        raise UserError(f"a deviation is noticed with a chance in (0, 1], got {detection}")
    checked = game.evaluated(punishment.strategies)
    if (game.regrets(punishment.strategies) > TOLERANCE * game.units).any():
        raise UserError(f"the punishment must be an equilibrium; its regret is {checked.regret}")
    counts = game.payoffs.shape[1:]
    pure = game.evaluated([np.eye(a)[c] for a, c in zip(counts, cooperation, strict=True)])
    return game.regrets(pure.strategies), pure.payoffs - checked.payoffs


def _payoffs(game: NormalFormGame, payoffs: npt.ArrayLike) -> Array:
    own = np.asarray(payoffs, dtype=np.float64)
    if own.shape != (game.players,) or not np.isfinite(own).all():
        raise UserError(f"expected {game.players} finite payoffs, got {own}")
    return own


def check_profile(game: NormalFormGame, profile: Profile) -> None:
    """Raise a UserError unless it is a pure profile of the game."""
    counts = game.payoffs.shape[1:]
    if len(profile) != len(counts) or not all(
        0 <= a < n for a, n in zip(profile, counts, strict=True)
    ):
        raise UserError(f"{profile} is no profile of a game with {counts} actions")


def check_discount(discount: float) -> None:
    """Raise a UserError unless it is a discount factor of play without end."""
    if not 0 <= discount < 1:
        raise UserError(f"a discount factor lies in [0, 1), got {discount}")
