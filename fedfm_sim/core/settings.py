"""What all settings have in common, those of plug-ins among them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Settings that never change: every key is known, and numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Plugin(Settings):
    """A plug-in: its fields are its scenario parameters, its private attributes its memory."""

    def memory(self) -> dict[str, Any]:
        """Return what the plug-in remembers of past rounds, by name.

        Numbers, texts, arrays, tensors, and dictionaries, lists and sets of them: what a
        stored state can hold.
        """
        return dict(self.__pydantic_private__ or {})

    def recall(self, memory: dict[str, Any]) -> None:
        """Take over what another copy of the plug-in remembered."""
        for name, value in memory.items():
            setattr(self, name, value)
