"""Labelled examples as the tensors that a transformers model takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fedfm_sim.core.arrays import Index, Mask

#: Which of some examples.
Selection = Index | Mask | Sequence[int] | slice


@dataclass(frozen=True)
class Examples:
    """A set of N labelled examples.

    Attributes
    ----------
    inputs : dict of str to Tensor
        Model inputs by the name the model's ``forward`` gives them, such as
        ``pixel_values`` (N, C, H, W) or ``input_ids`` (N, T).
    labels : Tensor
        (N,) class indices, or (N, T) token labels with -100 where ignored.
    classes : Tensor or None
        (N,) what texts are sorted by where their labels are tokens, such as the domain.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    classes: Tensor | None = None

    @property
    def groups(self) -> Tensor:
        """What label skew and coverage are counted by (N,): the classes, or else the labels."""
        return self.labels if self.classes is None else self.classes

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: Selection) -> Examples:
        """Return the examples at ``index``."""
        at = index if isinstance(index, slice) else torch.as_tensor(np.asarray(index))
        classes = None if self.classes is None else self.classes[at]
        return Examples({k: v[at] for k, v in self.inputs.items()}, self.labels[at], classes)

    def labelled_by(self, told: Tensor) -> Examples:
        """Return the examples with a model's most probable answers as labels.

        ``told`` holds (N,) classes, or (N, T) words, that after token t being the label of
        token t + 1; what is ignored stays so.
        """
        if told.ndim == 1:
            return Examples(self.inputs, told, self.classes)
        labels = torch.cat([self.labels[:, :1], told[:, :-1]], dim=1)
        labels[self.labels < 0] = self.labels[self.labels < 0]
        return Examples(self.inputs, labels, self.classes)

    @staticmethod
    def concatenate(parts: Sequence[Examples]) -> Examples:
        """Return all of ``parts``, one after the other."""
        names = parts[0].inputs.keys()
        inputs = {name: torch.cat([part.inputs[name] for part in parts]) for name in names}
        labels = torch.cat([part.labels for part in parts])
        if any(part.classes is None for part in parts):
            return Examples(inputs, labels)
        return Examples(inputs, labels, torch.cat([part.groups for part in parts]))
