"""What one participant does in one round."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from fedfm_sim.core.settings import Settings


class Action(Settings):
    """One entry of an action set: what is declared to the server, and what is done.

    A participant declares that it trains honestly on ``share`` of its data. With
    an ``attack``, what it does is another thing, and a replay audit can tell.
    ``noise`` and ``snoop`` are within the protocol: noise is declared, and
    looking at what others publish leaves no trace in the update, nor does selling the model.
    """

    share: float = Field(default=1.0, ge=0, le=1, description="share of own data; 0 stays out")
    noise: float = Field(default=0.0, ge=0, description="noise over the update's own length")
    attack: str | None = Field(default=None, description="name of an attack")
    parameters: dict[str, Any] = Field(default_factory=dict, description="of the attack")
    snoop: bool = Field(default=False, description="membership inference on the others' updates")
    report: bool = Field(default=False, description="accuse the most suspect other participant")
    sell: bool = Field(default=False, description="sell the copy of the model one was sent")
    wash: str | None = Field(default=None, description="removal tried on the mark of a sold copy")
    markup: float = Field(default=1.0, ge=0, description="ask over own full cost")
    effort: float = Field(default=0.0, ge=0, description="money that attacking or snooping costs")

    @property
    def declared(self) -> Action:
        """What a replay audit compares the update with."""
        return Action(share=self.share, noise=self.noise)
