"""What modules say of themselves, read from their source: nothing is imported or run.

A list of attacks takes three seconds where every attack is imported, and torch with it; all
that it shows are texts that stand in the source as they are.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.util import find_spec
from inspect import cleandoc
from pathlib import Path
from typing import Any

#: Stands for what is worked out and not written down.
UNKNOWN = object()


@cache
def parsed(module: str) -> ast.Module:
    """Return the syntax tree of a module.

    Raises
    ------
    LookupError
        When its source is not found.
    """
    top, *rest = module.split(".")
    spec = find_spec(top)
    places = [] if spec is None else spec.submodule_search_locations or []
    for place in places:
        path = Path(place).joinpath(*rest)
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                return ast.parse(file.read_text(encoding="utf-8"))
    raise LookupError(f"no source of module '{module}'")


def value_of(module: str, name: str) -> Any:
    """Return what a name of a module is bound to, or `UNKNOWN`."""
    return _evaluate(_bound(parsed(module).body, name), module)


def call_of(module: str, name: str) -> list[Any]:
    """Return the arguments, in their order, of the call that a name of a module is bound to."""
    node = _bound(parsed(module).body, name)
    if not isinstance(node, ast.Call):
        raise LookupError(f"{module}: {name} is not bound to a call")
    return [_evaluate(each, module) for each in node.args]


def keys_of(module: str, name: str) -> list[str]:
    """Return the keys of the dictionary that a name of a module is bound to."""
    node = _bound(parsed(module).body, name)
    keys = node.keys if isinstance(node, ast.Dict) else []
    return [str(_evaluate(key, module)) for key in keys]


def first_line(module: str, name: str) -> str:
    """Return the first sentence of what a class or function says of itself."""
    node = _definition(module, name)
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return summary_of(ast.get_docstring(node) or "")
    return ""


def attribute_of(module: str, name: str, attribute: str) -> Any:
    """Return an attribute of a class, its own or inherited, or `UNKNOWN`."""
    node = _definition(module, name)
    if not isinstance(node, ast.ClassDef):
        return UNKNOWN
    own = _bound(node.body, attribute)
    if own is not None:
        return _evaluate(own, module)
    for base in node.bases:
        if isinstance(base, ast.Name):
            found = attribute_of(*_origin(module, base.id), attribute)
            if found is not UNKNOWN:
                return found
    return UNKNOWN


def summary_of(doc: str) -> str:
    """Return the first paragraph of a docstring, in one line, without its mark-up."""
    return without_marks(" ".join(cleandoc(doc).split("\n\n")[0].split()))


def without_marks(text: str) -> str:
    """Return a docstring's text without its marks of code and of references."""
    return re.sub(r"\s*\[\d+\]_", "", text).replace("`", "")


def _definition(module: str, name: str) -> ast.stmt | None:
    named = (ast.ClassDef, ast.FunctionDef)
    here = [n for n in parsed(module).body if isinstance(n, named) and n.name == name]
    return here[0] if here else None


def _origin(module: str, name: str) -> tuple[str, str]:
    """Return where a name of a module was defined, as far as its imports tell."""
    for node in parsed(module).body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    ours = node.module.split(".")[0] == module.split(".")[0]
                    return _origin(node.module, alias.name) if ours else (module, "")
    return module, name


def _bound(body: list[ast.stmt], name: str) -> ast.expr | None:
    found = None
    for node in body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=target), value=value) if target == name:
                found = value
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                found = value
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                pairs = zip(targets, values, strict=True)
                found = next((v for t, v in pairs if getattr(t, "id", "") == name), found)
    return found


def _evaluate(node: ast.expr | None, module: str) -> Any:
    """Return the value of an expression of texts, numbers and tables of them, or `UNKNOWN`."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            place, original = _origin(module, name)
            return _evaluate(_bound(parsed(place).body, original), place)
        case ast.Call(func=ast.Name(), args=[], keywords=keywords):  # of a dataclass, say
            return {each.arg: _evaluate(each.value, module) for each in keywords}
        case ast.JoinedStr(values=parts):
            return "".join(str(_evaluate(part, module)) for part in parts)
        case ast.FormattedValue(value=value):
            return _evaluate(value, module)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return tuple(_evaluate(part, module) for part in parts)
        case ast.Dict(keys=keys, values=values):
            return {
                _evaluate(key, module): _evaluate(value, module)
                for key, value in zip(keys, values, strict=True)
            }
    return UNKNOWN
