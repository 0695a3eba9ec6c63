"""A participant that a run was made to forget, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from fedfm_sim.experiments.folder import ADAPTER
from fedfm_sim.experiments.reported import Page, Reported, records
from fedfm_sim.reporting.comparison import draw_comparison
from fedfm_sim.reporting.page import Section
from fedfm_sim.reporting.tables import forgetting_headings


@dataclass(frozen=True, eq=False, repr=False)
class Forgetting(Reported):
    """What unlearning a run gave.

    Attributes
    ----------
    client : int
    method : str
    table : DataFrame
        The original, the unlearned and the retrained model: see `verification.compare`.
    folder : Path
        Where the adapter without the participant is.
    """

    client: int
    method: str
    table: pd.DataFrame
    folder: Path

    @property
    def adapter(self) -> Path:
        """The folder of the adapter itself, in peft's format."""
        return self.folder / ADAPTER

    @property
    def summary(self) -> dict[str, Any]:
        """The participant, the method and the models side by side."""
        return {"client": self.client, "method": self.method, "models": records(self.table)}

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each model."""
        return self.table

    def page(self) -> Page:
        """Return the models side by side, as a picture and as a table."""
        heading = f"Participant {self.client} forgotten by {self.method}"
        titles = forgetting_headings(self.table)
        means = self.table.set_index("executor")[list(titles)]
        means = means.astype(float).replace(float("inf"), float("nan"))
        none = means * float("nan")
        return Page(
            heading,
            "Measured beside the original and a federation retrained without the participant.",
            [
                Section(
                    "The models",
                    figure=partial(draw_comparison, means, (none, none), titles, heading),
                    table=self.table,
                    name="forgetting",
                )
            ],
        )

    def lines(self) -> list[str]:
        """Return who was forgotten, how, and what accuracy that left."""
        accuracy = ", ".join(
            f"{name} {value:.1%}"
            for name, value in zip(self.table["executor"], self.table["accuracy"], strict=True)
        )
        return [f"participant {self.client} by {self.method}", f"accuracy: {accuracy}"]
