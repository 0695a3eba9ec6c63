"""Model inversion and GAN-based reconstruction: what a class looks like, told from a model.

Neither sees an update's gradient: a curious participant asks the shared model. What is found
is a likeness of a class and not of an example; it is judged by a classifier that never
saw the model. Much of what a model is sure of looks like nothing to the judge.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fedfm_sim.learning.adapters import AdapterLayout
from fedfm_sim.learning.backbone import Backbone, example_losses
from fedfm_sim.learning.examples import Examples
from fedfm_sim.learning.trainer import StackedLinear, stacked


def invert_class(
    backbone: Backbone,
    layout: AdapterLayout,
    adapter: Tensor,
    target: int,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    steps: int = 200,
    smoothness: float = 0.05,
) -> Tensor:
    """Return the image (C, H, W) in [0, 1] that the model is surest of (Fredrikson et al. 2015).

    Descends the loss of the target class by the image, by Adam from a dark random one, plus
    ``smoothness`` times its total variation, without which the image is noise.
    """
    image = torch.from_numpy(rng.random((1, *shape), dtype=np.float32) * 0.1).requires_grad_()
    optimizer = torch.optim.Adam([image], 0.05)
    label = torch.tensor([target])
    with stacked(backbone, layout) as layers:
        _install(layers, layout, adapter)
        for _ in range(steps):
            loss = example_losses(backbone.model(pixel_values=image).logits, label).sum()
            rough = image.diff(dim=2).abs().mean() + image.diff(dim=3).abs().mean()
            (image.grad,) = torch.autograd.grad(loss + smoothness * rough, [image])
            optimizer.step()
            with torch.no_grad():
                image.clamp_(0, 1)
    return image.detach()[0]


class Generator(nn.Module):
    """Noise of 16 numbers to images with pixels in [0, 1]."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape
        size = int(np.prod(shape))
        self.layers = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, size), nn.Sigmoid())

    def forward(self, noise: Tensor) -> Tensor:
        """Return images (N, C, H, W) of noise (N, 16)."""
        images: Tensor = self.layers(noise).view(-1, *self.shape)
        return images


def generate_class(
    backbone: Backbone,
    layout: AdapterLayout,
    adapter: Tensor,
    target: int,
    own: Examples,
    rng: np.random.Generator,
    steps: int = 200,
    count: int = 16,
) -> Tensor:
    """Return (count, C, H, W) images of a class that the attacker has no example of.

    The shared model judges the class, as the discriminator of Hitaj et al. (2017) does, and a
    small critic learns what images look like from the attacker's own data, of other
    classes; a generator is trained against both.
    """
    images = own.inputs["pixel_values"]
    shape = (int(images.shape[1]), int(images.shape[2]), int(images.shape[3]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        generator = Generator(shape)
        critic = nn.Sequential(
            nn.Flatten(), nn.Linear(int(np.prod(shape)), 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
        )
    making = torch.optim.Adam(generator.parameters(), 2e-3)
    judging = torch.optim.Adam(critic.parameters(), 1e-3)
    labels, size = torch.full((32,), target), 32
    with stacked(backbone, layout) as layers:
        _install(layers, layout, adapter)
        for _ in range(steps):
            noise = torch.from_numpy(rng.standard_normal((size, 16), dtype=np.float32))
            real = images[torch.from_numpy(rng.integers(0, len(images), size))]
            fake = generator(noise)
            doubt = nn.functional.softplus
            judged = (doubt(-critic(real)) + doubt(critic(fake.detach()))).mean()
            _step(judging, judged)
            told = example_losses(backbone.model(pixel_values=fake).logits, labels).mean()
            _step(making, told + 0.3 * doubt(-critic(fake)).mean())
    with torch.no_grad():
        noise = torch.from_numpy(rng.standard_normal((count, 16), dtype=np.float32))
        made: Tensor = generator(noise)
    return made


def likeness(images: Tensor, target: int, known: Examples) -> float:
    """Return the share of images (N, C, H, W) that an outside judge takes for the class.

    The judge is a nearest-neighbour classifier (scikit-learn) on ``known`` examples.
    """
    from sklearn.neighbors import KNeighborsClassifier

    judge = KNeighborsClassifier(5)
    judge.fit(known.inputs["pixel_values"].flatten(1).numpy(), known.labels.numpy())
    return float((judge.predict(images.flatten(1).numpy()) == target).mean())


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _install(layers: dict[str, StackedLinear], layout: AdapterLayout, adapter: Tensor) -> None:
    views = layout.views(adapter[None])
    for module in layout.modules:
        layers[module].factors = layout.pair(views, module)
