"""The row-space test: which words a text gradient was computed on (DAGER, Petrov et al. 2024).

For a linear layer under LoRA with inputs X (T, in) and output gradients G (T, out),
``grad_A = s B^T G^T X`` and ``grad_B = s G^T (X A^T)``. The rows of the first are mixtures of
the inputs, and those of the second of ``X A^T``. Before the first attention these inputs are
embeddings of tokens, so a token was in the batch if its embedding lies in the row
space. With T distinct tokens that tells all of them apart while T <= r (for A) or
T < r (for B). With more, none lies in the row space of A, and that of B is everything,
so that nothing can be told. Where B = 0, as before the first step, grad_A is zero.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.core.arrays import Index

#: Singular values below this share of the largest are rounding error.
NEGLIGIBLE = 1e-6


def row_space_distances(gradient: Tensor, candidates: Tensor) -> Tensor:
    """Return how far each of (V, d) vectors is from the row space of (m, d), over its length.

    In [0, 1]: 0 inside, 1 at right angles. A space that holds everything tells nothing
    and an empty one neither: all distances are then 1.
    """
    _, values, right = torch.linalg.svd(gradient.double(), full_matrices=False)
    rank = int((values > NEGLIGIBLE * values.max().clamp(min=1e-300)).sum())
    if values.max() == 0 or rank == gradient.shape[1]:
        return torch.ones(len(candidates), dtype=torch.float64)
    basis = right[:rank]
    vectors = candidates.double()
    # Not the difference of squared lengths, which would lose half of the digits.
    outside = vectors - (vectors @ basis.T) @ basis
    distances: Tensor = outside.norm(dim=1) / vectors.norm(dim=1).clamp(min=1e-300)
    return distances


def tokens_from_a(gradient: Tensor, embeddings: Tensor, tolerance: float = 1e-3) -> Index:
    """Return the tokens whose embedding (V, in) is in the row space of grad_A (r, in)."""
    return _below(row_space_distances(gradient, embeddings), tolerance)


def tokens_from_b(
    gradient: Tensor, a: Tensor, embeddings: Tensor, tolerance: float = 1e-3
) -> Index:
    """Return the tokens whose image under A (r, in) is in the row space of grad_B (out, r).

    With T = r - 1 tokens that space is a hyperplane of few dimensions, which a word that is
    not present comes nearer than ``tolerance`` with a chance of about ``tolerance``.
    """
    return _below(row_space_distances(gradient, embeddings.double() @ a.double().T), tolerance)


def recovered_share(found: Index, present: Index, vocabulary: int) -> float:
    """Return the share of the tokens present that is found, less that of the others.

    P of Eq. 12, Youden's index: 1 when exactly the tokens present are found, 0 when none is,
    and 0 in the mean where tokens are called present at random, however many.

    Parameters
    ----------
    found, present : arrays of int
        Tokens; each counts once.
    vocabulary : int
        How many tokens there are.
    """
    truth, guessed = set(present.tolist()), set(found.tolist())
    right = len(guessed & truth) / len(truth) if truth else 0.0
    absent = vocabulary - len(truth)
    return right - (len(guessed - truth) / absent if absent else 0.0)


def _below(distances: Tensor, tolerance: float) -> Index:
    return np.flatnonzero(distances.numpy() < tolerance).astype(np.int64)
