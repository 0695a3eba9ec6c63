"""Colours and labels: the same for a name everywhere, and apart where several are drawn."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from fedfm_sim.agents.actions import ACTIONS, KINDS
from fedfm_sim.reporting.figures import mark_beyond, whole_numbers
from fedfm_sim.reporting.labels import apart, label_points
from fedfm_sim.reporting.palette import colour_of, colours_of


def test_no_two_actions_and_no_two_kinds_share_a_colour() -> None:
    for names in (ACTIONS, KINDS):
        colours = [to_rgb(colour_of(name)) for name in names]
        nearest = min(
            np.abs(np.subtract(one, two)).max()
            for place, one in enumerate(colours)
            for two in colours[:place]
        )
        assert nearest > 0.1


def test_a_name_keeps_its_colour_whatever_is_drawn_beside_it() -> None:
    assert colours_of(["backdoor", "contribute"])["contribute"] == colour_of("contribute")
    assert colours_of(["contribute", "mine"])["mine"] == colour_of("mine")


@given(st.lists(st.text(max_size=4), max_size=20, unique=True))
def test_names_drawn_together_never_share_one(names: list[str]) -> None:
    given_colours = colours_of(names)
    assert list(given_colours) == names
    assert len(set(given_colours.values())) == len(names)
    assert given_colours == colours_of(names)


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=12),
    st.floats(0.1, 12),
)
def test_labels_are_apart_in_order_and_within(at: list[float], least: float) -> None:
    placed = apart(np.array(at), least, 100.0)
    order = np.argsort(at, kind="stable")
    room = min(least, 100.0 / max(len(at) - 1, 1))
    assert (np.diff(placed[order]) >= room - 1e-9).all()
    assert placed.min() >= -1e-6
    assert placed.max() <= 100 + 1e-9


def test_labels_that_have_room_stay_where_they_are() -> None:
    assert apart(np.array([50.0, 10.0]), 11.0, 100.0).tolist() == [50.0, 10.0]
    assert apart(np.array([100.0, 100.0, 100.0]), 10.0, 100.0).tolist() == [80.0, 90.0, 100.0]


def test_every_point_has_its_label_and_a_line_to_it() -> None:
    axes = plt.subplots()[1]
    points = np.array([[0.0, 1.0], [2.0, 1.0]])
    axes.plot(*points.T)
    label_points(axes, points, ["one", "two"])
    assert [(text.get_text(), text.xy) for text in axes.texts] == [("one", (0, 1)), ("two", (2, 1))]
    plt.close(axes.get_figure())


def test_what_lies_beyond_the_frame_is_marked_there() -> None:
    axes = plt.subplots()[1]
    axes.set_ylim(-1, 1)
    mark_beyond(axes, [0, 1, 2], [-3, -0.5, -2], [0, 0.5, 4], "black")
    drawn = {line.get_marker(): line.get_xydata().tolist() for line in axes.lines}
    assert drawn == {"^": [[2, 1]], "v": [[0, -1], [2, -1]]}
    plt.close(axes.get_figure())


@pytest.mark.parametrize("rounds", [1, 2, 3, 7, 40, 1000])
def test_ticks_stand_at_whole_rounds(rounds: int) -> None:
    axes = plt.subplots()[1]
    axes.plot(range(1, rounds + 1), np.zeros(rounds))
    whole_numbers(axes)
    ticks = axes.get_xticks()
    assert (ticks == ticks.round()).all()
    assert len(ticks) <= 14
    plt.close(axes.get_figure())
