"""Objects of the caller's own as models."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import textmill
from textmill.contract import ClassifyOptions, EmbedDefaults, EmbedOptions, Ranked, RerankOptions
from textmill.errors import (
    ConfigInvalid,
    EmptyInput,
    ForwardFailed,
    InvalidInput,
    Overloaded,
    Unavailable,
    WrongTask,
)
from textmill.providers.custom import Custom, CustomModel
from textmill.providers.custom_object import CustomObject
from textmill.providers.worker import Worker


class Letters:
    """Counts letters; remembers its calls."""

    prompts = {"query": "q ", "document": "d "}  # noqa: RUF012 - as users write it

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.closed = 0

    def embed(self, texts: list[str]) -> list[list[float]]:
        self.calls.append(texts)
        return [[text.count("a"), text.count("b"), 1.0] for text in texts]

    def close(self) -> None:
        self.closed += 1


class All:
    labels = ("long", "short")

    def embed(self, texts: Sequence[str], *, kind: str | None, prompt: str) -> Any:
        return np.array([[len(text), len(prompt), {"query": 1, "document": 2}.get(kind or "", 0)] for text in texts])

    async def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        await asyncio.sleep(0)
        return [text.count(query) for text in texts]

    def classify(self, texts: Sequence[object]) -> Any:
        return np.array([[len(text), 1] for text in texts])  # type: ignore[arg-type]


@pytest.fixture
def letters() -> Iterator[tuple[CustomModel, Letters]]:
    given = Letters()
    with textmill.custom(given, "letters", dimensions=3, batch_size=2) as model:
        yield model, given


async def test_vectors_are_those_of_the_object_at_length_one(letters: tuple[CustomModel, Letters]) -> None:
    model, given = letters

    np.testing.assert_allclose(model.embed(["aab"], normalize=False), [[2, 1, 1]])
    np.testing.assert_allclose(model.embed("aab"), [[2 / 6**0.5, 1 / 6**0.5, 1 / 6**0.5]], rtol=1e-6)
    np.testing.assert_allclose(await model.aembed(["aab"], dimensions=2), [[2 / 5**0.5, 1 / 5**0.5]], rtol=1e-6)
    assert model.embed([]).shape == (await model.aembed([])).shape == (0, 3)
    assert model.embed(["x"] * 5).dtype == np.float32
    assert [len(call) for call in given.calls[-3:]] == [2, 2, 1]
    answer = await model.embed_inputs(["x", "y"], EmbedOptions())
    assert (answer.tokens, answer.truncated) == ((0, 0), (False, False))


def test_prompts_stand_before_texts_that_the_method_does_not_get_them_for(letters: tuple[CustomModel, Letters]) -> None:
    model, given = letters

    model.embed(["a"], kind="query")
    model.embed(["a"], prompt_name="document")
    model.embed(["a"], prompt="p ")
    model.embed(["a"])
    assert given.calls == [["q a"], ["d a"], ["p a"], ["a"]]
    with pytest.raises(InvalidInput, match="no prompt named 'other'"):
        model.embed(["a"], prompt_name="other")


async def test_a_method_gets_the_keywords_that_it_takes() -> None:
    with textmill.custom(All(), prompts={"query": "find: "}, default_prompt="query") as model:
        assert model.info.name == "All"
        assert model.info.tasks == ("embed", "rerank", "classify")
        assert model.info.dimensions == 3
        np.testing.assert_array_equal(model.embed(["ab"], kind="query", normalize=False), [[2, 6, 1]])
        assert model.rerank("a", ["b", "aa", "a"]) == [Ranked(1, 2.0, "aa"), Ranked(2, 1.0, "a"), Ranked(0, 0.0, "b")]
        assert await model.arerank("a", ["b", "aa"], top=1) == [Ranked(1, 2.0, "aa")]
        assert model.classify(["abc", ("a", "b")]) == [{"long": 3.0, "short": 1.0}, {"long": 2.0, "short": 1.0}]
        assert await model.aclassify("abc") == [{"long": 3.0, "short": 1.0}]
        assert (model.rerank("a", []), model.classify([])) == ([], [])


def test_a_function_is_a_model_that_embeds() -> None:
    def lengths(texts: list[str]) -> list[list[int]]:
        return [[len(text), 1] for text in texts]

    with textmill.custom(lengths) as model:
        assert (model.info.name, model.info.tasks, model.info.dimensions) == ("lengths", ("embed",), 2)


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (
            lambda texts: np.zeros((len(texts) + 1, 3)),
            r"gave an array of shape \(3, 3\) for 2 inputs, and must give \(2, …\)",
        ),
        (lambda texts: np.zeros(len(texts)), r"gave an array of shape \(2,\)"),
        (lambda texts: np.zeros((len(texts), 0)), r"gave an array of shape \(2, 0\)"),
        (lambda texts: np.zeros((len(texts), 4)), "gave 4 values for each input, and its vectors have 3 values"),
        (lambda _: np.array([[0, 0, 0], [0, np.nan, 0]]), "gave values for input 1 that are no finite numbers"),
        (lambda texts: [[1e300, 0, 0]] * len(texts), "gave values for input 0 that are no finite numbers"),
        (lambda texts: [["a"] * 3] * len(texts), "gave something of type list, and must give numbers"),
        (lambda _: [[1], [1, 2]], "gave something of type list, which is no array of numbers"),
        (lambda _: None, "gave None, and must give numbers"),
        (lambda _: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda _: exit(3), "raised SystemExit: 3"),  # noqa: PLR1722 - whatever people's code does
    ],
)
async def test_what_the_object_does_wrong_is_told_by_its_name(gives: Callable[[list[str]], Any], said: str) -> None:
    class Broken:
        def embed(self, texts: list[str]) -> Any:
            return gives(texts)

    with textmill.custom(Broken(), dimensions=3) as model:
        with pytest.raises(ForwardFailed, match=rf"Broken\.embed {said}"):
            model.embed(["a", "b"])
        with pytest.raises(ForwardFailed, match=said):
            await model.embed_inputs(["a", "b"], EmbedOptions())
        assert model.ready


def test_an_error_of_ours_passes_as_it_is() -> None:
    def embed(_: list[str]) -> Any:
        msg = "these are no texts that this model knows"
        raise InvalidInput(msg)

    with textmill.custom(embed, dimensions=3) as model, pytest.raises(InvalidInput, match="no texts that this model"):
        model.embed("a")


async def test_what_it_does_not_do_is_refused(letters: tuple[CustomModel, Letters]) -> None:
    model, _ = letters

    for verb in ("embed_sparse", "aembed_tokens", "tokenize", "classify_zero_shot"):
        with pytest.raises(WrongTask, match=r"letters cannot .*; it can embed"):
            getattr(model, verb)(["a"])
    for refused in (
        lambda: model.rerank("a", ["b"]),
        lambda: model.classify(["b"]),
    ):
        with pytest.raises(WrongTask, match="it can embed"):
            refused()
    with pytest.raises(WrongTask):
        await model.rerank_inputs("a", ["b"], RerankOptions())
    for options in ({"adapter": "a"}, {"pooling": "mean"}, {"dimensions": 4}):
        with pytest.raises(InvalidInput):
            await model.embed_inputs(["a"], EmbedOptions(**options))
    with pytest.raises(InvalidInput, match="input 0 has token ids"):
        await model.embed_inputs([[1, 2]], EmbedOptions())
    with pytest.raises(EmptyInput):
        await model.embed_inputs([], EmbedOptions())
    with textmill.custom(All()) as every, pytest.raises(InvalidInput, match="cannot become sigmoid"):
        await every.classify_inputs(["a"], ClassifyOptions(scoring="sigmoid"))
    assert not hasattr(model, "nothing")


@pytest.mark.parametrize(
    ("given", "said", "message"),
    [
        (object(), {}, "object is of type object without a method embed, rerank or classify"),
        (Letters(), {"dimension": 3}, "custom.. has no option 'dimension'; did you mean dimensions"),
        (Letters(), {"batch_size": -1}, "batch_size of Letters is -1"),
        (
            Letters(),
            {"default_prompt": "other"},
            "default_prompt of Letters is 'other', and its prompts are query, document",
        ),
        (type("Classes", (), {"classify": lambda *given: given})(), {}, "its labels are not known"),
        (type("Odd", (), {"embed": lambda *given: given, "dimensions": "3"})(), {}, "it must be int"),
        (Letters(), {"dimensions": "3"}, "dimensions of Letters is of type str, and it must be int"),
        (Letters(), {"dimensions": 3.0}, "dimensions of Letters is of type float, and it must be int"),
        (Letters(), {"threads": True}, "threads of Letters is of type bool, and it must be int"),
        (Letters(), {"dimensions": 0}, "dimensions of Letters is 0; it must be at least 1"),
        (Letters(), {"batch_size": 0}, "batch_size of Letters is 0; it must be at least 1"),
        (Letters(), {"prompts": ["query: "]}, "prompts of Letters is of type list, and it must be Mapping"),
        (Letters(), {"prompts": {"query": 3}}, "prompts of Letters must be texts"),
        (type("Odd", (), {"classify": lambda *given: given, "labels": [1, 2]})(), {}, "labels of Odd must be texts"),
    ],
)
def test_what_cannot_be_a_model_is_refused(given: object, said: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        textmill.custom(given, **said)


def test_what_closing_raises_is_logged_and_keeps_nobody_from_closing(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Letters):
        def close(self) -> None:
            exit(3)  # noqa: PLR1722 - whatever people's code does

    with textmill.custom(Stuck()) as model:
        pass
    assert not model.ready
    assert "Stuck.close failed" in caplog.text


async def test_closing_may_be_a_coroutine() -> None:
    closed = []

    class Async:
        def embed(self, texts: list[str]) -> list[list[float]]:
            return [[1.0]] * len(texts)

        async def close(self) -> None:
            closed.append(True)

    textmill.custom(Async()).close()
    assert closed == [True]


def test_numbers_of_numpy_are_numbers() -> None:
    with textmill.custom(Letters(), dimensions=np.int64(3)) as model:
        assert type(model.info.dimensions) is int


@pytest.mark.parametrize("kind", ["bfloat16", "float32", "int64"])
def test_tensors_are_read_in_any_type_and_with_a_gradient(kind: str) -> None:
    import torch

    def embed(texts: list[str]) -> Any:
        return torch.ones(len(texts), 4, dtype=getattr(torch, kind), requires_grad=kind != "int64")

    with textmill.custom(embed) as model:
        assert model.embed(["a", "b"]).tolist() == [[0.5] * 4] * 2


async def test_calls_come_one_at_a_time_and_others_have_their_turn_between_batches() -> None:
    begun, go = threading.Event(), threading.Event()
    seen: list[str] = []

    def embed(texts: list[str]) -> Any:
        seen.append(texts[0])
        begun.set()
        go.wait(10)
        return [[1.0]] * len(texts)

    with textmill.custom(embed, dimensions=1, batch_size=1) as model:
        long = asyncio.create_task(model.aembed(["long 1", "long 2"]))
        await asyncio.to_thread(begun.wait, 10)
        short, left = asyncio.create_task(model.aembed(["short"])), asyncio.create_task(model.aembed(["left"]))
        await asyncio.sleep(0)
        assert model.waiting == (2, 2)
        left.cancel()
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(long, short)
    assert seen == ["long 1", "short", "long 2"]


class BehindTheTexts:
    def embed(self, texts: Sequence[str], prompt: str = "", /) -> list[list[float]]:
        return [[len(prompt + text), 1.0] for text in texts]


def test_a_prompt_that_has_no_name_to_be_given_by_goes_in_front_of_the_texts() -> None:
    with textmill.custom(BehindTheTexts(), prompts={"query": "four"}) as model:
        assert model.embed("a", kind="query", normalize=False).tolist() == [[5, 1]]


def test_a_model_that_fails_at_its_first_text_leaves_no_thread() -> None:
    def fails(texts: Sequence[str]) -> None:
        raise ValueError(texts[0])

    with pytest.raises(ForwardFailed, match="raised ValueError"):
        textmill.custom(fails, "fails")
    left = [thread for thread in threading.enumerate() if thread.name.startswith("textmill-fails")]
    for thread in left:
        thread.join(5)
    assert not any(thread.is_alive() for thread in left)


def test_a_fingerprint_tells_how_vectors_are_scaled() -> None:
    given = CustomObject(Letters(), "Letters")
    prints = set()
    for norm in (1, 2):
        with CustomModel(given, "letters", Custom(dimensions=3), EmbedDefaults(norm=norm)) as model:
            prints.add(model.info.fingerprint)
    assert len(prints) == 2


def test_a_closed_model_is_unavailable(letters: tuple[CustomModel, Letters]) -> None:
    model, given = letters
    model.close()
    model.close()

    assert given.closed == 1
    assert not model.ready
    with pytest.raises(Unavailable, match="letters is closed"):
        model.embed("a")


def test_what_hangs_keeps_nobody_from_closing() -> None:
    begun, go = threading.Event(), threading.Event()
    worker = Worker("slow", 1, waiting=3)
    worker.submit(lambda: begun.set() or go.wait(20), 1)  # type: ignore[func-returns-value]  # both, in one expression
    begun.wait(10)
    waiting = worker.submit(lambda: None, 3)

    with pytest.raises(Overloaded, match="slow has 3 inputs waiting, and takes 3 at most"):
        worker.submit(lambda: None, 1)
    worker.close(0.01)
    with pytest.raises(Unavailable, match="closed before this was done"):
        waiting.result(10)
    [thread] = [each for each in threading.enumerate() if each.name == "textmill-slow-0"]
    go.set()
    thread.join(10)
    assert not thread.is_alive()
