from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from textmill.contract import Alternative, CompleteOptions, Ended, Event, Piece, Spent, TokenLogprob
from textmill.errors import ForwardFailed, InvalidInput
from textmill.testing.served import RecordingModel


async def ask(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/v1/completions", json={"prompt": "Once"} | fields)


def events(answer: httpx.Response) -> list[Any]:
    parts = answer.text.split("\n\n")
    assert parts[-2:] == ["data: [DONE]", ""]
    return [json.loads(part.removeprefix("data: ")) for part in parts[:-2]]


def token(text: str, logprob: float, *others: tuple[str, float]) -> Piece:
    told = Alternative(text, logprob, text.encode())
    top = tuple(Alternative(other, value, other.encode()) for other, value in others)
    return Piece(text=text, logprobs=(TokenLogprob(told, (told, *top)),))


def of(choice: int, *pieces: Piece) -> list[Event]:
    return [Piece(choice=choice, text=piece.text, logprobs=piece.logprobs) for piece in pieces]


async def test_an_answer_has_openais_shape(client: httpx.AsyncClient, model: RecordingModel) -> None:
    body = (await ask(client)).json()
    assert body["id"].startswith("cmpl-")
    assert {key: body[key] for key in ("object", "model", "choices", "usage")} == {
        "object": "text_completion",
        "model": "tiny",
        "choices": [{"index": 0, "text": "The mill turns.", "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 2,
            "total_tokens": 11,
            "prompt_tokens_details": {"cached_tokens": 0},
        },
    }
    assert model.asked == [("Once", CompleteOptions())]


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
        (["a", [3]], ["a", [3]]),
        ("", [""]),
    ],
)
async def test_prompts_are_texts_or_ids(
    prompt: object, asked: list[object], client: httpx.AsyncClient, model: RecordingModel
) -> None:
    answer = await ask(client, prompt=prompt, suffix=" end.")
    assert answer.status_code == 200
    assert [given for given, _ in model.asked] == asked
    assert [choice["index"] for choice in answer.json()["choices"]] == list(range(len(asked)))
    assert answer.json()["usage"]["total_tokens"] == 11 * len(asked)
    assert {options.suffix for _, options in model.asked if isinstance(options, CompleteOptions)} == {" end."}


async def test_indices_count_through_all_prompts_and_choices(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = (
        *of(0, Piece(text="a")),
        *of(1, Piece(text="b")),
        Ended(0, "stop"),
        Ended(1, "length"),
        Spent(prompt_tokens=1, completion_tokens=2),
    )
    choices = (await ask(client, prompt=["x", "y"], n=2, echo=True)).json()["choices"]
    assert [(each["index"], each["text"], each["finish_reason"]) for each in choices] == [
        (0, "xa", "stop"),
        (1, "xb", "length"),
        (2, "ya", "stop"),
        (3, "yb", "length"),
    ]
    chunks = events(await ask(client, prompt=["x", "y"], n=2, echo=True, stream=True))
    texts = ["", "", "", ""]
    for chunk in chunks:
        [choice] = chunk["choices"]
        texts[choice["index"]] += choice["text"]
    assert texts == ["xa", "xb", "ya", "yb"]


async def test_a_stream_has_pieces_a_reason_and_the_usage(client: httpx.AsyncClient) -> None:
    chunks = events(await ask(client, stream=True, stream_options={"include_usage": True}))
    assert [chunk["object"] for chunk in chunks] == ["text_completion"] * 4
    assert [chunk["choices"] for chunk in chunks] == [
        [{"index": 0, "text": "The mill", "logprobs": None, "finish_reason": None}],
        [{"index": 0, "text": " turns.", "logprobs": None, "finish_reason": None}],
        [{"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}],
        [],
    ]
    assert chunks[-1]["usage"]["completion_tokens"] == 2


async def test_logprobs_have_the_shape_of_completions(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = (
        token("Th", -0.1, ("Wh", -3.0)),
        token("e", -0.2),
        Ended(0, "stop"),
        Spent(prompt_tokens=1, completion_tokens=2),
    )
    [choice] = (await ask(client, logprobs=2)).json()["choices"]
    assert choice["logprobs"] == {
        "tokens": ["Th", "e"],
        "token_logprobs": [-0.1, -0.2],
        "top_logprobs": [{"Th": -0.1, "Wh": -3.0}, {"e": -0.2}],
        "text_offset": [0, 2],
    }
    assert isinstance(model.asked[0][1], CompleteOptions)
    assert model.asked[0][1].logprobs == 2
    chunks = events(await ask(client, logprobs=2, stream=True))
    assert [chunk["choices"][0]["logprobs"] and chunk["choices"][0]["logprobs"]["text_offset"] for chunk in chunks] == [
        [0],
        [2],
        None,
    ]


async def test_the_best_are_those_whose_tokens_are_likeliest(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = (
        *of(0, token("bad", -5.0)),
        *of(1, token("good", -0.1), token("good", -0.3)),
        *of(2, token("fair", -1.0)),
        *(Ended(index, "stop") for index in range(3)),
        Spent(prompt_tokens=1, completion_tokens=4),
    )
    body = (await ask(client, n=2, best_of=3)).json()
    assert [(each["index"], each["text"], each["logprobs"]) for each in body["choices"]] == [
        (0, "goodgood", None),
        (1, "fair", None),
    ]
    assert body["usage"]["completion_tokens"] == 4
    assert isinstance(model.asked[0][1], CompleteOptions)
    assert model.asked[0][1].n == 3


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": ["a"] * 2049}, "prompt"),
        ({"n": 2, "best_of": 1}, "best_of"),
        ({"best_of": 2, "stream": True}, "best_of"),
        ({"echo": True, "logprobs": 1}, "logprobs"),
        ({"echo": True, "logprobs": 0}, "logprobs"),
        ({"logprobs": 21}, "logprobs"),
    ],
)
async def test_what_cannot_be_is_400(fields: dict[str, Any], param: str, client: httpx.AsyncClient) -> None:
    answer = await ask(client, **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_the_first_error_ends_all_prompts(client: httpx.AsyncClient, model: RecordingModel) -> None:
    model.script = (InvalidInput("too long", param="prompt"),)
    assert (await ask(client, prompt=["a", "b"])).status_code == 400
    model.script = (Piece(text="a"), ForwardFailed("it has died"))
    assert events(await ask(client, prompt=["a"], stream=True))[-1]["error"]["code"] == "forward_failed"


async def test_a_model_is_named_by_the_path_as_well(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/engines/tiny/completions", json={"prompt": "a"})).status_code == 200
    assert (await client.post("/v1/engines/none/completions", json={"prompt": "a"})).status_code == 404
