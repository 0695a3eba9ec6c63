"""The report of a run: one HTML file with its pictures inside."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from fedfm_sim.core.files import write_text
from fedfm_sim.reporting.figures import FIGURES, draw
from fedfm_sim.reporting.page import picture, render
from fedfm_sim.reporting.results import Run
from fedfm_sim.reporting.sources import sources_of
from fedfm_sim.reporting.tables import privacy_statement
from fedfm_sim.scenarios.lock import to_toml


def write_report(result: Run, path: Path) -> Path:
    """Write the report to ``path`` and return it; needs nothing but the file."""
    page = render(
        "report.html.jinja",
        result=result,
        summary=result.summary,
        by_kind=result.by_kind() if len(result.participants) else None,
        figures={name: _picture(name, result) for name in FIGURES},
        gains=result.deviation_test.gains.nlargest(8, "gain")
        if len(result.deviation_test.gains)
        else None,
        number=lambda value: "\N{EN DASH}" if value != value else f"{value:.3f}",
        privacy=privacy_statement,
        sources=sources_of(result.scenario),
        lock=to_toml(result.scenario, result.seed),
    )
    write_text(path, page)
    return path


def _picture(name: str, result: Run) -> str:
    axes = draw(name, result)
    figure = axes.figure
    assert isinstance(figure, Figure)
    return picture(figure)
