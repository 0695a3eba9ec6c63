"""Outcomes read off a surface that was fitted to real training runs.

References
----------
.. [1] C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT
   Press, 2006, chapters 2 and 5.
"""

from __future__ import annotations

import warnings
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from fedfm_sim.core.arrays import Array
from fedfm_sim.core.errors import UserError
from fedfm_sim.simulation.measurements import MEASURES, Measurements, bounds
from fedfm_sim.simulation.outcomes import Outcome, checked_shares


class MeasuredOutcomes:
    """A Gaussian process for each outcome, over the square roots of the shares [1]_.

    Outcomes are steepest where the first attackers come in; square roots of shares put
    points there farther apart (Hellinger distance). What was the same in every run is a constant.
    A run's own luck is part of the model, as white noise, so that the uncertainty is that of
    one more federation at the same shares.

    Parameters
    ----------
    table : Measurements

    Attributes
    ----------
    actions : tuple of m str
    """

    def __init__(self, table: Measurements) -> None:
        self.table, self.actions = table, table.actions
        rows = table.rows
        self._constants = {
            name: float(rows[name].iloc[0]) for name in table.outputs if rows[name].nunique() == 1
        }
        self.fitted = {
            name: _fit(np.sqrt(table.points), rows[name].to_numpy(np.float64))
            for name in table.outputs
            if name not in self._constants
        }
        # Means and deviations are asked for one after the other.
        self._predict = lru_cache(maxsize=1)(self._read)

    @classmethod
    def fit(cls, table: Measurements) -> MeasuredOutcomes:
        """Fit the surface to measured runs."""
        return cls(table)

    @property
    def runs(self) -> pd.DataFrame:
        """Name the runs that the surface comes from: scenario, seed, digest, and shares."""
        return self.table.rows[["scenario", "seed", "digest", *self.table.share_columns]]

    def outcome(self, shares: Array) -> Outcome:
        """Return the means at shares (m,).

        Raises
        ------
        UserError
            When the shares lie outside the convex hull of the measured ones.
        """
        return self._predict(tuple(shares))[0]

    def uncertainty(self, shares: Array) -> Outcome:
        """Return by how far one more federation would differ, one standard deviation.

        Raises
        ------
        UserError
            As `outcome`.
        """
        return self._predict(tuple(shares))[1]

    def _read(self, shares: tuple[float, ...]) -> tuple[Outcome, Outcome]:
        at = np.sqrt(self._inside(np.array(shares)))[None]
        means, deviations = dict(self._constants), dict.fromkeys(self._constants, 0.0)
        for name, fitted in self.fitted.items():
            mean, deviation = fitted.predict(at, return_std=True)
            means[name] = float(np.clip(mean[0], *bounds(name)))
            deviations[name] = float(deviation[0])
        return self._assembled(means), self._assembled(deviations)

    def _inside(self, shares: Array) -> Array:
        """Return shares that are a mixture of measured ones."""
        points = np.unique(self.table.points, axis=0)
        given = checked_shares(shares, self.actions)
        given = np.asarray(given / given.sum())
        if nnls(points.T, given)[1] > 1e-6:
            nearest = points[np.linalg.norm(points - given, axis=1).argmin()]
            both = [
                ", ".join(f"{a} {s:.3g}" for a, s in zip(self.actions, x, strict=True))
                for x in (given, nearest)
            ]
            raise UserError(
                f"shares {both[0]} lie outside what was measured; nearest measured: {both[1]}"
            )
        return given

    def _assembled(self, values: dict[str, float]) -> Outcome:
        success, detection, leakage = (
            np.array([values[f"{measure}:{name}"] for name in self.actions]) for measure in MEASURES
        )
        return Outcome(success, detection, leakage, values["accuracy"])

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """Every run as the runs at other shares foretell it ([1]_, eq. 5.12, for groups).

        Columns ``output``, ``measured``, ``foretold`` and ``deviation``, one standard
        deviation. Length scales, noise and the scale of the output are those of the fit to
        all. Points at the rim are extrapolated to here, which `outcome` refuses to do.
        """
        _, place = np.unique(self.table.points, axis=0, return_inverse=True)
        parts = []
        for name, fitted in self.fitted.items():
            values = self.table.rows[name].to_numpy(np.float64)
            scale, inverse = values.std(), np.linalg.inv(fitted.kernel_(fitted.X_train_))
            weighed = inverse @ (values - values.mean())
            for own in (np.flatnonzero(place == p) for p in range(place.max() + 1)):
                covariance = np.linalg.inv(inverse[np.ix_(own, own)])
                part = {
                    "measured": values[own],
                    "foretold": values[own] - covariance @ weighed[own],
                    "deviation": scale * np.sqrt(np.diag(covariance)),
                }
                parts.append(pd.DataFrame({"output": name, **part}))
        columns = ["output", "measured", "foretold", "deviation"]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)

    @property
    def error(self) -> dict[str, float]:
        """Root mean square error of each output when a share point is held out."""
        missed = self.held_out.assign(square=lambda t: (t["measured"] - t["foretold"]) ** 2)
        found = np.sqrt(missed.groupby("output", sort=False)["square"].mean())
        return {str(name): float(value) for name, value in found.items()}

    @property
    def coverage(self) -> float:
        """Share of held-out runs within two standard deviations of what was foretold."""
        table = self.held_out
        within = (table["measured"] - table["foretold"]).abs() <= 2 * table["deviation"]
        return float(within.mean()) if len(table) else 1.0


def _fit(points: Array, values: Array) -> Any:
    """Return a fitted regressor."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    scales = Matern(np.full(points.shape[1], 0.5), (5e-2, 1e1), nu=2.5)
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * scales + WhiteKernel(0.05, (1e-5, 1.0))
    with warnings.catch_warnings():
        # A length scale at its bound says that a share does not matter.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianProcessRegressor(kernel, normalize_y=True).fit(points, values)
