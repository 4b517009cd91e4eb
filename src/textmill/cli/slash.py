"""The commands of a conversation: lines that begin with a slash."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from textmill.errors import InvalidInput

COMMANDS: Mapping[str, tuple[str, str]] = {
    "help": ("", "what can be typed"),
    "clear": ("", "forget the conversation, but not the system prompt"),
    "system": ("TEXT", "set the system prompt; without TEXT, show it; - for none"),
    "regenerate": ("", "another answer in place of the last"),
    "save": ("FILE", "write the conversation as JSON, which --load reads"),
    "exit": ("", "end, as Ctrl-D does"),
}
"""Each with what stands behind it, and what it does."""

_KEYS: Mapping[str, str] = {
    **{f"/{name} {rest}": does for name, (rest, does) in COMMANDS.items()},
    "//…": "a message that begins with a slash",
    '"""': "begins a message of several lines, and ends it; a line that ends in a backslash goes on too",
    "Ctrl-C": "stop the answer; where nothing is typed, end",
}
HELP = "\n".join(f"{key:<16}{does}" for key, does in _KEYS.items())


@dataclass(frozen=True, slots=True)
class Slash:
    """A command, and what stands behind it."""

    name: str
    rest: str = ""


def read_slash(line: str) -> Slash | str:
    """The command that a line is, or the message, as several lines always are. Raises InvalidInput for a command that there is not, or that lacks something."""
    if not line.startswith("/") or "\n" in line:
        return line
    if line.startswith("//"):
        return line[1:]
    name, _, rest = line[1:].partition(" ")
    rest = rest.strip()
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean /{near[0]}?" if near else "/help has those there are"
        msg = f"there is no command /{name}; {hint}"
        raise InvalidInput(msg)
    wants = COMMANDS[name][0]
    if name == "save" and not rest:
        msg = f"/{name} needs a {wants}"
        raise InvalidInput(msg)
    if rest and not wants:
        msg = f"/{name} takes nothing behind it"
        raise InvalidInput(msg)
    return Slash(name, rest)
