"""What results of experiments have in common: pages, pictures, tables, and their files."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from fedfm_sim.core.errors import UserError
from fedfm_sim.core.files import made_folder, whole, write_text
from fedfm_sim.reporting.figures import known
from fedfm_sim.reporting.page import Section, write_page

#: File of the report in a result's folder.
REPORT = "report.html"

#: Has the names of the files that results wrote into a folder.
WRITTEN = ".written.json"

#: Dots per inch of pictures that are kept.
DPI = 130


@dataclass(frozen=True, eq=False)
class Page:
    """What a report has: a title, a paragraph, and sections; those with a name have pictures."""

    title: str
    lead: str
    sections: Sequence[Section]


class Reported(ABC):
    """A result that tells of itself: on a page, in pictures, as plain values and as a table."""

    #: Files that `save` writes for the plain values and the report; none where empty.
    json_name: ClassVar[str] = ""
    report_name: ClassVar[str] = REPORT

    @property
    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """The result as plain values; None stands for what is infinite or missing."""

    @abstractmethod
    def to_frame(self) -> pd.DataFrame:
        """Return the result's main table."""

    @abstractmethod
    def page(self) -> Page:
        """Return what its report has."""

    @abstractmethod
    def lines(self) -> list[str]:
        """Return what is to be said in a few lines."""

    def tables(self) -> Mapping[str, pd.DataFrame]:
        """Return the tables that `save` keeps, by the names of their files."""
        return {}

    def plot(self, name: str = "") -> Figure:
        """Draw one of the report's pictures; without a name, the first.

        Raises
        ------
        UserError
            When there is none of that name.
        """
        pictures = {part.name: part for part in self.page().sections if part.name}
        chosen = name or next(iter(pictures))
        known(chosen, pictures)
        figure = pictures[chosen].drawn().figure
        assert isinstance(figure, Figure)  # or it would have no name
        return figure

    def report(self, path: str | Path) -> Path:
        """Write the self-contained HTML report and return its path."""
        own = self.page()
        return write_page(Path(path), own.title, own.lead, own.sections)

    def save(self, folder: str | Path) -> None:
        """Write plain values, tables, pictures and the report into a folder.

        Raises
        ------
        UserError
            When there can be no such folder, or a file there that no result wrote would be
            written over.
        """
        target, own = made_folder(folder), self.page()
        drawn = [section.drawn() for section in own.sections]
        pictures = {s.name: s.figure for s in drawn if isinstance(s.figure, Figure)}
        tables = self.tables()
        names = [self.json_name, self.report_name, *(f"{name}.parquet" for name in tables)]
        names = [name for name in (*names, *(f"{name}.png" for name in pictures)) if name]
        written = check_names(target, names)
        write_text(target / WRITTEN, json.dumps(sorted({*written, *names})) + "\n")
        if self.json_name:
            write_text(target / self.json_name, json.dumps(self.summary, indent=2) + "\n")
        for name, table in tables.items():
            with whole(target / f"{name}.parquet") as part:
                table.to_parquet(part, index=table.index.name is not None)
        for name, figure in pictures.items():
            with whole(target / f"{name}.png") as part:
                figure.savefig(part, format="png", dpi=DPI)
            plt.close(figure)
        if self.report_name:
            write_page(target / self.report_name, own.title, own.lead, drawn)

    @classmethod
    def check_room(cls, folder: str | Path) -> None:
        """Refuse, before any work is done, a folder that `save` would refuse after it.

        Raises
        ------
        UserError
            As `save`.
        """
        check_names(Path(folder), [name for name in (cls.json_name, cls.report_name) if name])

    def __repr__(self) -> str:
        first, *others = self.lines()
        return "\n  ".join([f"{type(self).__name__}: {first}", *others])


def check_names(folder: Path, names: Sequence[str]) -> list[str]:
    """Return what results wrote into a folder; refuse to write over anything else.

    Raises
    ------
    UserError
        When a file of one of the names is there that no result wrote.
    """
    try:
        written = list(map(str, json.loads((folder / WRITTEN).read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError):
        written = []
    for name in names:
        if name not in written and (folder / name).exists():
            raise UserError(
                f"--out {folder}: holds '{name}', which no study wrote; "
                "expected another folder, or that it is moved away"
            )
    return written


def records(table: pd.DataFrame) -> Any:
    """Return a table's rows for JSON, with null for what is infinite or missing."""
    return json.loads(table.to_json(orient="records"))
