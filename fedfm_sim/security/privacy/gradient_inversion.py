"""Gradient inversion: the image that a gradient was computed on.

A participant that sends the gradient of one step sends, to one who looks, much of the
example itself: by search (DLG), or by plain algebra where a layer's own gradients
tell its input.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from fedfm_sim.core.errors import UserError
from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.backbone import Backbone, example_losses, freeze
from fedfm_sim.learning.trainer import stacked

#: From an image (1, C, H, W) and a label (1,) to the gradient of each of some tensors.
GradientOf = Callable[[Tensor, Tensor], list[Tensor]]

#: An objective below this is the image itself, but for rounding.
FOUND = 1e-5


def full_gradient(backbone: Backbone) -> GradientOf:
    """Return the gradient of the loss by all parameters of the model, in float64."""
    model = deepcopy(backbone.model).double().requires_grad_(True)
    parameters = list(model.parameters())

    def gradient(image: Tensor, label: Tensor) -> list[Tensor]:
        with sdpa_kernel(SDPBackend.MATH):  # the others have no second derivative
            loss = example_losses(model(pixel_values=image).logits, label).sum()
            parts = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
        return [part for part in parts if part is not None]

    return gradient


def adapter_gradient(backbone: Backbone, layout: AdapterLayout, adapter: Tensor) -> GradientOf:
    """Return the gradient of the loss by a (P,) adapter alone, in float64.

    Where B is zero, as at the start, A has no gradient, and half of this is zeros.
    """
    own = freeze(backbone.name, deepcopy(backbone.model).double())
    row = adapter.double()[None].requires_grad_()

    def gradient(image: Tensor, label: Tensor) -> list[Tensor]:
        with stacked(own, layout) as layers, sdpa_kernel(SDPBackend.MATH):
            views = layout.views(row)
            for module in layout.modules:
                layers[module].factors = layout.pair(views, module)
            loss = example_losses(own.model(pixel_values=image).logits, label).sum()
            parts = torch.autograd.grad(loss, list(views.values()), create_graph=True)
        return list(parts)

    return gradient


def invert(
    gradient_of: GradientOf,
    seen: list[Tensor],
    label: Tensor,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    restarts: int = 4,
    iterations: int = 100,
) -> Tensor:
    """Return the image whose gradient looks most like the one seen (DLG, Zhu et al. 2019).

    Minimises the mean over tensors of ``1 - cos(g(x), g)`` (Geiping et al. 2020), which unlike
    the squared distance does not mind that a well-known image has a tiny gradient:
    by Adam among images, then by L-BFGS, from dark random images, until found. The
    label is taken as known: iDLG's `label_from_bias` reads it off (Zhao et al. 2020).

    Parameters
    ----------
    gradient_of : callable
        What the participant computed; see `full_gradient` and `adapter_gradient`.
    seen : list of Tensor
        The gradient, perhaps clipped and noisy. Tensors that are all zero are left out.
    label : Tensor
        (1,) the class.
    shape : tuple of int
        (C, H, W).
    rng : numpy.random.Generator
        Draws the starting images.
    restarts, iterations : int
        At most so many starts; steps of Adam, and of L-BFGS after it.

    Returns
    -------
    Tensor
        (C, H, W) float64 in [0, 1].
    """
    best, least = torch.zeros(shape, dtype=torch.float64), np.inf
    told = [k for k, part in enumerate(seen) if bool(part.any())]

    def unlike(image: Tensor) -> Tensor:
        own = gradient_of(image, label)
        pairs = [(own[k].flatten(), seen[k].detach().flatten()) for k in told]
        return torch.stack([1 - torch.cosine_similarity(a, b, dim=0) for a, b in pairs]).mean()

    for _ in range(restarts if told else 0):
        image = torch.from_numpy(0.1 * rng.random((1, *shape))).requires_grad_()
        _descend(image, unlike, iterations)
        found = float(unlike(image).detach())
        if found < least:
            best, least = image.detach()[0].clamp(0, 1), found
        if least < FOUND:
            break
    return best


def _descend(image: Tensor, objective: Callable[[Tensor], Tensor], iterations: int) -> None:
    adam = torch.optim.Adam([image], 0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, iterations)
    for _ in range(iterations):
        (image.grad,) = torch.autograd.grad(objective(image), [image])
        adam.step()
        schedule.step()
        with torch.no_grad():
            image.clamp_(0, 1)
    newton = torch.optim.LBFGS(
        [image],
        max_iter=iterations,
        history_size=50,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-12,
        tolerance_change=1e-14,
    )

    def closure() -> Tensor:
        value = objective(image)
        (image.grad,) = torch.autograd.grad(value, [image])
        return value.detach()

    newton.step(closure)  # type: ignore[no-untyped-call]


def label_from_bias(gradient: Tensor) -> int:
    """Return the label of a single example from the last bias's gradient (C,) (iDLG).

    It is ``p - y``: negative for the true class and for no other.
    """
    return int(gradient.argmin())


def linear_input(weight_gradient: Tensor, bias_gradient: Tensor) -> Tensor:
    """Return the input (in,) of a linear layer with bias, of one example, exactly.

    ``dL/dW_j = (dL/db_j) x`` for every output j (Phong et al. 2018); the j of the largest
    gradient is taken. Of a batch it is a mean of the inputs, weighted by their dL/db_j.

    Raises
    ------
    UserError
        When the bias has no gradient at all, which tells nothing.
    """
    strongest = int(bias_gradient.abs().argmax())
    if bias_gradient[strongest] == 0:
        raise UserError("linear layer: its bias has no gradient, which tells nothing of the input")
    return weight_gradient[strongest] / bias_gradient[strongest]


def patches_from_positions(weight_gradient: Tensor, position_gradients: Tensor) -> Tensor:
    """Return the flattened patches (T, p) of one image, by algebra (APRIL, Lu et al. 2022).

    A vision transformer adds a position's embedding to ``W x_t + b``, so the gradient of that
    embedding is the layer's own, ``g_t``; then ``dL/dW = sum_t g_t x_t^T`` are linear
    equations for the patches, exact while T is at most the width.

    Parameters
    ----------
    weight_gradient : Tensor
        (width, p) of the patch projection.
    position_gradients : Tensor
        (T, width) of the embeddings of the patches' positions.
    """
    solution: Tensor = torch.linalg.lstsq(position_gradients.T, weight_gradient).solution
    return solution


def psnr(image: Tensor, truth: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB, for pixels in [0, 1]; infinite if equal."""
    error = float((image.double() - truth.double()).square().mean())
    return float("inf") if error == 0 else -10 * float(np.log10(error))
