from __future__ import annotations

import base64
import hashlib
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiktoken

from textmill.checkpoint.cl100k import CL100K, ForeignVocabulary, Published, is_cached, open_vocabulary
from textmill.errors import ConfigInvalid, ExtraMissing, InvalidInput

WORDS = [*(bytes([byte]) for byte in range(256)), b"the", b" mill", "ö".encode()]
FILE = b"".join(base64.b64encode(word) + b" %d\n" % rank for rank, word in enumerate(WORDS))
SMALL = Published(
    name="small",
    url="https://example.org/small.tiktoken",
    sha256=hashlib.sha256(FILE).hexdigest(),
    special={"<|end|>": 300},
)


@pytest.fixture
def vocabulary(tmp_path: Path) -> ForeignVocabulary:
    (tmp_path / SMALL.key).write_bytes(FILE)
    return open_vocabulary(tmp_path, SMALL)


def test_ids_become_the_texts_that_tiktoken_made_them_of(vocabulary: ForeignVocabulary) -> None:
    theirs = tiktoken.Encoding(
        "small",
        pat_str=r"\s?\w+",
        mergeable_ranks={word: rank for rank, word in enumerate(WORDS)},
        special_tokens={"<|end|>": 300},
    )
    texts = ["the mill", "Größe", "水車"]
    ids = [theirs.encode(text) for text in texts]
    assert 257 in ids[0]
    assert vocabulary.read([*ids, "a text", [300]]) == [*texts, "a text", "<|end|>"]
    assert vocabulary.name == "small"


def test_bytes_that_are_no_text_are_replaced(vocabulary: ForeignVocabulary) -> None:
    assert vocabulary.read([[0xC3]]) == ["\ufffd"]


@pytest.mark.parametrize("wrong", [259, 299, 301, 2**32 - 1])
def test_an_id_that_is_none_is_refused_by_its_number(wrong: int, vocabulary: ForeignVocabulary) -> None:
    with pytest.raises(InvalidInput, match=f"input 1 has token id {wrong}, which small does not have") as caught:
        vocabulary.read(["a", [256, wrong]])
    assert (caught.value.param, caught.value.index) == ("input", 1)


def test_a_file_that_is_missing_or_another_is_not_taken(tmp_path: Path) -> None:
    assert not is_cached(tmp_path, SMALL)
    (tmp_path / SMALL.key).write_bytes(FILE[:-1])
    assert not is_cached(tmp_path, SMALL)
    with pytest.raises(ConfigInvalid, match=SMALL.key):
        open_vocabulary(tmp_path, SMALL)


def test_the_real_vocabulary_reads_what_langchain_sends() -> None:
    package = find_spec("llama_index.core")  # which brings the file, as tiktoken's cache has it
    assert package is not None
    assert package.origin is not None
    vocabulary = open_vocabulary(Path(package.origin).parent / "_static" / "tiktoken_cache")
    assert vocabulary.read([[15339, 1917], [100257], [100276]]) == ["hello world", "<|endoftext|>", "<|endofprompt|>"]
    with pytest.raises(InvalidInput, match="token id 100256, which cl100k_base does not have"):
        vocabulary.read([[100256]])


def test_the_published_vocabulary_lies_where_tiktoken_looks_for_it() -> None:
    assert CL100K.key == "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"


def test_a_missing_package_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)  # as if it were not there
    with pytest.raises(ExtraMissing, match=r"pip install 'textmill\[tiktoken\]'"):
        open_vocabulary(tmp_path)
