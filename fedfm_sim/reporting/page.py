"""A report of headed sections: one HTML file with its pictures inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from jinja2 import Environment, FileSystemLoader
from matplotlib.figure import Figure

from fedfm_sim.core.files import write_text


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a report: text, then a picture, a table and a listing, where there are any.

    The picture may be a function that draws it, for when it is wanted; ``name`` is that of
    the picture, where it has one.
    """

    heading: str
    text: str = ""
    figure: Figure | Callable[[], Figure] | None = None
    table: pd.DataFrame | None = None
    listing: str = ""
    name: str = ""

    def drawn(self) -> Section:
        """Return the section with its picture drawn."""
        return replace(self, figure=self.figure()) if callable(self.figure) else self


def write_page(path: Path, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """Write the report to ``path`` and return it; needs nothing but the file."""
    drawn = [section.drawn() for section in sections]
    page = render(
        "page.html.jinja", title=title, lead=lead, sections=drawn, text=_text, picture=picture
    )
    write_text(path, page)
    return path


def render(template: str, **values: Any) -> str:
    """Return one of the templates beside this file, filled in; all text is escaped."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    return environment.get_template(template).render(**values)


def picture(figure: Figure) -> str:
    """Return a figure as PNG in base64, and close it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    plt.close(figure)
    return base64.b64encode(buffer.getvalue()).decode()


def _text(value: object) -> str:
    if isinstance(value, float):
        return "\N{EN DASH}" if value != value else f"{value:.4g}"
    return str(value)
