"""A report of headed sections: one HTML file with its pictures inside."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from jinja2 import Environment, FileSystemLoader
from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a report: text, then a picture, a table and a listing, where there are any."""

    heading: str
    text: str = ""
    figure: Figure | None = None
    table: pd.DataFrame | None = None
    listing: str = ""


def write_page(path: Path, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """Write the report to ``path`` and return it; needs nothing but the file."""
    page = render(
        "page.html.jinja", title=title, lead=lead, sections=sections, text=_text, picture=picture
    )
    path.write_text(page, encoding="utf-8")
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
