"""What a coalition of participants is worth, from what is known of their data.

Each function makes a `CoalitionGame` out of arrays, for any scheme to evaluate.
The sixth utility of the literature, model performance, takes training and comes
from the learning side.

References
----------
.. [1] M. O. Hill, "Diversity and evenness: a unifying notation and its
   consequences", Ecology 54(2), 1973, pp. 427-432.
.. [2] X. Xu, L. Lyu, X. Ma, C. Miao, C.-S. Foo and B. K. H. Low, "Gradient driven
   rewards to guarantee fairness in collaborative machine learning", NeurIPS 2021.
.. [3] R. H. L. Sim, Y. Zhang, M. C. Chan and B. K. H. Low, "Collaborative machine
   learning with incentive-aware model rewards", ICML 2020, pp. 8927-8936.
.. [4] Y. Chen, X. Yang, X. Qin, H. Yu, B. Chen and Z. Shen, "FOCUS: dealing with
   label quality disparity in federated learning", arXiv:2001.11359, 2020.
.. [5] Y. Kwon, E. Wu, K. Wu and J. Zou, "DataInf: efficiently estimating data
   influence in LoRA-tuned LLMs and diffusion models", ICLR 2024.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.game import CoalitionGame, Masks, Values
from fedfm_sim.mechanisms.contribution.core import members
from fedfm_sim.mechanisms.contribution.cosine_gradient import checked_gram

Valuation = Callable[[Masks], Values]

#: Numbers in the arrays of one block of coalitions: 32 MiB.
BLOCK_NUMBERS = 1 << 22

#: A probability below it counts as it, so that one example costs 28 nats at most.
LEAST_PROBABILITY = 1e-12


def data_size(counts: npt.ArrayLike) -> CoalitionGame:
    """Return the game in which a coalition is worth its number of examples.

    Parameters
    ----------
    counts : (n, classes) array
        Examples of each class that each participant holds.

    Returns
    -------
    CoalitionGame
        In examples; additive.

    Raises
    ------
    UserError
        When a count is negative or not finite, or there is no class.
    """
    return _additive(_table(counts, "label counts").sum(axis=1))


def label_diversity(counts: npt.ArrayLike) -> CoalitionGame:
    """Return the game in which a coalition is worth its effective number of classes.

    The exponential of the entropy of its pooled labels [1]_: 1 where all are of
    one class, ``classes`` where all are as many. Who adds more of what is there
    already can lower it. Without examples, the value is 0.

    Parameters
    ----------
    counts : (n, classes) array
        Examples of each class that each participant holds.

    Returns
    -------
    CoalitionGame
        In classes.

    Raises
    ------
    UserError
        When a count is negative or not finite, or there is no class.
    """
    labels = _table(counts, "label counts")

    def effective(masks: Masks) -> Values:
        pooled = members(masks, len(labels)) @ labels
        totals = pooled.sum(axis=1, keepdims=True)
        shares = np.divide(pooled, totals, out=np.zeros_like(pooled), where=totals > 0)
        logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
        return np.where(totals[:, 0] > 0, np.exp(-(shares * logs).sum(axis=1)), 0.0)

    return CoalitionGame(len(labels), effective)


def model_similarity(gram: npt.ArrayLike, weights: npt.ArrayLike) -> CoalitionGame:
    """Return the game of how alike a coalition's update is to that of all.

    The cosine between the weighted mean update of the coalition and of the grand
    coalition; 0 where either is nothing. With updates of length 1 its Shapley
    value is the cosine-gradient Shapley value [2]_.

    Parameters
    ----------
    gram : (n, n) array
        Inner products of the participants' updates.
    weights : (n,) array
        Aggregation weights, at least 0.

    Returns
    -------
    CoalitionGame
        Cosines, in [-1, 1].

    Raises
    ------
    UserError
        When the shapes differ, or a number is out of range.
    """
    products = checked_gram(gram)
    shares = _scores(weights, len(products), "weights")
    if (shares < 0).any():
        raise UserError("weights must be at least 0")
    everyone = products @ shares
    all_square = float(shares @ everyone)
    # What rounding leaves of updates that cancel out points nowhere.
    least = 1e-12 * float(np.abs(products).max()) * float(shares.sum()) ** 2

    def cosine(masks: Masks) -> Values:
        parts = members(masks, len(products)) * shares
        squares = ((parts @ products) * parts).sum(axis=1)
        some = (squares > least) & (all_square > least)
        lengths = np.sqrt(np.where(some, squares, 1.0) * max(all_square, least))
        cosines = np.divide(parts @ everyone, lengths, out=np.zeros(masks.size), where=some)
        return np.clip(cosines, -1.0, 1.0)

    return CoalitionGame(len(products), cosine)


def mutual_information(moments: npt.ArrayLike, signal_to_noise: float = 1.0) -> CoalitionGame:
    r"""Return the game of what a coalition's data tells of a linear model.

    .. math:: I(\theta; D_S) = \tfrac12 \log\det\Bigl(I +
       \frac{\tau^2}{\sigma^2} \sum_{i \in S} X_i^\top X_i\Bigr)

    which is the information gained on the weights of a Bayesian linear regression
    over the features X, of prior variance ``tau**2`` and noise ``sigma**2`` [3]_.
    It never falls as players join, and adds ever less: who repeats the others'
    data adds little. Labels are not looked at.

    Parameters
    ----------
    moments : (n, d, d) array
        ``X_i.T @ X_i`` of each participant's features, such as embeddings.
    signal_to_noise : float
        ``tau**2 / sigma**2``, above 0.

    Returns
    -------
    CoalitionGame
        In nats.

    Raises
    ------
    UserError
        When a matrix is not square, finite, symmetric and positive
        semidefinite, or the ratio is not above 0.
    """
    given = np.array(moments, dtype=np.float64)
    if given.ndim != 3 or given.shape[1] != given.shape[2] or not given.size:
        raise UserError(f"moments have shape (participants, d, d), got {given.shape}")
    if not np.isfinite(given).all() or not np.allclose(given, given.transpose(0, 2, 1)):
        raise UserError("moments must be finite and symmetric")
    if (np.linalg.eigvalsh(given) < -1e-6 * np.abs(given).max()).any():
        raise UserError("moments are sums of squares, so no eigenvalue is negative")
    if not (np.isfinite(signal_to_noise) and signal_to_noise > 0):
        raise UserError(f"the signal-to-noise ratio must be above 0, got {signal_to_noise}")
    n, d, _ = given.shape

    def gained(masks: Masks) -> Values:
        pooled = (members(masks, n) @ given.reshape(n, -1)).reshape(-1, d, d)
        logs: Values = np.linalg.slogdet(np.eye(d) + signal_to_noise * pooled)[1]
        return np.maximum(logs / 2, 0.0)

    return CoalitionGame(n, _in_blocks(gained, d * d))


def mutual_cross_entropy(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    local_losses: npt.ArrayLike,
    sizes: npt.ArrayLike,
) -> CoalitionGame:
    """Return the game of how well a coalition and the federation predict each other's labels.

    The mutual cross-entropy of a participant is the loss of its model on the
    server's benchmark plus the loss of the federation's model on its data; wrong
    labels raise both [4]_. A coalition, which the paper does not speak of,
    predicts here with the mean of its members' probabilities and holds their
    data together, all in proportion to size. Its value is by how much both
    losses are lower than those of a guess, which is ``2 log(classes)`` less the
    mutual cross-entropy; 0 for the empty coalition.

    Parameters
    ----------
    probabilities : (n, m, classes) array
        What each participant's model predicts on the m benchmark examples.
    labels : (m,) int array
        Their classes.
    local_losses : (n,) array
        Mean cross-entropy of the federation's model on each one's data, nats.
    sizes : (n,) array
        Examples that each holds, above 0.

    Returns
    -------
    CoalitionGame
        In nats; negative where a guess is better.

    Raises
    ------
    UserError
        When shapes differ, probabilities do not sum to 1, labels are no classes,
        or a number is out of range.
    """
    given, truth = np.array(probabilities, dtype=np.float64), np.asarray(labels)
    if given.ndim != 3 or truth.shape != given.shape[1:2] or not given.size:
        raise UserError(
            f"probabilities are (participants, examples, classes) and labels one per example, "
            f"got {given.shape} and {truth.shape}"
        )
    if not ((given >= 0).all() and np.allclose(given.sum(axis=2), 1.0, atol=1e-4)):
        raise UserError("probabilities must be at least 0 and sum to 1")
    n, examples, classes = given.shape
    if not np.issubdtype(truth.dtype, np.integer) or not ((truth >= 0) & (truth < classes)).all():
        raise UserError(f"labels must be whole numbers from 0 to {classes - 1}")
    losses = _scores(local_losses, n, "local losses")
    shares = _scores(sizes, n, "sizes")
    if (losses < 0).any() or (shares <= 0).any():
        raise UserError("local losses must be at least 0, and sizes above 0")
    of_truth = given[:, np.arange(examples), truth]

    def below_a_guess(masks: Masks) -> Values:
        parts = members(masks, n) * shares
        some = masks > 0
        parts /= np.where(some, parts.sum(axis=1), 1.0)[:, None]
        benchmark = -np.log(np.maximum(parts @ of_truth, LEAST_PROBABILITY)).mean(axis=1)
        return np.where(some, 2 * np.log(classes) - benchmark - parts @ losses, 0.0)

    return CoalitionGame(n, _in_blocks(below_a_guess, examples))


def influence(scores: npt.ArrayLike) -> CoalitionGame:
    """Return the additive game of what each one's examples do to the validation loss.

    Influence is first-order, so that of a coalition is the sum of its members'
    [5]_, and every scheme that is efficient on additive games gives the scores.

    Parameters
    ----------
    scores : (n,) array
        What each one's data does to the validation loss; positive is helpful.

    Returns
    -------
    CoalitionGame
        In the unit of the scores.

    Raises
    ------
    UserError
        When the scores are not flat, or not finite.
    """
    given = np.asarray(scores, dtype=np.float64)
    return _additive(_scores(given, given.size, "influence scores"))


def _additive(worth: Values) -> CoalitionGame:
    return CoalitionGame(worth.size, lambda masks: members(masks, worth.size) @ worth)


def _in_blocks(function: Valuation, numbers: int) -> Valuation:
    """Return a valuation that takes no more coalitions at once than memory should hold."""
    size = max(1, BLOCK_NUMBERS // numbers)

    def blocks(masks: Masks) -> Values:
        starts = range(0, masks.size, size)
        return np.concatenate([function(masks[start : start + size]) for start in starts])

    return blocks


def _table(given: npt.ArrayLike, what: str) -> Values:
    table = np.array(given, dtype=np.float64)
    if table.ndim != 2 or not table.size or not (np.isfinite(table) & (table >= 0)).all():
        raise UserError(f"{what} form a (participants, classes) table of numbers of at least 0")
    return table


def _scores(given: npt.ArrayLike, size: int, what: str) -> Values:
    scores = np.array(given, dtype=np.float64)
    if scores.shape != (size,) or not np.isfinite(scores).all():
        raise UserError(f"{what} must be one finite number per participant")
    return scores
