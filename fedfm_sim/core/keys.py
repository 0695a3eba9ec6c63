"""Keys that are not known: what to say of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

#: Characters of a wrong value that are shown.
MOST_SHOWN = 200


def nearest(word: object, known: Iterable[str]) -> str:
    """Return a question whether the nearest of the known was meant, if one is near.

    Examples
    --------
    >>> nearest("participant", ["rounds", "participants"])
    " (did you mean 'participants'?)"
    """
    by_letters = {_letters(name): name for name in known}
    near = difflib.get_close_matches(_letters(str(word)), by_letters, n=1)
    return f" (did you mean '{by_letters[near[0]]}'?)" if near else ""


def choices(word: object, known: Iterable[str]) -> str:
    """Return what goes behind a word that is not among the known: the nearest, and all.

    Examples
    --------
    >>> choices("tea", ["coffee", "water"])
    '; expected one of: coffee, water'
    """
    names = list(known)
    return f"{nearest(word, names)}; expected one of: {', '.join(names)}"


def unfit(error: ErrorDetails) -> str:
    """Return what is wrong with a value, from what pydantic says of it: one of its `errors`.

    Of a few fixed words, the nearest is suggested.
    """
    given, expected = error["input"], str(error.get("ctx", {}).get("expected", ""))
    words = re.findall(r"'([^']*)'", expected)
    if error["type"] == "literal_error" and isinstance(given, str) and words:
        what = "key" if error["loc"][-1:] == ("[key]",) else "value"
        return f"unknown {what} '{shortened(given)}'{choices(given, words)}"
    return f"{error['msg']}, got {shortened(repr(given))}"


def shortened(text: str) -> str:
    """Return a text in one line, or the beginning of one that is too long for it."""
    text = " ".join(text.split())
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}... ({len(text)} characters)"


def unknown_key(
    schema: type[BaseModel], location: Sequence[str | int], also: Sequence[str] = ()
) -> str:
    """Say that a model has no such key, and which it has.

    Parameters
    ----------
    schema : type of BaseModel
    location : sequence of str or int
        Leads from the model to the key, as pydantic's errors say it.
    also : sequence of str
        Keys beside those of the model itself.
    """
    for part in location[:-1]:
        field = schema.model_fields.get(str(part))
        # What is no field, such as a dictionary's key, leads to the model found already.
        inner = None if field is None else model_in(field.annotation)
        schema, also = inner or schema, ()
    known = [*also, *schema.model_fields]
    return f"unknown key{choices(location[-1], known)}"


def _letters(word: str) -> str:
    """Return a word as it compares with others: 'Q_Learning' is nearly 'q-learning'."""
    return word[:MOST_SHOWN].lower().replace("_", "-").replace(" ", "-")


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model in ``Model``, ``Model | None``, ``dict[str, Model]`` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(model_in, get_args(annotation))), None)
