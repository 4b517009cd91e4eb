"""A conversation as it grows, and as a file: a JSON list of messages in OpenAI's form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textmill.cli.vectors import output
from textmill.contract import Message
from textmill.errors import ConfigInvalid, InvalidInput


class Dialogue:
    """What was said so far, with the system prompt in front, where there is one."""

    def __init__(self, messages: Sequence[Message] = (), system: str = "") -> None:
        self._said = list(messages)
        if system:
            self.system = system

    @property
    def messages(self) -> tuple[Message, ...]:
        """All of it."""
        return tuple(self._said)

    @property
    def system(self) -> str:
        """The system prompt; empty for none."""
        return self._said[0].content if self._said and self._said[0].role == "system" else ""

    @system.setter
    def system(self, text: str) -> None:
        if self._said and self._said[0].role == "system":
            del self._said[0]
        if text:
            self._said.insert(0, Message(role="system", content=text))

    @property
    def unanswered(self) -> bool:
        """Whether the last word is not the model's."""
        return bool(self._said) and self._said[-1].role in ("user", "tool")

    def ask(self, text: str) -> None:
        """Add what the user says."""
        self._said.append(Message(role="user", content=text))

    def answered(self, text: str, reasoning: str = "") -> None:
        """Add what the model has said."""
        self._said.append(Message(role="assistant", content=text, reasoning=reasoning or None))

    def take_back(self) -> str:
        """Take back the last message, which has no answer; its text."""
        return self._said.pop().content

    def again(self) -> Message | None:
        """Take back the last answer, for another in its place; None where there is none."""
        return self._said.pop() if self._said and self._said[-1].role == "assistant" and len(self._said) > 1 else None

    def put_back(self, message: Message) -> None:
        """Add an answer that was taken back."""
        self._said.append(message)

    def clear(self) -> None:
        """Forget all but the system prompt."""
        self._said = self._said[: bool(self.system)]


def read_conversation(file: str) -> tuple[Message, ...]:
    """The messages in a file: a JSON list, or an object with a list ``messages``. Raises ConfigInvalid for what is neither."""
    import msgspec  # noqa: PLC0415 - with a file

    from textmill.http.chat_request import ChatRequest, messages_of  # noqa: PLC0415

    try:
        read = msgspec.json.decode(Path(file).read_bytes())
        given = read.get("messages") if isinstance(read, dict) else read
        return messages_of(msgspec.convert({"messages": given}, ChatRequest))
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}"
    except (msgspec.DecodeError, UnicodeDecodeError, InvalidInput) as error:
        msg = f"{file} is no conversation: {str(error).replace('`', '')}"
    raise ConfigInvalid(msg)


def write_conversation(file: str, messages: Sequence[Message]) -> None:
    """Write messages as `read_conversation` reads them. Raises ConfigInvalid where the file cannot be made."""
    text = json.dumps([_written(message) for message in messages], ensure_ascii=False, indent=2)
    with output(file) as sink:
        sink.write(f"{text}\n".encode())
        sink.flush()


def _written(message: Message) -> dict[str, Any]:
    made: dict[str, Any] = {"role": message.role, "content": message.content}
    made |= {key: value for key in ("name", "tool_call_id") if (value := getattr(message, key)) is not None}
    if message.tool_calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.reasoning:
        made["reasoning_content"] = message.reasoning
    return made
