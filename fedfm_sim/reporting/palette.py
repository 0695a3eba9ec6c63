"""One colour for each kind, action, rule or mechanism, the same in every picture."""

from __future__ import annotations

from collections.abc import Iterable
from zlib import crc32

from fedfm_sim.agents.actions import ACTIONS
from fedfm_sim.mechanisms.contribution import SCHEMES
from fedfm_sim.mechanisms.rules import MECHANISMS

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
    **{"best response": BLUE, "logit": VERMILION, "replicator": GREEN, "fictitious play": PINK},
    **{"regret matching": ORANGE, "Exp3": SKY, "Q-learning": "#882255"},
    **{"no sanctions": GREY, "80 % of the audits": VERMILION, "designed": GREEN},
    **{"shapley": BLUE, "least-core": ORANGE},
    **{"audits": ORANGE, "deposits": SKY},
}

#: Further colours, for names beside those: of as many hues, darker and lighter.
_FURTHER = (
    *("#332288", "#117733", "#AA4499", "#999933", "#882255", "#44AA99", "#661100", "#6699CC"),
    *("#DDCC77", "#7B3F99", "#2F4B26", "#B15928", "#5D7B8C", "#C994C7", "#8DA000", "#1B4F72"),
)


#: Black (zero lines, equilibria) and grey (what is not) are beside all names, so none has them.
_MANY = (*(colour for colour in OKABE_ITO if colour not in (GREY, BLACK)), *_FURTHER)


def _catalogue() -> dict[str, str]:
    """Return the colours of all names that the package knows; apart within each catalogue."""
    beside = [name for name in ACTIONS if name not in _CHOSEN]
    named = dict(zip(beside, _FURTHER, strict=False))
    for registry in (MECHANISMS, SCHEMES):
        names = [name for name in registry if registry.is_own(name)]
        chosen = [_CHOSEN[name] for name in names if name in _CHOSEN]
        others = [name for name in names if name not in _CHOSEN]
        named |= dict(zip(others, (c for c in _MANY if c not in chosen), strict=False))
    return named | _CHOSEN


_COLOURS = _catalogue()


def colour_of(name: str) -> str:
    """Return the colour of a name, in hexadecimal, wherever it is drawn.

    Names that the catalogues don't have get one by their letters, so that two of them may
    share it: where several are drawn at once, ask `colours_of`.
    """
    return _COLOURS.get(name) or _FURTHER[crc32(name.encode()) % len(_FURTHER)]


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each of some names that are drawn together.

    Each keeps its own as long as no earlier one has it, those of the catalogues before others;
    else it gets one that is nobody's.
    """
    drawn = list(dict.fromkeys(names))
    own = {name: colour_of(name) for name in drawn}
    given: dict[str, str] = {}
    for name in sorted(drawn, key=lambda name: name not in _COLOURS):
        taken = {*given.values()}
        free = [own[name], *(c for c in _MANY if c not in own.values()), *_MANY, GREY, BLACK]
        given[name] = next((c for c in free if c not in taken), own[name])
    return {name: given[name] for name in drawn}
