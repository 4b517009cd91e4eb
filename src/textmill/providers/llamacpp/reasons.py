"""What llama.cpp writes when it fails becomes one sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HEAD = re.compile(
    r"^[\d.]+ (?P<level>[A-Z]) +(?:\w+ +)?[\w:()~]+: (?:\w+(?:\(\))?: )?(?:error loading model: )?(?P<text>.*)$"
)
_SAYS_LITTLE = (
    "failed to load model",
    "llama_model_loader: failed to load",
    "exiting due to",
    "encountered an error while trying to fit",
    "failed to create context",
    "failed to create_context",
    "error: ",
)
_MEMORY = ("bad_alloc", "failed to allocate", "unable to allocate", "out of memory", "cannot allocate memory")
_MOST = 300
_ABORT = re.compile(r"GGML_ASSERT|terminate called|what\(\):|Fatal Python error")


def reason_of(lines: Sequence[str], said: str) -> str:
    """The line that says most of why it failed, else ``said``."""
    if any(word in line.lower() for line in lines for word in _MEMORY):
        return (
            "there is not enough memory for its weights and its context; a smaller context_size or parallel takes less"
        )
    errors = [found["text"].strip() for line in lines if (found := _HEAD.match(line)) and found["level"] == "E"]
    telling = [text for text in errors if not text.startswith(_SAYS_LITTLE)]
    aborts = [line.strip() for line in lines if _ABORT.search(line)]
    for text in (*telling[:1], *aborts[-1:], *errors[:1]):
        return text if len(text) <= _MOST else f"{text[:_MOST]} …"
    return said
