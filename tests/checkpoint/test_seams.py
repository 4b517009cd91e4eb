from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import AddedToken, models, normalizers, pre_tokenizers

from textmill.checkpoint.hub import resolve
from textmill.checkpoint.seams import Seams
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import Side
from textmill.errors import InvalidInput
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3

QWEN3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PIECES = (
    *("the river", "stone's", " a", "I'll b", "x " * 9, "Ümlaut e\u0301 e", "ΟΔΟΣ λ", "İ \u0131", "\u037a \ufdfa", "1234 5", "y²z"),
    *(" ", "  ", "\n", "\r\n \n", "\t", "\xa0", "\u3000", "\u200b", "   \n\n  ", "\x00", "...", "!?\n", "--", "_a_b "),
    *("中文字世界", "日本 語の", "שלום ע", "한국 어", "🙂", "👩\u200d👩\u200d👧", "a\u0301\u0301 b", "[SEP]", "<|im_start|>user", "a<|endoftext|>b"),
    *("q" * 150, "lorem ipsum dolor sit amet " * 4),
)  # fmt: skip


def folder_of(name: str, folder: Path) -> Path:
    if name == "tiny_bert":
        return tiny_bert(folder)
    if name == "all-MiniLM-L6-v2":
        return resolve(name, offline=True).folder
    tiny_qwen3(folder)
    if name == "qwen3":  # the real one's rules
        file = str(folder / "tokenizer.json")
        tokenizer = tokenizers.Tokenizer.from_file(file)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(tokenizers.Regex(QWEN3), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tokenizer.save(file)
    return folder


@pytest.fixture(params=["tiny_bert", "tiny_qwen3", "qwen3", "all-MiniLM-L6-v2"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return folder_of(request.param, tmp_path)


def opened(folder: Path) -> Tokenizer:
    return Tokenizer(folder, vocabulary=json.loads((folder / "config.json").read_text())["vocab_size"])


def library(folder: Path) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def odd_text(rng: random.Random, characters: int) -> str:
    text: list[str] = []
    length = 0
    while length < characters:
        text.append(rng.choice(PIECES))
        length += len(text[-1])
    return "".join(text)


@pytest.mark.parametrize("side", ["left", "right"])
def test_parts_at_seams_give_the_ids_of_the_whole(folder: Path, side: Side) -> None:
    tokenizer, rng = library(folder), random.Random(7)  # noqa: S311 - no secret
    seams, parted = Seams(tokenizer), 0
    for _ in range(150):
        text = odd_text(rng, 600)
        part = seams.part(text, rng.randrange(1, 200), side)
        whole, ids = (tokenizer.encode(t, add_special_tokens=False).ids for t in (text, part))
        assert ids == (whole[: len(ids)] if side == "right" else whole[len(whole) - len(ids) :]), repr(part)
        parted += len(part) < len(text)
    assert parted > 100


@pytest.mark.parametrize("side", ["left", "right"])
def test_long_texts_are_cut_as_if_they_were_tokenised_whole(folder: Path, side: Side) -> None:
    tokenizer, ours, rng = library(folder), opened(folder), random.Random(3)  # noqa: S311 - no secret
    texts = [odd_text(rng, 20_000), "a" + " " * 30_000 + "b c " * 9000, " \n" * 20_000, "中" * 20_000, "x" * 20_000]
    for max_tokens in (8, 300):
        tokenizer.enable_truncation(max_tokens, direction=side)
        cut = ours.encode(texts, max_tokens=max_tokens, truncate=True, side=side)
        for text, encoded in zip(texts, cut, strict=True):
            expected = tokenizer.encode(text)
            assert encoded.ids.tolist() == expected.ids
            assert encoded.truncated == bool(expected.overflowing)


def test_of_a_very_long_text_only_a_part_is_tokenised(folder: Path) -> None:
    text = "stone river " * 500_000
    for side in ("left", "right"):
        encoded = opened(folder).encode([text], max_tokens=16, truncate=True, side=side)[0]
        assert encoded.truncated
        assert encoded.tokens_before < 20_000


def test_a_cut_at_the_left_shows_that_all_of_the_prompt_is_gone(folder: Path) -> None:
    prompt = "query " * 3000
    encoded = opened(folder).encode(["stone river " * 9000], max_tokens=16, truncate=True, side="left", prompt=prompt)[
        0
    ]
    assert encoded.tokens_before - len(encoded.ids) >= opened(folder).prompt_tokens(prompt)


@pytest.mark.parametrize("text", ["x," * 500_001, "a" + " " * 3_000_000 + "b"])
def test_millions_of_characters_that_cannot_be_parted_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"input 1 has [0-9]+ characters, .* shorten it") as caught:
        opened(tiny_bert(tmp_path)).encode(["a", text], max_tokens=8, truncate=True)
    assert caught.value.index == 1


def test_a_text_that_must_not_be_cut_is_refused_by_its_characters_or_by_a_part(tmp_path: Path) -> None:
    tokenizer = opened(tiny_bert(tmp_path))
    with pytest.raises(InvalidInput, match="input 0 has 20000 characters, but the model takes at most 16 tokens"):
        tokenizer.encode([" " * 20_000], max_tokens=16, truncate=False)
    with pytest.raises(
        InvalidInput, match=r"input 0 has at least [0-9]+ tokens, but the model takes at most 200 tokens"
    ):
        tokenizer.encode(["a b " * 10_000], max_tokens=200, truncate=False)
    assert len(tokenizer.encode([" " * 20_000], max_tokens=200, truncate=False)[0].ids) == 2


def test_a_lone_surrogate_is_refused_also_where_it_would_be_cut(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"lone surrogate .* at position 48000"):
        opened(folder).encode(["stone river " * 4000 + "\ud800"], max_tokens=8, truncate=True)


def made(normalizer: Any = None, pre_tokenizer: Any = None, added: AddedToken | None = None) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE({}, []))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    if added is not None:
        tokenizer.add_tokens([added])
    return tokenizer


@pytest.mark.parametrize(
    "tokenizer",
    [
        made(),
        made(pre_tokenizer=pre_tokenizers.ByteLevel(use_regex=False)),
        made(
            pre_tokenizer=pre_tokenizers.Sequence(
                [pre_tokenizers.ByteLevel(use_regex=False), pre_tokenizers.WhitespaceSplit()]
            )
        ),
        made(pre_tokenizer=pre_tokenizers.Split(tokenizers.Regex(".{9}"), "isolated")),
        made(pre_tokenizer=pre_tokenizers.Metaspace(split=False)),
        made(
            pre_tokenizer=pre_tokenizers.Sequence([pre_tokenizers.UnicodeScripts(), pre_tokenizers.WhitespaceSplit()])
        ),
        made(normalizers.Sequence([normalizers.NFC(), normalizers.Strip()]), pre_tokenizers.Whitespace()),
        made(normalizers.Replace(" ", "_"), pre_tokenizers.Whitespace()),
        made(None, pre_tokenizers.Whitespace(), AddedToken("stone river")),
        made(None, pre_tokenizers.ByteLevel(), AddedToken("stone", rstrip=True)),
    ],
)
def test_texts_have_no_seams_under_other_rules(tokenizer: tokenizers.Tokenizer) -> None:
    text = "stone river " * 99
    assert Seams(tokenizer).part(text, 10, "right") == text
    assert Seams(made(pre_tokenizer=pre_tokenizers.Metaspace())).part(text, 10, "right") != text


def test_a_letter_that_stands_for_a_space_makes_no_seam() -> None:
    seams = Seams(made(normalizers.NFKD(), pre_tokenizers.ByteLevel()))
    text = "a \u037a" * 50
    assert seams.part(text, 1, "left") == seams.part(text, 1, "right") == text
