"""A plug-in as settings choose it: by its name alone, or by a table of name and parameters.

A field for one is a single line; what it reads, says of mistakes, builds and writes follows::

    defence: Annotated[Chosen[Defence], Slot(DEFENCES)] = Field("fedavg", validate_default=True)
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Generic

from pydantic import (
    BaseModel,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializationInfo,
    ValidationInfo,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from fedfm_sim.core.registry import M, NestedError, Registry, within

#: The context in which `model_dump` writes every parameter of a plug-in, defaults included.
FULL = {"full": True}


class Chosen(Generic[M]):
    """A plug-in that was chosen; equal to another of the same name and the same settings.

    Attributes
    ----------
    name : str
        As registered.
    """

    def __init__(self, name: str, parameters: Mapping[str, Any], plugin: M) -> None:
        self.name = name
        self._parameters = dict(parameters)
        self._plugin = plugin

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters as they were given; a copy."""
        return deepcopy(self._parameters)

    @property
    def settings(self) -> dict[str, Any]:
        """Every parameter that is not None, defaults included, as plain values."""
        return self._plugin.model_dump(mode="json", exclude_none=True)

    def section(self, full: bool = False) -> dict[str, Any]:
        """Return the table that chooses it, with the parameters as given or with all of them."""
        return {"name": self.name, **(self.settings if full else self.parameters)}

    def build(self) -> M:
        """Return a fresh plug-in, which shares no memory with any other."""
        return self._plugin.model_copy(deep=True)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Chosen):
            return NotImplemented
        return self.section(full=True) == other.section(full=True)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.settings.items())
        return f"{self.name}({settings})"


@dataclass(frozen=True)
class Slot(Generic[M]):
    """The annotation of a field that holds a `Chosen`: what can be chosen.

    Attributes
    ----------
    registry : Registry
    defaults : str
        An earlier field, annotated with `Parameters`: what it has for the chosen name stands
        where the choice itself gives no parameter.
    """

    registry: Registry[type[M]]
    defaults: str = ""

    def choose(self, name: str, **parameters: Any) -> Chosen[M]:
        """Return a plug-in by its name.

        Raises
        ------
        NestedError
            As `Registry.build`.
        """
        return self._chosen({"name": name, **parameters}, {})

    def _chosen(self, table: Mapping[str, Any], beneath: Mapping[str, Any]) -> Chosen[M]:
        plugin = self.registry.build({**beneath, **table})
        given = {key: value for key, value in table.items() if key != "name"}
        return Chosen(table["name"], deepcopy(given), plugin)

    def _read(self, table: dict[str, Any], info: ValidationInfo) -> Chosen[M]:
        defaults: Mapping[Any, Chosen[M]] = info.data.get(self.defaults, {})
        beneath = defaults.get(table.get("name"))
        return self._chosen(table, beneath.parameters if beneath is not None else {})

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.with_info_after_validator_function(
            self._read,
            core_schema.no_info_before_validator_function(
                _as_table, handler.generate_schema(dict[str, Any])
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda chosen, info: chosen.section(in_full(info)), info_arg=True
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say that it is a name, or a table of a name and that plug-in's parameters."""
        plugins = self.registry.importable()
        tables = [_table(plugin, handler, name) for name, plugin in plugins.items()]
        return {"anyOf": [{"enum": list(plugins)}, *tables]}


@dataclass(frozen=True)
class Parameters(Generic[M]):
    """The annotation of a dict of `Chosen`: parameters of plug-ins by their names."""

    registry: Registry[type[M]]

    def _read(self, tables: dict[str, dict[str, Any]]) -> dict[str, Chosen[M]]:
        slot, found = Slot(self.registry), {}
        for name, parameters in tables.items():
            with within(name):
                if "name" in parameters:
                    raise NestedError(("name",), f"unknown key; '{name}' is named already")
                found[name] = slot.choose(name, **parameters)
        return found

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            self._read,
            core_schema.no_info_before_validator_function(
                _as_tables, handler.generate_schema(dict[str, dict[str, Any]])
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda found, info: {
                    name: one.settings if in_full(info) else one.parameters
                    for name, one in found.items()
                },
                info_arg=True,
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say that it is a table of names, with that plug-in's parameters under each."""
        plugins = self.registry.importable()
        tables = {name: _table(plugin, handler) for name, plugin in plugins.items()}
        return {"type": "object", "properties": tables, "additionalProperties": False}


def _table(
    plugin: type[BaseModel], handler: GetJsonSchemaHandler, name: str = ""
) -> JsonSchemaValue:
    """Return the JSON Schema of a plug-in's parameters, and of its name where it has one."""
    found = {**handler.resolve_ref_schema(handler(plugin.__pydantic_core_schema__))}
    if name:
        found["properties"] = {"name": {"const": name}, **found.get("properties", {})}
        found["required"] = ["name", *found.get("required", [])]
    return found


def in_full(info: SerializationInfo) -> bool:
    """Return whether something is being written in the context `FULL`."""
    return bool(info.context and info.context.get("full"))


def _as_table(given: Any) -> Any:
    if isinstance(given, str):
        return {"name": given}
    return given.section() if isinstance(given, Chosen) else given


def _as_tables(given: Any) -> Any:
    if not isinstance(given, Mapping):
        return given
    return {key: one.parameters if isinstance(one, Chosen) else one for key, one in given.items()}
