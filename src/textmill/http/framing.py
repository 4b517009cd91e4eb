"""How an answer that comes bit by bit stands on the wire: as server-sent events, or as lines of JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Framing:
    """What stands around each part, what says that a silent stream lives, and what is behind the last part; ``described`` is for people."""

    content_type: str
    before: bytes
    behind: bytes
    alive: bytes
    end: bytes
    described: str

    def frame(self, data: bytes) -> bytes:
        """A part; its data is one line."""
        return self.before + data + self.behind


EVENTS = Framing(
    content_type="text/event-stream; charset=utf-8",
    before=b"data: ",
    behind=b"\n\n",
    alive=b": still at work\n\n",
    end=b"data: [DONE]\n\n",
    described="With `stream`: events, the last `[DONE]`.",
)
"""https://html.spec.whatwg.org/multipage/server-sent-events.html, ended as OpenAI ends it."""

LINES = Framing(
    content_type="application/x-ndjson",
    before=b"",
    behind=b"\n",
    alive=b" ",  # in front of the next line's object, where JSON allows it: clients read line by line, and an empty one is no JSON
    end=b"",
    described="Unless `stream` is false: lines, each an object, the last with `done` true, or with `error`.",
)
"""https://github.com/ndjson/ndjson-spec, as Ollama has it."""
