"""Figures show what the tables say, and the report is one file that needs no other."""

from __future__ import annotations

import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from rich.console import Console

import fedfm_sim as fs
from fedfm_sim.reporting.figures import FIGURES
from fedfm_sim.reporting.palette import colour_of
from fedfm_sim.reporting.sources import sources_of
from fedfm_sim.reporting.tables import print_result


@pytest.fixture(scope="module")
def result() -> Any:
    return fs.run(
        "quickstart",
        seed=1,
        overrides=[
            "participants.count=4",
            "participants.semi_honest=1",
            "participants.malicious=1",
            "rounds=2",
            "training.epochs=1",
            "training.example_clip=1",
            "training.example_noise=0.9",
            'protection={name="gaussian-mechanism", noise_multiplier=0.3}',
            "contribution.every=1",
            "contribution.examples=10",
            "deviations.rounds=1",
            'deviations.actions=["stay-out"]',
            'description="a <b>hostile</b> & long line"',
        ],
    )


def test_lines_and_bars_are_the_tables_numbers(result: Any) -> None:
    accuracy, attack, lost = result.plot("accuracy").get_lines()
    before = result.summary["accuracy_before"]
    assert accuracy.get_ydata().tolist() == [before, *result.rounds["accuracy"]]
    assert attack.get_ydata().tolist() == result.rounds["attack_success"].tolist()

    assert lost.get_ydata().tolist() == result.rounds["accuracy_lost"].tolist()

    means = result.participants.groupby("participant")["utility"].mean()
    bars = [bar.get_height() for bar in result.plot("utility").patches[: len(means)]]
    assert bars == pytest.approx(means.tolist())

    stacked = sum(bar.get_height() for bar in result.plot("actions").patches)
    assert stacked == len(result.participants)
    plt.close("all")


def test_the_terms_drawn_add_up_to_the_utility(result: Any) -> None:
    heights = np.array([bar.get_height() for bar in result.plot("terms").patches]).reshape(3, -1)
    kinds = ("honest", "semi-honest", "malicious")
    expected = [result.utilities.groupby("kind")["utility"].mean()[kind] for kind in kinds]
    np.testing.assert_allclose(heights.sum(axis=1), expected, atol=1e-9)
    plt.close("all")


def test_an_unknown_figure_is_refused_by_name(result: Any) -> None:
    with pytest.raises(fs.UserError, match="unknown figure 'pie'; expected one of: accuracy"):
        result.plot("pie")


def test_the_report_is_one_file_with_every_picture_in_it(result: Any, tmp_path: Path) -> None:
    page = result.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(FIGURES)
    # At phone width a picture keeps its size, and is scrolled.
    assert page.count('<div class="picture"><img') == len(FIGURES)
    assert re.search(r"@media \(max-width: 40rem\) \{ \.picture img \{ max-width: none;", page)
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    assert "&lt;b&gt;hostile&lt;/b&gt; &amp; long line" in page
    # One round gives no interval, and the page says so rather than "nan".
    assert "<td>\N{EN DASH}</td>" in page
    assert "nan" not in re.sub(r"base64,[^\"]+", "", page).lower().split("the scenario in full")[0]


def test_a_result_tells_of_itself_in_a_few_lines(result: Any) -> None:
    lines = repr(result).splitlines()
    assert "quickstart, seed 1: 2 rounds of 4 participants, finished" in lines[0]
    assert f"-> {result.summary['accuracy_after']:.1%}" in lines[1]
    assert len(lines) <= 9
    assert result.to_frame()["round"].tolist() == [1, 2]


def test_what_was_spent_of_privacy_is_said_with_what_it_assumes(
    result: Any, tmp_path: Path
) -> None:
    stated = result.summary["privacy_spent"]
    page = unescape(result.report(tmp_path / "report.html").read_text(encoding="utf-8"))
    shown = io.StringIO()
    print_result(result, Console(file=shown, width=1000))
    for own in (stated, stated["also"]):
        for told in (page, shown.getvalue(), repr(result)):
            assert f"epsilon {own['epsilon']:.2f} at delta 1e-05, {own['adjacency']}" in told
            assert all(line in told for line in own["assumes"])
        assert all(event in page for event in own["spent"])
    assert stated["adjacency"].endswith("example")
    assert f"{stated['also']['epsilon_of_uploads']:.2f} towards who sees single uploads" in page
    json.dumps(result.summary, allow_nan=False)


def test_the_report_cites_where_the_rules_were_published(result: Any) -> None:
    cited = sources_of(result.scenario).set_index("name")["source"]
    assert cited["posted-price"] == "Zhan et al., IEEE Internet of Things Journal 2020"
    assert {"fedavg", "loss-threshold", "shapley", "least-core", "backdoor"} <= set(cited.index)
    assert "none" not in cited.index


@pytest.mark.parametrize("name", FIGURES)
def test_keys_and_ticks_of_a_runs_figures_hide_nothing(result: Any, name: str) -> None:
    axes = result.plot(name)
    axes.get_figure().canvas.draw()
    assert axes.get_legend().get_window_extent().x0 >= axes.bbox.x1
    low, high = axes.get_xlim()
    assert low < axes.dataLim.x0 <= axes.dataLim.x1 < high
    if name in ("terms", "deviations"):
        assert all(low < tick < high for tick in axes.get_xticks())
    plt.close("all")


def test_a_scheme_has_its_colour_in_every_picture(result: Any) -> None:
    colours = [bar.get_facecolor() for bar in result.plot("contributions").patches]
    schemes = result.scenario.contribution.schemes
    assert [*dict.fromkeys(colours)] == [to_rgba(colour_of(name)) for name in schemes]
    plt.close("all")
