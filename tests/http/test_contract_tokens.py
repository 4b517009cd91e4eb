"""TEI's /tokenize and /decode over the wire."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.timeout(120)  # the first test starts the server


def tokenize(live: httpx.Client, inputs: Any, **fields: Any) -> Any:
    answer = live.post("/tokenize", json={"inputs": inputs, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("inputs", ["the mill", ["the mill"], ["the mill", "water"]], ids=str)
def test_tokens_are_a_list_for_each_text(inputs: Any, live: httpx.Client) -> None:
    made = tokenize(live, inputs)
    assert len(made) == (1 if isinstance(inputs, str) else len(inputs))
    assert made[0] == [
        {"id": 101, "text": "[CLS]", "special": True, "start": None, "stop": None},
        {"id": 1996, "text": "the", "special": False, "start": 0, "stop": 3},
        {"id": 4971, "text": "mill", "special": False, "start": 4, "stop": 8},
        {"id": 102, "text": "[SEP]", "special": True, "start": None, "stop": None},
    ]


def test_the_keys_are_in_their_order_and_null_is_said(live: httpx.Client) -> None:
    text = live.post("/tokenize", json={"inputs": "a"}).text
    assert text.startswith('[[{"id":101,"text":"[CLS]","special":true,"start":null,"stop":null},')


def test_places_are_bytes(live: httpx.Client) -> None:
    text = "Ünïcödé 东京 mill"
    [made] = tokenize(live, text)
    raw = text.encode()
    for token in made[1:-1]:
        assert raw[token["start"] : token["stop"]].decode() == token["text"]
    assert made[-2]["stop"] == len(raw)


def test_special_tokens_may_be_left_out(live: httpx.Client) -> None:
    assert [token["id"] for token in tokenize(live, "the mill", add_special_tokens=False)[0]] == [1996, 4971]
    assert len(tokenize(live, "the mill", add_special_tokens=None)[0]) == 4


def test_a_long_text_is_never_cut(live: httpx.Client) -> None:
    assert len(tokenize(live, "mill " * 600)[0]) == 602


def test_every_kind_of_model_tokenises(live: httpx.Client) -> None:
    for model in ("classifier", "reranker", "splade"):
        made = live.post("/tokenize", json={"inputs": "river", "model": model}).json()
        assert [token["text"] for token in made[0]] == ["[CLS]", "river", "[SEP]"]


@pytest.mark.parametrize(
    ("ids", "texts"),
    [
        ([101, 1996, 4971, 102], ["the mill"]),
        ([[101, 1996, 4971, 102]], ["the mill"]),
        ([[1996], [4971, 102]], ["the", "mill"]),
        ([102], [""]),
    ],
)
def test_ids_become_texts(ids: Any, texts: list[str], live: httpx.Client) -> None:
    assert live.post("/decode", json={"ids": ids}).json() == texts
    assert live.post("/decode", json={"ids": ids, "skip_special_tokens": None}).json() == texts


def test_special_tokens_may_stay(live: httpx.Client) -> None:
    answer = live.post("/decode", json={"ids": [101, 1996, 4971, 102], "skip_special_tokens": False})
    assert answer.json() == ["[CLS] the mill [SEP]"]
