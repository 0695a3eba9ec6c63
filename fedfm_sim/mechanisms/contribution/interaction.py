"""Contributions from how measured accuracy varied with who took part.

References
----------
.. [1] S. K. Shyn, D. Kim and K. Kim, "FedCCEA: a practical approach of client
   contribution evaluation for federated learning", arXiv:2106.02310, 2021.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.mechanisms.contribution.shapley import shapley_values

#: Rounds are held out in so many parts to measure the model's skill.
FOLDS = 5


@dataclass(frozen=True, eq=False)
class AccuracyModel:
    """What accuracy is expected, by how much data each participant brings.

    Attributes
    ----------
    values : (n,) array
        Contribution of each: its Shapley value in ``game``.
    game : CoalitionGame
        The expected accuracy of every coalition at full size, for any scheme.
    skill : float
        Part of the variance of the measured accuracies that is explained in
        rounds the model was not fitted on: 1 is perfect, and at 0 or below
        the values mean nothing.
    """

    values: Values
    game: CoalitionGame
    skill: float


def accuracy_model(
    sizes: npt.ArrayLike,
    accuracies: npt.ArrayLike,
    *,
    hidden: int = 16,
    penalty: float = 0.1,
    seed: int = 0,
) -> AccuracyModel:
    """Fit accuracy to the participants' data sizes, in the manner of FedCCEA [1]_.

    A network of one hidden ReLU layer learns the accuracy of a round from how
    much data each participant trained on in it, over rounds whose sizes were
    varied; no data, update or coalition is needed.

    Parameters
    ----------
    sizes : (rounds, n) array
        Share of its data that each brought into each round, in [0, 1]; any
        other unit is scaled by each participant's largest.
    accuracies : (rounds,) array
        Measured at the end of each round, or of a training with these sizes.
    hidden : int
        Width of the hidden layer.
    penalty : float
        Weight of the squared parameters in the fit.
    seed : int
        Of the network's first parameters and of the parts held out.

    Returns
    -------
    AccuracyModel

    Raises
    ------
    UserError
        With fewer rounds than 10, sizes that never vary or are negative,
        numbers that are not finite, or more participants than a table takes.

    Notes
    -----
    The paper reads a participant's quality off the network's weights; weights of
    a hidden layer are not unique, so here it is what taking part changes in
    the network's answer, on average over the order of joining. That answer is a
    regression, not a measurement, and has the error that ``skill`` tells of. What
    leaving one out of all changes lies at the edge of the rounds seen, and is
    about three times less accurate in the tests' federation.
    """
    given, measured = np.array(sizes, np.float64), np.array(accuracies, np.float64)
    _check(given, measured, hidden, penalty)
    # sklearn takes a second to import, and nothing else of this layer needs it.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.neural_network import MLPRegressor

    shares = given / given.max(axis=0)
    mean, spread = float(measured.mean()), float(measured.std())
    network = MLPRegressor(
        hidden_layer_sizes=(hidden,),
        solver="lbfgs",
        alpha=penalty,
        max_iter=500,
        random_state=seed,
    )
    target = (measured - mean) / spread
    with warnings.catch_warnings():
        # The penalty ends the fit in any case; a last digit more changes nothing.
        warnings.simplefilter("ignore", ConvergenceWarning)
        folds = KFold(FOLDS, shuffle=True, random_state=seed)
        unseen = cross_val_predict(network, shares, target, cv=folds)
        network.fit(shares, target)

    n = shares.shape[1]

    def expected(masks: Masks) -> Values:
        inside = ((masks[:, None] >> np.arange(n)) & 1).astype(np.float64)
        predicted: Values = mean + spread * np.asarray(network.predict(inside), np.float64)
        return predicted

    game = CoalitionGame(n, expected)
    skill = 1 - float(((unseen - target) ** 2).mean())
    return AccuracyModel(shapley_values(game), game, skill)


def _check(sizes: Values, accuracies: Values, hidden: int, penalty: float) -> None:
    if sizes.ndim != 2 or accuracies.shape != sizes.shape[:1]:
        raise UserError(
            f"sizes are (rounds, participants) and accuracies one per round, "
            f"got {sizes.shape} and {accuracies.shape}"
        )
    if len(sizes) < 2 * FOLDS:
        raise UserError(f"an accuracy model needs {2 * FOLDS} rounds at least, got {len(sizes)}")
    if not (np.isfinite(accuracies).all() and np.isfinite(sizes).all() and (sizes >= 0).all()):
        raise UserError("sizes must be finite and at least 0, accuracies finite")
    if (np.ptp(sizes, axis=0) == 0).any() or np.ptp(accuracies) == 0:
        raise UserError("the size of every participant, and the accuracy, must vary over rounds")
    if hidden < 1 or not (np.isfinite(penalty) and penalty >= 0):
        raise UserError("the hidden layer has 1 unit at least, its penalty is at least 0")
