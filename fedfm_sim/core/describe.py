"""What plug-ins and settings say of themselves: text, parameters with bounds, and sources."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel

from fedfm_sim.core.source import without_marks

#: The heading of a section of a numpy docstring, and the line under it.
HEADING = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)

#: How JSON Schema bounds a number, and how that is said.
BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
}

#: The types of JSON Schema by their usual names.
TYPES = {"boolean": "true or false", "string": "text", "array": "list", "object": "table"}


@dataclass(frozen=True)
class Parameter:
    """A key of a table in a scenario file.

    Attributes
    ----------
    name : str
    values : str
        What it can be: type and bounds.
    default : str
        As a scenario file would say it; empty where there is none.
    meaning : str
        With the unit, where there is one.
    """

    name: str
    values: str
    default: str
    meaning: str


def parameters_of(model: type[BaseModel]) -> list[Parameter]:
    """Return the fields of a model, in their order."""
    schema, told = model.model_json_schema(), attributes_of(model)
    shared = schema.get("$defs", {})
    return [
        Parameter(
            name,
            values_of(own, shared),
            "" if own.get("default") is None else toml_of(own["default"]),
            own.get("description") or told.get(name, ""),
        )
        for name, own in schema.get("properties", {}).items()
    ]


def values_of(schema: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    """Return what a JSON Schema lets a value be, in words."""
    if "$ref" in schema:
        inner = shared.get(schema["$ref"].rpartition("/")[2], {})
        return values_of(inner, shared) if "enum" in inner else "table"
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        found = [values_of(one, shared) for one in schema["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(found))
    kind = str(schema.get("type", "anything"))
    bounds = [said.format(schema[key]) for key, said in BOUNDS.items() if key in schema]
    text = ", ".join([TYPES.get(kind, kind), *bounds])
    inner = schema.get("items", schema.get("additionalProperties"))
    if isinstance(inner, Mapping) and inner:
        text += f" of {values_of(inner, shared)}"
    return text


def toml_of(value: Any) -> str:
    """Return a plain value as TOML writes it.

    Examples
    --------
    >>> toml_of(["a", 1.5, True])
    "['a', 1.5, true]"
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_of, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {toml_of(one)}" for key, one in value.items()) + "}"
    return repr(value)


def text_of(thing: Any) -> str:
    """Return what a class or function says of itself, without its lists of parameters."""
    doc = cleandoc(thing.__doc__ or "")
    heading = HEADING.search(doc)
    return plain(doc[: heading.start()] if heading else doc)


def attributes_of(model: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of each attribute."""
    found: dict[str, str] = {}
    for kind in model.__mro__:
        doc = cleandoc(kind.__doc__ or "")
        for heading, body in _sections(doc).items():
            if heading in ("Attributes", "Parameters"):
                found = _entries(body) | found
    return found


def references_of(thing: Any) -> str:
    """Return the references of the module that something is defined in."""
    doc = cleandoc(getattr(sys.modules.get(thing.__module__), "__doc__", None) or "")
    return plain(re.sub(r"^\.\. ", "", _sections(doc).get("References", ""), flags=re.MULTILINE))


def plain(text: str) -> str:
    """Return a docstring's text without its mark-up, a paragraph a line."""
    paragraphs = re.split(r"\n\s*\n|\n(?=- |\[\d)", text.strip())
    return without_marks("\n".join(" ".join(part.split()) for part in paragraphs))


def _sections(doc: str) -> dict[str, str]:
    marks = [*HEADING.finditer(doc)]
    ends = [*(mark.start() for mark in marks[1:]), len(doc)]
    return {
        mark.group(1): doc[mark.end() : end].strip("\n")
        for mark, end in zip(marks, ends, strict=False)
    }


def _entries(body: str) -> dict[str, str]:
    """Return the entries "name, name : type" of a section, with the lines indented under each."""
    found: dict[str, str] = {}
    for block in re.split(r"\n(?=\S)", body):
        head, _, text = block.partition("\n")
        for name in head.partition(" : ")[0].split(","):
            found[name.strip()] = plain(text)
    return found
