"""Conversations as LocalAI embeds them: one text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from textmill.errors import EmptyInput


class MessagePart(Struct, frozen=True):
    """A part of what somebody said; those without text are left out."""

    type: str | None = None
    text: str | None = None


class Message(Struct, frozen=True):
    """What somebody said: a text, or parts whose texts are joined."""

    role: Annotated[str, Meta(description="Who speaks, such as `user`.")]
    content: Annotated[str | list[MessagePart] | None, Meta(description="Messages without text are left out.")] = None

    @property
    def text(self) -> str:
        """All that is text."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "".join(part.text or "" for part in self.content)


def conversation(messages: Sequence[Message]) -> str:
    """A line ``role: content`` for each message that has a text. Raises EmptyInput where none has."""
    said = [f"{message.role}: {message.text}" for message in messages if message.text]
    if not said:
        msg = "'messages' has no text; there is nothing to embed"
        raise EmptyInput(msg, param="messages")
    return "\n".join(said)
