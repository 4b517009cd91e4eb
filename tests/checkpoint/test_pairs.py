"""Pairs as the tokenizers library makes them, for the rules of every family."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from tokenizers import AddedToken, processors
from tokenizers import Tokenizer as Library

from textmill.checkpoint.pairs import Cut, Paired, Pairs
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.contract import Side
from textmill.errors import InvalidInput, ModelBroken
from textmill.testing.tokenizers import bert_tokenizer, qwen3_tokenizer

TEXTS = (
    "",
    " ",
    "river",
    "hello world",
    "  Ümlaut é!\t\n",
    "stone " * 9,
    "the cat sat here. " * 6,
    "x" * 40,
    "[SEP] </s>",
)


def bert_processing() -> Library:
    """The same as BERT's template, in the spelling of old files."""
    made = bert_tokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


def roberta() -> Library:
    """One token before, two between, and a single segment."""
    made = qwen3_tokenizer()
    made.add_special_tokens([AddedToken(token, special=True) for token in ("<s>", "</s>")])
    words = made.get_vocab()
    made.post_processor = processors.RobertaProcessing(("</s>", words["</s>"]), ("<s>", words["<s>"]))
    return made


def llama() -> Library:
    """A token before each text, none behind."""
    made = qwen3_tokenizer()
    made.add_special_tokens([AddedToken("<s>", special=True)])
    made.post_processor = processors.TemplateProcessing(
        single="<s>:0 $A:0", pair="<s>:0 $A:0 <s>:1 $B:1", special_tokens=[("<s>", made.token_to_id("<s>"))]
    )
    return made


def bare() -> Library:
    """No special tokens at all."""
    made = qwen3_tokenizer()
    made.post_processor = processors.ByteLevel(trim_offsets=False)
    return made


MADE = (bert_tokenizer, bert_processing, roberta, llama, bare, qwen3_tokenizer)


@pytest.fixture(params=MADE, ids=lambda make: make.__name__)
def library(request: pytest.FixtureRequest) -> Library:
    make: Callable[[], Library] = request.param
    return make()


def opened(library: Library, folder: Path) -> Tokenizer:
    library.save(str(folder / "tokenizer.json"))
    return Tokenizer(folder, vocabulary=library.get_vocab_size())


def every_pair() -> Iterator[tuple[str, str]]:
    return ((first, second) for first in TEXTS for second in TEXTS)


def joined(tokenizer: Tokenizer, max_tokens: int, side: Side, first: str, second: str) -> Paired:
    pairs = Pairs(tokenizer, max_tokens=max_tokens, segments=True)
    one, two = tokenizer.bodies([first, second], max_tokens=max_tokens, truncate=True, side=side)
    return pairs.join(one, two, "longest_first", truncate=True, side=side, index=0)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("max_tokens", [7, 8, 15, 30, 31, 500])
def test_ids_and_segments_are_those_of_the_library(
    library: Library, side: Side, max_tokens: int, tmp_path: Path
) -> None:
    tokenizer = opened(library, tmp_path)
    library.enable_truncation(max_tokens, direction=side)
    for first, second in every_pair():
        wanted = library.encode(first, second)
        made = joined(tokenizer, max_tokens, side, first, second)
        assert made.ids.tolist() == wanted.ids, (first, second)
        types = np.zeros(len(made.ids)) if made.types is None else made.types
        assert types.tolist() == wanted.type_ids, (first, second)
        assert made.truncated == bool(wanted.overflowing), (first, second)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_very_long_text_is_read_as_far_as_it_counts(side: Side, tmp_path: Path) -> None:
    library = bert_tokenizer()
    tokenizer = opened(library, tmp_path)
    library.enable_truncation(64, direction=side)
    long = "river stone unrest " * 450  # the library keeps all that it cuts off, of a pair in every combination
    for first, second in ((long, "water"), ("water " * 40, long), (long, long)):
        assert joined(tokenizer, 64, side, first, second).ids.tolist() == library.encode(first, second).ids


@pytest.mark.parametrize("cut", ["only_first", "only_second"])
def test_one_text_can_be_kept_whole(library: Library, cut: Cut, tmp_path: Path) -> None:
    tokenizer = opened(library, tmp_path)
    library.enable_truncation(40, strategy=cut)
    texts = ("stone " * 90, "hello") if cut == "only_first" else ("hello", "stone " * 90)
    first, second = tokenizer.bodies(texts, max_tokens=40, truncate=True)
    pairs = Pairs(tokenizer, max_tokens=40, segments=True)
    made = pairs.join(first, second, cut, truncate=True, side="right", index=0)
    assert made.ids.tolist() == library.encode(*texts).ids
    with pytest.raises(InvalidInput, match="of input 3 has"):
        pairs.join(second, first, cut, truncate=True, side="right", index=3)


def test_a_model_of_one_segment_gets_none(tmp_path: Path) -> None:
    pairs = Pairs(opened(bert_tokenizer(), tmp_path), max_tokens=40, segments=False)
    ids = np.array([7, 8], np.int32)
    assert pairs.join(ids, ids, "longest_first", truncate=True, side="right", index=0).types is None


def test_a_pair_that_must_not_be_cut_is_refused_with_both_lengths(tmp_path: Path) -> None:
    pairs = Pairs(opened(bert_tokenizer(), tmp_path), max_tokens=10, segments=True)
    first, second = np.arange(7, 12, dtype=np.int32), np.arange(7, 10, dtype=np.int32)
    with pytest.raises(InvalidInput, match="input 4 has 11 tokens, 5 and 3 of its two texts") as caught:
        pairs.join(first, second, "longest_first", truncate=False, side="right", index=4)
    assert caught.value.index == 4


def test_a_model_without_room_for_a_pair_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match="leaves no room for a pair"):
        Pairs(opened(bert_tokenizer(), tmp_path), max_tokens=4, segments=True)
