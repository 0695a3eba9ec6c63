"""What reverse auctions have in common: bids checked and ranked, and the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from fedfm_sim.core.arrays import Array, Index, Mask
from fedfm_sim.core.errors import UserError
from fedfm_sim.mechanisms.protocol import Allocation, Mechanism, Offers

#: Units of work (any shape) to the money they are worth; concave, 0 at 0.
Worth = Callable[[Array], Array]

#: Money that differs by less than this share is the same, but for rounding.
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class ReverseResult:
    """Who won a reverse auction, and what each is paid.

    Attributes
    ----------
    selected : (n,) bool array
        The winners.
    payments : (n,) array
        Money; zero for losers.
    """

    selected: Mask
    payments: Array

    @property
    def winners(self) -> tuple[int, ...]:
        """The indices of the winners, ascending."""
        return tuple(np.flatnonzero(self.selected).tolist())

    def to_frame(self) -> pd.DataFrame:
        """Return one row per bidder, and a column per array of the result."""
        arrays = {name: v for name, v in vars(self).items() if isinstance(v, np.ndarray)}
        return pd.DataFrame(arrays).rename_axis("bidder")


@dataclass(frozen=True, eq=False)
class UniformPriceResult(ReverseResult):
    """The result of a reverse auction with one price for all winners.

    Attributes
    ----------
    price : float
        Money that each winner is paid; zero when nobody won.
    """

    price: float


def nonnegative(
    name: str, values: npt.ArrayLike, *, infinite: bool = False, ndim: int = 1
) -> Array:
    """Return ``values`` as an array, checked; ``infinite`` lets infinity pass.

    Raises
    ------
    UserError
        When they are not of ``ndim`` dimensions, negative, NaN or infinite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != ndim:
        raise UserError(f"{name} must have {ndim} dimensions, got shape {array.shape}")
    if np.isnan(array).any() or (array < 0).any():
        raise UserError(f"{name} must be at least 0")
    if not infinite and np.isinf(array).any():
        raise UserError(f"{name} must be finite")
    return array


def same_length(**arrays: Array) -> None:
    """Check that all have one length.

    Raises
    ------
    UserError
        When they do not.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{length} {name}" for name, length in lengths.items())
        raise UserError(f"each bidder needs one of each, got {said}")


def at_least_one(name: str, number: int) -> None:
    """Check a count.

    Raises
    ------
    UserError
        When it is below 1.
    """
    if number < 1:
        raise UserError(f"{name} must be at least 1, got {number}")


def within(asks: npt.ArrayLike, limits: npt.ArrayLike) -> Mask:
    """Return whether asks are at most their limits, but for rounding: in any unit of money."""
    return np.asarray(np.asarray(asks) <= np.asarray(limits) * (1 + ROUNDING), dtype=np.bool_)


def ranked(values: Array) -> Index:
    """Return the order of finite values, the least first.

    Ties go to the lower index, also where rounding alone tells them apart.
    """
    order = np.argsort(values, kind="stable")
    rising = values[order]
    new = np.diff(rising, prepend=rising[:1]) > ROUNDING * np.abs(rising)
    ranks: Index = order[np.lexsort((order, np.cumsum(new)))]
    return ranks


def ascending(asks: Array, reserve: float = np.inf) -> Index:
    """Return the bidders with a finite ask of at most ``reserve``, cheapest first.

    Ties go to the lower index.
    """
    admitted = np.flatnonzero(np.isfinite(asks) & within(asks, reserve))
    order: Index = admitted[ranked(asks[admitted])]
    return order


def chosen(size: int, who: Index) -> Mask:
    """Return the (size,) mask that is true at the indices ``who``."""
    mask = np.zeros(size, dtype=np.bool_)
    mask[who] = True
    return mask


def saturating_worth(value: float, scale: float) -> Worth:
    """Return ``g(X) = value * (1 - exp(-X / scale))`` of arrays of units of work."""

    def worth(units: Array) -> Array:
        return np.asarray(-value * np.expm1(-units / scale), dtype=np.float64)

    return worth


def standing_asks(offers: Offers) -> Array:
    """Return the asks, infinite for those who offer no work, money."""
    return np.where(offers.units > 0, offers.asks, np.inf)


def asks_per_unit(offers: Offers) -> Array:
    """Return the asks per unit of work, infinite for those who offer none."""
    per_unit = np.full(len(offers.units), np.inf)
    with np.errstate(over="ignore"):  # as good as no offer
        np.divide(offers.asks, offers.units, out=per_unit, where=offers.units > 0)
    return per_unit


def pay_for_units(result: ReverseResult, offers: Offers) -> Allocation:
    """Return the allocation of an auction whose payments are per unit of work."""
    due = np.where(result.selected, result.payments * offers.units, 0.0)
    return Allocation(result.selected, due)


class LowestAsksWin(Mechanism):
    """Base of the auctions that some of the lowest asks per unit of work win.

    Attributes
    ----------
    winners : int
        How many are taken at most. The default of 5 is half the participants of
        a default scenario.
    reserve : float
        Highest ask per unit that can win, money. The default of 0.1 is what the
        first unit is worth where unlimited work is worth 100 and 1000 units are
        the scale, the defaults of the mechanisms with a saturating value.
    """

    winners: int = Field(default=5, ge=1)
    reserve: float = Field(default=0.1, gt=0)
