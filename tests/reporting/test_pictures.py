"""Pictures of what is hard to draw: long names, dollars, infinite intervals, many, few, alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations, product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

import fedfm_sim as fs
from fedfm_sim.agents.actions import ACTIONS
from fedfm_sim.games import dynamics
from fedfm_sim.games.empirical import EmpiricalGame
from fedfm_sim.mechanisms.contribution import SCHEMES
from fedfm_sim.mechanisms.rules import MECHANISMS
from fedfm_sim.mechanisms.theory.deterrence import Deterrent
from fedfm_sim.reporting import comparison, game_figures
from fedfm_sim.reporting.design_figures import draw_frontier, draw_temptations
from fedfm_sim.reporting.figures import STYLE, drawable, mark_of
from fedfm_sim.reporting.labels import key
from fedfm_sim.reporting.palette import colour_of, colours_of

LONG = "a-mechanism-whose-name-is-just-about-sixty-characters-long-a"
ODD = "$x_1$ <b>&amp; {\\frac}"
INF, NAN = np.inf, np.nan


def shown_texts(figure: Figure) -> list[Text]:
    """Return the texts that are drawn: no tick out of sight, none of axes without a scale."""
    hidden: set[Text] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            unseen = not axes.axison or not axes.get_visible()
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if unseen or not low <= tick.get_loc() <= high:
                    hidden |= {tick.label1, tick.label2}
            if unseen:
                hidden |= {axis.label, axis.offsetText}
    texts: Iterable[Text] = figure.findobj(Text)
    return [t for t in texts if t.get_visible() and t.get_text().strip() and t not in hidden]


def faults(figure: Figure) -> list[str]:
    """Return which texts leave the picture or lie over each other, and which axes are too small."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found, level = [], []
    for text in shown_texts(figure):
        # Of the text alone: an annotation's own extent has its arrow.
        own = Text.get_window_extent(text, canvas.get_renderer())
        if own.x0 < -1 or own.y0 < -1 or own.x1 > figure.bbox.x1 + 1 or own.y1 > figure.bbox.y1 + 1:
            found.append(f"outside: {text.get_text()}")
        if text.get_rotation() % 90 == 0:
            level.append((text.get_text(), own))
    for (name, one), (other, two) in combinations(level, 2):
        wide = min(one.x1, two.x1) - max(one.x0, two.x0)
        high = min(one.y1, two.y1) - max(one.y0, two.y0)
        if min(wide, high) > 1:
            found.append(f"over each other: {name} and {other}")
    for axes in figure.axes:
        if axes.get_visible() and axes.get_label() != "<colorbar>":
            room = axes.get_window_extent()
            if room.width < figure.dpi / 2 or room.height < figure.dpi / 2:
                found.append(f"no room: {room}")
    plt.close(figure)
    return found


def game(rows: tuple[str, ...], columns: tuple[str, ...], scale: float = 10.0) -> EmpiricalGame:
    payoffs = np.random.default_rng(0).normal(0, scale, (2, 2, len(rows), len(columns)))
    return EmpiricalGame(payoffs, (rows, columns))


def ratios() -> pd.DataFrame:
    ends = [(1.6, 1.1, 3.5), (INF, INF, INF), (4, 2, INF), (INF, 2, INF), (1, NAN, NAN),
            (INF, NAN, NAN), (1e5, 1e3, 1e7), (NAN, NAN, NAN), (0, 0, 0.1)]  # fmt: skip
    cells = zip(product((LONG, ODD, "a"), (LONG, ODD, "b")), ends, strict=True)
    columns = ["attack", "defence", "ratio", "low", "high"]
    return pd.DataFrame([(*names, *own) for names, own in cells], columns=columns)


def front(rules: int) -> pd.DataFrame:
    names = [LONG, ODD, "vcg", *(f"rule-{k}" for k in range(rules - 3))]
    rows = [(n, f"malicious: 3 {n}, 1 free-ride", k % 2, k % 3, True) for k, n in enumerate(names)]
    return pd.DataFrame(rows, columns=["rule", "profile", "welfare", "cost", "best"])


def bars(low: float = 0.0, names: tuple[str, ...] = (LONG, ODD, "x")) -> Figure:
    means = pd.DataFrame({"a": [-1e7, NAN, 2e7], "b": 1.0, "c": 0.0}, index=list(names))
    ends = (means.assign(b=[low, 0.9, 0.9]), means.assign(b=[-low, 1.1, 1.1]))
    return comparison.draw_comparison(means, ends, {n: n for n in "abc"}, f"{LONG}: {LONG}")


def privacy(count: int) -> Figure:
    names = [LONG, ODD, *map(str, range(count - 2))]
    runs = pd.DataFrame({"key": names, "leakage": 0.5, "accuracy_after": 0.5, "megabytes": 1.0})
    return comparison.draw_front(runs, ["key"], LONG)


def temptations() -> Figure:
    rows = [
        {"seed": 1, "path": path, "round": 1, "participant": 0, "kind": "malicious",
         "action": action, "benefit": 2.0, "confiscated": 1.0, "convicted": 0.5}
        for path, action in product(("contribute", LONG), ("backdoor", LONG, ODD))
    ]  # fmt: skip
    return draw_temptations(pd.DataFrame(rows), Deterrent(0.5, 10.0, 7.0, 1))


def frontier(points: int) -> Figure:
    line = pd.DataFrame({"fine": np.linspace(5, 90, points), "rate": 0.5, "low": 0.4, "high": INF})
    scenario = fs.load_scenario("backdoor-deterrence")
    return draw_frontier(line, Deterrent(0.5, 10.0, 7.0, 1), scenario)


def learning() -> Figure:
    own = game(("contribute", LONG, ODD), ("trust", LONG)).game
    start = [np.full(len(names), 1 / len(names)) for names in own.actions]
    paths = {
        "best response": dynamics.best_response(own, start, 20),
        LONG: dynamics.logit(own, start, 20, precision=1.0),
    }
    return game_figures.draw_trajectories(own, paths, ())


PICTURES: dict[str, Callable[[], Figure]] = {
    "payoffs": lambda: game_figures.draw_payoffs(
        game((LONG, ODD), (LONG, ODD), 1e7), (), ("a", "b")
    ),
    "replies": lambda: game_figures.draw_best_replies(
        game((LONG, ODD), (LONG, ODD)).game, (), ("a", "b")
    ),
    "learning": learning,
    "deterrence": lambda: game_figures.draw_deterrence(ratios()),
    "front": lambda: game_figures.draw_front(front(11)),
    "comparison": lambda: bars(-INF),
    "privacy": lambda: privacy(14),
    "temptations": temptations,
    "frontier": lambda: frontier(3),
}


@pytest.mark.parametrize("name", PICTURES)
def test_all_texts_of_a_picture_are_within_it_and_apart(name: str) -> None:
    assert faults(PICTURES[name]()) == []


def test_a_dollar_is_a_dollar_in_every_panel() -> None:
    figure = bars()
    figure.canvas.draw()
    odd = [text for text in shown_texts(figure) if text.get_text() == ODD]
    assert len(odd) == 1
    assert not any(text.get_parse_math() for text in odd)
    plt.close(figure)


def test_intervals_off_the_scale_have_arrowheads_and_others_none() -> None:
    def heads(figure: Figure) -> list[str]:
        plt.close(figure)
        return [line.get_marker() for line in figure.axes[1].lines if line.get_marker() in "<>"]

    assert heads(bars(-INF)) == heads(bars(-1e6)) == [">", "<"]
    assert heads(bars(0.9)) == []


def test_what_is_drawn_of_intervals() -> None:
    drawn = drawable([0.5, NAN, -INF], [1.0, 1.0, 1.0], [2.0, NAN, INF], reach=3.0)
    assert drawn.tolist() == [[0.5, 0, 30], [1, 0, 30]]


def test_arrows_of_best_replies_stay_within_the_frame() -> None:
    names = tuple(f"action-{k}" for k in range(6))
    figure = game_figures.draw_best_replies(game(names, names).game, (), ("attackers", "server"))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,) = figure.axes
    assert len(axes.texts) > 40
    for arrow in axes.texts:
        own = arrow.arrow_patch.get_window_extent(canvas.get_renderer())  # type: ignore[attr-defined]
        assert axes.bbox.x0 <= own.x0 <= own.x1 <= axes.bbox.x1
        assert axes.bbox.y0 <= own.y0 <= own.y1 <= axes.bbox.y1


@pytest.mark.parametrize(
    ("value", "told"),
    [(-0.04, "0.0"), (9999.94, "9999.9"), (12345.0, "1.23e+04"), (-2.5e7, "-2.50e+07")],
)
def test_numbers_fit_their_cells(value: float, told: str) -> None:
    assert game_figures.amount(value) == told


def test_one_point_is_drawn_as_a_mark() -> None:
    assert (mark_of([1]), mark_of([1, 2])) == ("o", "-")
    lines = {line.get_label(): line.get_linestyle() for line in frontier(1).axes[0].lines}
    assert lines["deterrence frontier"] == "None"
    plt.close("all")


@pytest.mark.parametrize("count", [1, 60])
def test_keys_are_beside_what_is_drawn(count: int) -> None:
    with plt.style.context(STYLE):
        axes: Axes = plt.subplots()[1]
        for k in range(count):
            axes.bar(k, 1, label=f"{LONG}-{k}" if k < 2 else f"action-{k}")
        key(axes)
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    legend = axes.get_legend()
    assert legend is not None
    assert faults(figure) == []
    box = legend.get_window_extent()
    assert box.x0 >= axes.bbox.x1
    assert figure.bbox.y0 <= box.y0
    assert box.x1 <= figure.bbox.x1 + 1


def test_no_two_mechanisms_and_no_two_schemes_share_a_colour() -> None:
    for registry in (MECHANISMS, SCHEMES):
        own = [name for name in registry if registry.is_own(name)]
        assert len({colour_of(name) for name in own}) == len(own)


@given(st.lists(st.sampled_from([*ACTIONS]), unique=True), st.lists(st.text("abc"), max_size=5))
def test_actions_have_one_colour_whoever_is_drawn_before_them(
    actions: list[str], others: list[str]
) -> None:
    drawn = colours_of([*others, *actions])
    assert {name: drawn[name] for name in actions} == {name: colour_of(name) for name in actions}
