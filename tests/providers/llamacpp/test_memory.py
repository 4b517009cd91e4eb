from __future__ import annotations

from pathlib import Path

import pytest
from tests.providers.llamacpp.conftest import Entry

from textmill.providers.llamacpp.memory import BESIDE, need_of
from textmill.providers.llamacpp.options import Given, wanted
from textmill.testing.gguf import write_gguf

MISTRAL: dict[str, str | int] = {
    "general.architecture": "llama",
    "llama.context_length": 32768,
    "llama.block_count": 32,
    "llama.embedding_length": 4096,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
}


@pytest.mark.parametrize(
    ("lines", "cache"),
    [
        ("", 1 << 30),  # 8192 tokens of 32 layers, 8 heads, 128 numbers, keys and values, 2 bytes
        ("context_size: 4096", 1 << 29),
        ("context_size: -1", 1 << 32),
        ("cache_type_k: q8_0\ncache_type_v: q8_0", (1 << 29) * 34 // 32),
    ],
)
def test_a_model_takes_its_weights_and_the_cache_of_its_context(
    lines: str, cache: int, models: Path, entry: Entry
) -> None:
    write_gguf(models / "m.gguf", MISTRAL)
    file = entry(f"name: m\nmodel: m.gguf\n{lines}")

    settings = wanted(file, models, Given(threads=1, parallel=1)).launch.settings

    assert need_of(file, settings, 4_000_000_000) == 4_000_000_000 + cache + BESIDE
    assert need_of(file, settings, 0) == 0
