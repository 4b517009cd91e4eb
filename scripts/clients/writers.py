"""``python -m scripts.clients.writers FOLDER``: a models folder with tiny models of llama.cpp that write what they are told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from scripts.clients.texts import CALL, PERSON, SAYS, THOUGHT

from textmill.testing.gguf_llama import chain_gguf, endless_gguf, llama_gguf
from textmill.testing.gguf_templates import CHAT, REASONING, TOOLS

TEXTS: Final = {
    "says": (SAYS, CHAT),
    "calls": (CALL, TOOLS),
    "json": (PERSON, TOOLS),
    "thinks": (f"<think>\n{THOUGHT}\n</think>\n\nWater does.", REASONING),
}


def main(folder: Path) -> None:
    """Write them, with a model file each."""
    for name, (text, template) in TEXTS.items():
        chain_gguf(folder / f"{name}.gguf", text, template=template)
    endless_gguf(folder / "endless.gguf")
    llama_gguf(folder / "wild.gguf", template=TOOLS, context=16384)
    for name in (*TEXTS, "endless", "wild"):
        (folder / f"{name}.yaml").write_text(f"name: {name}\ncontext_size: 16384\nparameters:\n  model: {name}.gguf\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
