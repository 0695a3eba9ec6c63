"""One colour for each kind, action, rule or mechanism, the same in every picture."""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

from fedfm_sim.agents.actions import ACTIONS

#: Okabe and Ito's palette, which colour-blind readers can tell apart (jfly.uni-koeln.de, 2008).
BLUE, VERMILION, GREEN, ORANGE, PINK, SKY, GREY, BLACK = OKABE_ITO = (
    *("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#999999", "#000000"),
)

#: What is read off most often has a colour of the palette; the others follow below.
_CHOSEN = {
    **{"honest": BLUE, "semi-honest": ORANGE, "malicious": VERMILION},
    **{"accuracy": BLUE, "attack success": VERMILION, "accuracy lost": ORANGE},
    **{"contribute": BLUE, "contribute-half": SKY, "contribute-quarter": "#A6CEE3"},
    **{"backdoor": VERMILION, "free-ride": ORANGE, "snoop": PINK, "report": GREEN},
    **{"stay-out": GREY, "contribute-with-noise": "#6A8CAF", "label-flip": "#8C2D04"},
}

#: Further colours, for names beside those: of as many hues, darker and lighter.
_FURTHER = (
    *("#332288", "#117733", "#AA4499", "#999933", "#882255", "#44AA99", "#661100", "#6699CC"),
    *("#DDCC77", "#7B3F99", "#2F4B26", "#B15928", "#5D7B8C", "#C994C7", "#8DA000", "#1B4F72"),
)


def colour_of(name: str) -> str:
    """Return the colour of a name, in hexadecimal, wherever it is drawn.

    Names that the catalogue doesn't have get one by their letters, so that two of them may
    share it: where several are drawn at once, ask `colours_of`.
    """
    if name in _CHOSEN:
        return _CHOSEN[name]
    if name in _KNOWN:
        return _FURTHER[_KNOWN.index(name) % len(_FURTHER)]
    return _FURTHER[crc32(name.encode()) % len(_FURTHER)]


_KNOWN = [name for name in ACTIONS if name not in _CHOSEN]


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each of some names that are drawn together.

    Each keeps its own as long as no earlier one has it; else it gets the next that is free.
    """
    given: dict[str, str] = {}
    for name in names:
        free = [c for c in (colour_of(name), *_FURTHER, *OKABE_ITO) if c not in given.values()]
        given.setdefault(name, free[0] if free else colour_of(name))
    return given
