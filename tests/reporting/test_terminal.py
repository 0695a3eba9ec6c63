"""Tables at any width: nothing is cut, and users' texts stand as they are."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fedfm_sim.reporting import terminal as module
from fedfm_sim.reporting.terminal import print_table

HEADINGS = ["mechanism", "prices.cost_spread", "accuracy", "attack success", "U honest"]
ROWS = [["contribution-share", "0.5", "0.100", "-2.500", "12.345"],
        ["lowest-price", "1.0", "0.200", "nan", "1.000"]]  # fmt: skip


def shown(width: int, headings: list[str], rows: list[list[str]], keys: int = 1) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)
    print_table(console, headings, rows, keys=keys)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_no_figure_is_cut_at_any_width(width: int) -> None:
    text = shown(width, HEADINGS, ROWS, keys=2)
    assert max(map(len, text.splitlines())) <= width
    for row in ROWS:
        for cell in row:
            assert cell in text


def test_what_does_not_fit_goes_on_below_with_its_keys() -> None:
    text = shown(56, HEADINGS, ROWS, keys=2)
    first, second = text.split("\n\n")
    for part in (first, second):
        assert "contribution-share" in part
    assert "accuracy" in first
    assert "accuracy" not in second


def test_what_can_not_stand_beside_its_key_is_a_list() -> None:
    assert "attack success: -2.500" in shown(30, HEADINGS, ROWS, keys=2)


def test_a_table_that_fits_is_one_line_a_row() -> None:
    assert len(shown(80, HEADINGS, ROWS, keys=2).splitlines()) == 1 + 1 + len(ROWS)


@pytest.mark.parametrize(
    "name", ["ACME [EU] Ltd", "[/x] GmbH", "[bold]", ":smile:", r"$\frac{$", "\\[x]", "[link=x]y"]
)
def test_names_are_printed_as_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert name in shown(80, ["owner", "bits"], [[name, "1"]])
    module.terminal().print(f"owner {name}: accused")
    assert f"owner {name}: accused" in capsys.readouterr().out


#: Of letters that a terminal shows one by one.
LETTERS = st.characters(max_codepoint=0x2FFF, exclude_categories=["C", "Zl", "Zp", "Mn"])
TEXTS = st.text(LETTERS, max_size=60)


@given(st.lists(st.tuples(TEXTS, TEXTS, st.floats(allow_nan=True)), min_size=1, max_size=4),
       st.integers(12, 100))  # fmt: skip
def test_every_letter_of_every_cell_is_printed(
    rows: list[tuple[str, str, float]], width: int
) -> None:
    cells = [[name, text, f"{number:.3g}"] for name, text, number in rows]
    text = shown(width, ["name", "text", "number"], cells)
    left = sorted("".join("".join(map("".join, cells)).split()))
    printed = "".join(text.split())
    for letter in set(left):
        assert printed.count(letter) >= left.count(letter)


def test_pictures_do_not_read_formulas_in_users_texts() -> None:
    import matplotlib.pyplot as plt

    from fedfm_sim.reporting.figures import STYLE

    with plt.style.context(STYLE):
        figure, axes = plt.subplots()
        axes.set_title(r"$\frac{$ costs $5 and $6")
        figure.canvas.draw()
    plt.close(figure)
