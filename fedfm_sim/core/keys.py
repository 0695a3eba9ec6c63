"""Keys that are not known: what to say of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel


def nearest(word: object, known: Iterable[str]) -> str:
    """Return a question whether the nearest of the known was meant, if one is near.

    Examples
    --------
    >>> nearest("participant", ["rounds", "participants"])
    " (did you mean 'participants'?)"
    """
    near = difflib.get_close_matches(str(word), known, n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""


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
        inner = None if field is None else _model_in(field.annotation)
        schema, also = inner or schema, ()
    known = [*also, *schema.model_fields]
    return f"unknown key{nearest(location[-1], known)}; expected one of: {', '.join(known)}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model in ``Model``, ``Model | None``, ``dict[str, Model]`` and the like."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
