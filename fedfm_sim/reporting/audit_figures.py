"""The picture of an audit: how often each property is violated, and how badly."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from fedfm_sim.mechanisms.auditing.report import AuditReport
from fedfm_sim.reporting.figures import STYLE
from fedfm_sim.reporting.labels import wrapped
from fedfm_sim.reporting.palette import GREEN, GREY, VERMILION

#: One colour per verdict.
COLOURS = {"violated": VERMILION, "not violated": GREEN, "does not apply": GREY}


def draw_audit(report: AuditReport) -> Figure:
    """Draw one row per property: the share of instances violated, the worst and the mean."""
    rows = len(report.findings)
    with plt.style.context(STYLE):
        figure = Figure(figsize=(8.6, 1.2 + 0.32 * rows), layout="constrained")
        axes = figure.subplots()
        for row, found in enumerate(report.findings):
            colour = COLOURS[found.verdict]
            text = found.verdict
            if found.applies:
                axes.barh(row, 100 * found.share_violated, color=colour, height=0.7)
            if found.verdict == "violated":
                bound = "at least " if found.lower_bound else ""
                text = f"worst {bound}{found.worst:.3g} {found.unit}, mean {found.mean:.2g}"
            axes.text(103, row, text, va="center", color=colour)
        axes.set_yticks(range(rows), [found.name for found in report.findings])
        axes.set(xlim=(0, 100), xlabel="instances with a violation, %")
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        instances = max(found.instances for found in report.findings)
        axes.set_title(
            wrapped(
                f"Audit of {report.name}: {instances} instances of "
                f"{report.population.participants} participants, seed {report.seed}",
                70,
            )
        )
    return figure
