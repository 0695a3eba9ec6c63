"""CGSV: contributions from how far each update points where all of them point.

References
----------
.. [1] X. Xu, L. Lyu, X. Ma, C. Miao, C.-S. Foo and B. K. H. Low, "Gradient driven
   rewards to guarantee fairness in collaborative machine learning", NeurIPS 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import Values

#: Importance before it is normalised is at least this [1]_.
LEAST_IMPORTANCE = 1e-3


@dataclass(frozen=True, eq=False)
class CosineGradient:
    """The cosine-gradient contributions of one round.

    Attributes
    ----------
    cosines : (n,) array
        Cosine between each update and the aggregate, in [-1, 1]; 0 for an
        update of nothing, and for all where the updates cancel out.
    importance : (n,) array
        The moving average ``r``, positive and summing to 1. It is both the
        contribution and what the next round takes.
    download : (n,) array
        The share ``q`` of the aggregate's largest components that each is
        sent back as its reward, in (0, 1]; the most important gets all.
    """

    cosines: Values
    importance: Values
    download: Values


def cosine_gradient(
    gram: npt.ArrayLike,
    weights: npt.ArrayLike,
    importance: npt.ArrayLike | None = None,
    *,
    memory: float = 0.95,
    altruism: float = 1.0,
) -> CosineGradient:
    r"""Return one round of cosine-gradient contributions, CGSV [1]_.

    The updates are scaled to length 1 and averaged, ``u = sum_i w_i g_i / |g_i|``.
    The contribution ``phi_i = cos(g_i, u)`` stands for the Shapley value of
    the game ``v(S) = cos(u_S, u_N)``, and

    .. math:: r_i \leftarrow \mathrm{normalise}\bigl(
       \max(\alpha r_i + (1 - \alpha) \phi_i, 10^{-3})\bigr), \qquad
       q_i = \frac{\tanh(\beta r_i)}{\max_j \tanh(\beta r_j)}

    Parameters
    ----------
    gram : (n, n) array
        Inner products of the participants' updates; no update is needed itself.
    weights : (n,) array
        Aggregation weights, at least 0.
    importance : (n,) array, optional
        ``r`` of the round before; zero in the first.
    memory : float
        ``alpha`` in [0, 1): how much of the past is kept.
    altruism : float
        ``beta`` above 0: the larger, the more alike are the rewards.

    Returns
    -------
    CosineGradient

    Raises
    ------
    UserError
        When the shapes differ, a number is not finite or out of range, or the
        matrix cannot be one of inner products.

    Notes
    -----
    Neither data nor a validation set is looked at. A free rider who copies the
    last aggregate, or any two who send the same, score as well as who did the
    work; participants are told apart by direction alone, for lengths are
    scaled away.

    Examples
    --------
    >>> half = 0.5**0.5
    >>> gram = [[1, 0, half], [0, 1, half], [half, half, 1]]
    >>> cosine_gradient(gram, [1, 1, 1]).importance.round(6).tolist()
    [0.292893, 0.292893, 0.414214]
    """
    products = checked_gram(gram)
    shares = _vector(weights, len(products), "weights")
    before = np.zeros(len(products)) if importance is None else importance
    before = _vector(before, len(products), "importance")
    if not 0 <= memory < 1:
        raise UserError(f"memory must lie in [0, 1), got {memory}")
    if not (np.isfinite(altruism) and altruism > 0):
        raise UserError(f"altruism must be finite and above 0, got {altruism}")

    lengths = np.sqrt(np.diag(products))
    inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    similarity = products * np.outer(inverse, inverse)
    cosines = cosines_to_sum(similarity, shares)
    raised = np.maximum(memory * before + (1 - memory) * cosines, LEAST_IMPORTANCE)
    new = raised / raised.sum()
    reward = np.tanh(altruism * new)
    return CosineGradient(cosines, new, reward / reward.max())


def cosines_to_sum(gram: Values, weights: Values) -> Values:
    """Return the cosine of each of n vectors with their weighted sum; 0 where either is nothing.

    Parameters
    ----------
    gram : (n, n) array
        Their inner products.
    weights : (n,) array
    """
    along = gram @ weights
    scale = float(np.abs(gram).max(initial=0.0)) * float(weights.sum()) ** 2
    square = float(weights @ along)
    # What rounding leaves of updates that cancel out points nowhere.
    if square <= 1e-12 * scale:
        return np.zeros(len(gram))
    lengths = np.sqrt(np.diag(gram) * square)
    cosines = np.divide(along, lengths, out=np.zeros_like(along), where=lengths > 0)
    return np.clip(cosines, -1.0, 1.0)


def checked_gram(gram: npt.ArrayLike) -> Values:
    """Return a Gram matrix as an array.

    Raises
    ------
    UserError
        When it is not square, finite, symmetric and of non-negative diagonal.
    """
    products = np.array(gram, dtype=np.float64)
    if products.ndim != 2 or len(products) != products.shape[1] or not products.size:
        raise UserError(f"inner products form a square matrix, got shape {products.shape}")
    if not np.isfinite(products).all():
        raise UserError("inner products must be finite")
    slack = 1e-6 * float(np.abs(products).max())
    if (np.diag(products) < 0).any() or np.abs(products - products.T).max() > slack:
        raise UserError("a matrix of inner products is symmetric, its diagonal at least 0")
    return products


def _vector(given: npt.ArrayLike, size: int, what: str) -> Values:
    vector = np.array(given, dtype=np.float64)
    if vector.shape != (size,) or not (np.isfinite(vector) & (vector >= 0)).all():
        raise UserError(f"{what} must be {size} finite numbers of at least 0")
    return vector
