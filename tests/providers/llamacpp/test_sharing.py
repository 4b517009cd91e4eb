"""How llama.cpp's threads wait, and what two requests with one beginning share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from textmill.contract import CompleteOptions, Spent
from textmill.folder.scan import scan
from textmill.providers.llamacpp.model import LlamaModel
from textmill.providers.llamacpp.opening import open_llama
from textmill.providers.llamacpp.options import Given
from textmill.testing.gguf_llama import llama_gguf

ENVIRON = dict(os.environ)  # noqa: TID251 - as the server would
WAITS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@contextmanager
def opened(folder: Path, more: Mapping[str, str]) -> Iterator[LlamaModel]:
    """A model whose process gets those variables too."""
    llama_gguf(folder / "seeded.gguf")
    file = scan(folder).find("seeded.gguf")
    assert file is not None
    plain = {name: text for name, text in ENVIRON.items() if name not in WAITS}
    model = open_llama(file, folder, Given(threads=1), {**plain, **more})
    try:
        yield model
    finally:
        model.close(0.0)


def variables(model: LlamaModel) -> dict[str, str]:
    """How the threads of the model's process wait, as the kernel knows it was started."""
    pairs = Path(f"/proc/{model.pid}/environ").read_text().split("\0")
    return {name: text for name, _, text in (pair.partition("=") for pair in pairs) if name in WAITS}


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ({}, {"GOMP_SPINCOUNT": "2000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "active"}, {"OMP_WAIT_POLICY": "active"}),
    ],
    ids=["nobody says", "so often", "a policy"],
)
def test_threads_that_wait_leave_their_cores_to_others_unless_told_otherwise(
    said: Mapping[str, str], given: Mapping[str, str], tmp_path: Path
) -> None:
    with opened(tmp_path, said) as model:
        assert variables(model) == given


def test_a_beginning_of_a_thousand_tokens_is_read_once(tmp_path: Path) -> None:
    beginning = "0123456789" * 100  # digits are a token each

    async def both(model: LlamaModel) -> tuple[Spent, Spent]:
        return await spent(model, beginning + " and one"), await spent(model, beginning + " or two")

    with opened(tmp_path, {}) as model:
        first, second = asyncio.run(both(model))

    assert (first.cached, first.prompt_tokens) == (0, 1007)
    assert second.cached >= 990
    assert second.prompt_tokens == first.prompt_tokens


async def spent(model: LlamaModel, prompt: str) -> Spent:
    """What one token behind a prompt takes."""
    events = [each async for each in model.complete(prompt, CompleteOptions(max_tokens=1))]
    [told] = [each for each in events if isinstance(each, Spent)]
    return told
