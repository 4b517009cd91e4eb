from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tokenizers

from textmill.checkpoint.tokenizer import Encoded, Tokenizer
from textmill.contract import Side
from textmill.errors import ConfigInvalid, EmptyInput, InvalidInput, ModelBroken
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3, write_json

TEXTS = (
    "",
    " ",
    "hello world",
    "  The river, Ümlaut é!\t\n",
    "中文字 世界 שלום العربية 한국어 日本",
    "a\x00b",
    "🙂 emoji \u200d",
    "x" * 500,
    "stone " * 60,
    "river [SEP] world [CLS] <|endoftext|> <|im_start|> " * 6,
    "[SEP]" * 40,
)


def vocabulary(folder: Path) -> int:
    size: int = json.loads((folder / "config.json").read_text())["vocab_size"]
    return size


def opened(folder: Path, **options: Any) -> Tokenizer:
    return Tokenizer(folder, vocabulary=vocabulary(folder), **options)


@pytest.fixture(params=["bert", "qwen3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tiny_bert(tmp_path) if request.param == "bert" else tiny_qwen3(tmp_path)


def one(tokenizer: Tokenizer, text: str, *, max_tokens: int = 1000, side: Side = "right", prompt: str = "") -> Encoded:
    return tokenizer.encode([text], max_tokens=max_tokens, truncate=True, side=side, prompt=prompt)[0]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("max_tokens", [3, 4, 7, 16, 61, 62, 63, 1000])
def test_cutting_gives_what_the_tokenizers_library_gives(folder: Path, side: Side, max_tokens: int) -> None:
    library = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    whole = [len(encoding) for encoding in library.encode_batch(list(TEXTS))]
    library.enable_truncation(max_tokens, direction=side)
    ours = opened(folder).encode(TEXTS, max_tokens=max_tokens, truncate=True, side=side)
    for text, encoded, length in zip(TEXTS, ours, whole, strict=True):
        assert encoded.ids.dtype == np.int32
        assert encoded.ids.tolist() == library.encode(text).ids, text
        assert encoded.tokens_before == length
        assert encoded.truncated == (length > max_tokens)


def test_padding_and_truncation_that_the_file_holds_do_not_apply(folder: Path) -> None:
    before = one(opened(folder), "stone " * 40).ids
    library = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    library.enable_truncation(5)
    library.enable_padding(length=50)
    library.save(str(folder / "tokenizer.json"))
    tokenizer = opened(folder)
    np.testing.assert_array_equal(one(tokenizer, "stone " * 40).ids, before)
    assert len(one(tokenizer, "a").ids) < 5


def test_rows_come_in_the_order_of_their_texts_however_many(folder: Path) -> None:
    tokenizer = opened(folder)
    texts = [f"stone {i} " + "x" * (i % 7) for i in range(1000)]
    together = tokenizer.encode(texts, max_tokens=1000, truncate=True)
    assert len(together) == len(texts)
    for i in (0, 255, 256, 257, 999):
        np.testing.assert_array_equal(together[i].ids, one(tokenizer, texts[i]).ids)


def test_no_texts_give_no_rows(folder: Path) -> None:
    assert opened(folder).encode([], max_tokens=8, truncate=True) == []


def test_a_megabyte_of_text_is_counted_and_cut(folder: Path) -> None:
    text = "stone river " * 90_000
    encoded = one(opened(folder), text, max_tokens=16)
    assert len(text) > 1_000_000
    assert (len(encoded.ids), encoded.truncated) == (16, True)
    np.testing.assert_array_equal(encoded.ids, one(opened(folder), text[:1000], max_tokens=16).ids)


def test_a_prompt_stands_in_front_of_every_text(folder: Path) -> None:
    tokenizer = opened(folder)
    np.testing.assert_array_equal(one(tokenizer, "stone", prompt="query: ").ids, one(tokenizer, "query: stone").ids)


def test_a_text_that_is_too_long_is_refused_where_it_must_not_be_cut(tmp_path: Path) -> None:
    tokenizer = opened(tiny_bert(tmp_path))
    with pytest.raises(InvalidInput) as caught:
        tokenizer.encode(["stone", "stone " * 7], max_tokens=8, truncate=False)
    assert caught.value.index == 1
    assert "input 1 has 9 tokens, but the model takes at most 8" in str(caught.value)
    assert len(tokenizer.encode(["stone " * 6], max_tokens=8, truncate=False)[0].ids) == 8


def test_inputs_are_counted_from_the_first_of_the_call(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="input 41 ") as caught:
        opened(tiny_bert(tmp_path)).encode(["a", "a " * 9], max_tokens=8, truncate=False, first=40)
    assert caught.value.index == 41


def test_a_limit_without_room_for_a_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="special tokens alone are 2"):
        opened(tiny_bert(tmp_path)).encode(["a"], max_tokens=2, truncate=True)


@pytest.mark.parametrize(("text", "position"), [("ab\ud800c", 2), ("\udfff", 0), ("\ud83d\ude00", 0)])
def test_a_lone_surrogate_is_refused_with_its_place(text: str, position: int, folder: Path) -> None:
    texts = ["fine"] * 300 + [text, "fine"]
    with pytest.raises(InvalidInput, match=f"input 310 has a lone surrogate .* at position {position}") as caught:
        opened(folder).encode(texts, max_tokens=8, truncate=True, prompt="query: ", first=10)
    assert (caught.value.index, caught.value.param) == (310, None)


def test_a_lone_surrogate_in_the_prompt_is_said_to_be_there(folder: Path) -> None:
    with pytest.raises(InvalidInput, match="in its prompt"):
        opened(folder).encode(["fine"], max_tokens=8, truncate=True, prompt="\ud800")


def test_the_tokens_of_a_prompt_leave_out_the_special_token_behind_it(tmp_path: Path) -> None:
    bert, qwen3 = opened(tiny_bert(tmp_path / "b")), opened(tiny_qwen3(tmp_path / "q"))
    assert bert.prompt_tokens("query: ") == 3  # [CLS] query :
    assert qwen3.prompt_tokens("q: ") == 3
    assert bert.prompt_tokens("") == qwen3.prompt_tokens("") == 0


def test_lower_case_comes_before_the_tokenizers_own_rules(tmp_path: Path) -> None:
    folder = tiny_qwen3(tmp_path)
    plain, lower = opened(folder), opened(folder, lowercase=True)
    assert one(lower, "The STONE").ids.tolist() == one(plain, "the stone").ids.tolist()
    assert one(plain, "The STONE").ids.tolist() != one(plain, "the stone").ids.tolist()


def test_ids_decode_to_their_text(tmp_path: Path) -> None:
    tokenizer = opened(tiny_bert(tmp_path))
    ids = one(tokenizer, "Hello world").ids.tolist()
    assert tokenizer.decode(ids) == "hello world"


def test_ids_of_the_model_are_taken_as_they_are(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path)
    ids = opened(folder).check_ids([0, vocabulary(folder) - 1], 0)
    assert ids.dtype == np.int32
    assert ids.tolist() == [0, vocabulary(folder) - 1]


@pytest.mark.parametrize(("ids", "wrong"), [([5, -1], -1), ([9906, 5], 9906), ([2**40], 2**40), ([-(2**70)], -(2**70))])
def test_ids_that_the_model_does_not_have_are_refused(ids: list[int], wrong: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="check_embedding_ctx_length=False") as caught:
        opened(tiny_bert(tmp_path)).check_ids(ids, 3)
    assert caught.value.index == 3
    assert f"input 3 has token id {wrong}," in str(caught.value)


@pytest.mark.parametrize("ids", [[1.5], [1, True], [[1, 2]], ["a"], np.ones(2), np.ones((2, 2), int), [None]])
def test_what_is_no_integer_is_refused_as_an_id(ids: Any, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"input 4 has .* among its token ids; they must be integers") as caught:
        opened(tiny_bert(tmp_path)).check_ids(ids, 4)
    assert caught.value.index == 4


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64, np.uint64])
def test_ids_may_be_numpys_integers(kind: type[np.integer[Any]], tmp_path: Path) -> None:
    tokenizer = opened(tiny_bert(tmp_path))
    assert tokenizer.check_ids(np.array([5, 6], kind), 0).tolist() == [5, 6]  # type: ignore[arg-type]  # as callers do
    assert tokenizer.check_ids([kind(5), 6], 0).tolist() == [5, 6]  # type: ignore[list-item]  # the same


def test_a_model_without_room_for_text_is_broken(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path)
    with pytest.raises(
        ModelBroken, match="have 2 tokens at most, but the special tokens alone are 2; give a larger max_seq_length"
    ):
        Tokenizer(folder, vocabulary=vocabulary(folder), max_tokens=2)
    assert Tokenizer(folder, vocabulary=vocabulary(folder), max_tokens=3)


def test_no_ids_are_an_empty_input(tmp_path: Path) -> None:
    with pytest.raises(EmptyInput, match="input 2 is an empty list"):
        opened(tiny_bert(tmp_path)).check_ids([], 2)


def test_threads_share_a_tokenizer(folder: Path) -> None:
    tokenizer = opened(folder)
    expected = [one(tokenizer, text, max_tokens=7).ids.tolist() for text in TEXTS]
    start = threading.Barrier(4)

    def work(side: Side) -> list[list[int]]:
        start.wait(timeout=10)
        for _ in range(20):
            found = tokenizer.encode(TEXTS, max_tokens=7, truncate=True, side=side)
        return [encoded.ids.tolist() for encoded in found]

    with ThreadPoolExecutor(4) as pool:
        sides: list[Side] = ["right", "left", "right", "left"]
        answers = list(pool.map(work, sides))
    assert answers[0] == answers[2] == expected
    assert answers[1] == answers[3] != expected


def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match=r"has no tokenizer\.json; .*AutoTokenizer.*save_pretrained"):
        Tokenizer(tmp_path, vocabulary=10)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"model": {"type": "Unheard"}}'])
def test_a_file_that_holds_no_tokenizer_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(ModelBroken, match=r"tokenizer\.json cannot be read"):
        Tokenizer(tmp_path, vocabulary=10)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path)
    with pytest.raises(ModelBroken, match="they belong to different models"):
        Tokenizer(folder, vocabulary=vocabulary(folder) - 1)


def test_a_tokenizer_with_other_segments_for_one_text_is_refused(tmp_path: Path) -> None:
    file = tiny_bert(tmp_path) / "tokenizer.json"
    data = json.loads(file.read_text())
    data["post_processor"]["single"][-1]["SpecialToken"]["type_id"] = 2
    write_json(file, data)
    with pytest.raises(ModelBroken, match="segments other than 0"):
        opened(tmp_path)
