"""What the protocol has everybody do to its update before it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from fedfm_sim.core.settings import Plugin

if TYPE_CHECKING:
    from dp_accounting import DpEvent


class Protection(Plugin):
    """Base of all protections, and the absence of one; fields are scenario parameters.

    What is declared is protected too, so that an audit by replay finds nothing odd.
    """

    #: What it does, in a few words.
    summary: ClassVar[str] = "send the update as it is"
    #: Where it was published.
    source: ClassVar[str] = ""
    #: Whose privacy `spends` is about.
    unit: ClassVar[str] = "participant"

    def protect(self, update: Tensor, reference: Tensor, rng: np.random.Generator) -> Tensor:
        """Return what is sent (P,) in place of the update, both about the reference."""
        return update

    def condition(self, uploads: int) -> str | None:
        """Return which condition of the protection fails where so many send, or None."""
        return None

    def size_bytes(self, numbers: int) -> float:
        """Return the bytes that an update of so many numbers takes on its way."""
        return 4.0 * numbers

    def spends(self, uploads: float) -> DpEvent | None:
        """Return what one upload spends of differential privacy; None where none is promised.

        Parameters
        ----------
        uploads : float
            How many times the variance of this upload's own noise is in what is seen of it:
            1 where it is seen by itself, m in the plain sum of m protected ones. Noise that
            does not add up to noise of its kind counts as that of a single upload.

        Returns
        -------
        DpEvent or None
            An event of dp-accounting, of adding or removing one `unit`'s data.
        """
        return None


class GaussianMechanism(Protection):
    """Client-level differential privacy of each upload (McMahan et al. 2018).

    The change of the factors is cut to length ``clip``, and Gaussian noise of standard
    deviation ``noise_multiplier clip / sqrt(participants)`` is added by each, so that the
    plain sum of so many has ``noise_multiplier clip``. With m of them in the sum the
    multiplier is ``noise_multiplier sqrt(m / participants)``: who stays out, drops out or
    attacks adds none, and a single upload by itself has the weakest guarantee.
    """

    summary: ClassVar[str] = "clip the update and add Gaussian noise"
    source: ClassVar[str] = "McMahan et al., ICLR 2018"
    clip: float = Field(default=1.0, gt=0, description="largest length of a change, L2 norm")
    noise_multiplier: float = Field(
        default=1.0, ge=0, description="standard deviation of the sum's noise, over clip"
    )
    participants: int = Field(default=1, ge=1, description="among whom the noise is divided")

    def condition(self, uploads: int) -> str | None:
        """Return whether fewer send than share the noise, so that the sum has less of it."""
        if not 0 < uploads < self.participants or not self.noise_multiplier:
            return None
        left = self.noise_multiplier * (uploads / self.participants) ** 0.5
        return (
            f"participants = {self.participants} share the noise and {uploads} sent it: the sum "
            f"has a noise multiplier of {left:.3g}, not {self.noise_multiplier:g}"
        )

    def protect(self, update: Tensor, reference: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the clipped and noisy update."""
        change = update - reference
        change = change * min(1.0, self.clip / max(float(change.norm()), 1e-30))
        noise = torch.from_numpy(rng.standard_normal(len(change), dtype=np.float32))
        deviation = self.noise_multiplier * self.clip / self.participants**0.5
        return torch.add(reference + change, noise, alpha=deviation)

    def spends(self, uploads: float) -> DpEvent:
        """Return Gaussian noise of the multiplier that so many uploads have in their sum."""
        from dp_accounting import GaussianDpEvent

        return GaussianDpEvent(self.noise_multiplier * (uploads / self.participants) ** 0.5)


class TopK(Protection):
    """Send only the largest entries of the change (Aji and Heafield 2017)."""

    summary: ClassVar[str] = "send the largest entries only"
    source: ClassVar[str] = "Aji and Heafield, EMNLP 2017"
    share: float = Field(default=0.1, gt=0, le=1, description="entries sent")

    def protect(self, update: Tensor, reference: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the update with all but the largest changes taken back."""
        change = update - reference
        kept = torch.topk(change.abs(), max(1, round(self.share * len(change)))).indices
        sparse = torch.zeros_like(change)
        sparse[kept] = change[kept]
        return reference + sparse

    def size_bytes(self, numbers: int) -> float:
        """Return 4 bytes of value and 4 of position for each entry sent."""
        return 8.0 * max(1, round(self.share * numbers))


class RandomK(TopK):
    """Send entries of the change drawn at random, scaled to be right on average.

    The mean of what is sent is the change itself (Konecny et al. 2016); the positions follow
    from a seed, so that values alone travel.
    """

    summary: ClassVar[str] = "send entries drawn at random"
    source: ClassVar[str] = "Konecny et al., arXiv 2016"

    def protect(self, update: Tensor, reference: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the update with all but drawn changes taken back."""
        change = update - reference
        count = max(1, round(self.share * len(change)))
        kept = torch.from_numpy(rng.permutation(len(change))[:count])
        sparse = torch.zeros_like(change)
        sparse[kept] = change[kept] * (len(change) / count)
        return reference + sparse

    def size_bytes(self, numbers: int) -> float:
        """Return 4 bytes for each entry sent."""
        return 4.0 * max(1, round(self.share * numbers))


class Quantise(Protection):
    """Round the change to ``2^bits - 1`` steps, at random up or down (QSGD, Alistarh et al. 2017).

    Steps are even between minus and plus the largest entry; rounding is unbiased.
    """

    summary: ClassVar[str] = "send entries in few bits"
    source: ClassVar[str] = "Alistarh et al., NeurIPS 2017"
    bits: int = Field(default=4, ge=1, le=16, description="sent for each number")

    def protect(self, update: Tensor, reference: Tensor, rng: np.random.Generator) -> Tensor:
        """Return the rounded update."""
        change = (update - reference).double()
        largest = float(change.abs().max())
        if largest == 0:
            return update
        step = 2 * largest / (2**self.bits - 1)
        draws = torch.from_numpy(rng.random(len(change)))
        levels = torch.floor((change + largest) / step + draws).clamp(0, 2**self.bits - 1)
        sent: Tensor = reference + (levels * step - largest).float()
        return sent

    def size_bytes(self, numbers: int) -> float:
        """Return ``bits`` for each entry and 4 bytes for the largest."""
        return self.bits * numbers / 8 + 4
