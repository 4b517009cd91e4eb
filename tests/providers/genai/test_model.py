from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.providers.genai.conftest import Open
from tests.providers.writing import GREEDY, choices, gathered
from tests.providers.writing import opened as causal

from textmill.contract import (
    ChatOptions,
    CompleteOptions,
    Format,
    Message,
    Named,
    Piece,
    Sampling,
    TokenizeOptions,
    Tool,
)
from textmill.errors import EmptyInput, ForwardFailed, InvalidInput, LoadFailed, TextmillError, Unavailable
from textmill.providers.genai.model import GenaiModel
from textmill.testing.causal import CHAT, saying_writer, tiny_writer
from textmill.testing.genai import as_openvino

pytestmark = pytest.mark.timeout(60)  # processes start, and the machine may be busy

HOT = Sampling(temperature=1.5, top_p=1.0, seed=1)
HI = [Message(role="user", content="hi")]
TOOL = Tool(
    name="turn",
    parameters={
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    },
)
CALLED = '<tool_call>\n{"name": "turn", "arguments": {"n": 7}}\n</tool_call>'
ENDLESS = Sampling(temperature=0.0, ignore_eos=True)


def prompt(model: GenaiModel, text: str | list[int], **options: object):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return model.complete(text, CompleteOptions(**{"sampling": GREEDY, "max_tokens": 24, **options}))  # type: ignore[arg-type]


def chat(model: GenaiModel, **options: object):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return model.chat(HI, ChatOptions(**{"sampling": GREEDY, **options}))  # type: ignore[arg-type]


async def test_the_text_and_its_logprobs_are_those_of_transformers(tiny: GenaiModel, folder: Path) -> None:
    other = causal(folder)
    for text in ("The mill", "by the river stands", "Mühle 🙂"):
        ours = await gathered(prompt(tiny, text, logprobs=1))
        theirs = await gathered(other.complete(text, CompleteOptions(sampling=GREEDY, max_tokens=24, logprobs=1)))

        assert (ours.text, ours.ids, ours.ended) == (theirs.text, theirs.ids, theirs.ended)
        told = [each.token.logprob for each in theirs.logprobs]
        assert [each.token.logprob for each in ours.logprobs] == pytest.approx(told, abs=1e-4)
        assert [each.top[0].id for each in ours.logprobs] == ours.ids
        assert ours.spent is not None
        assert theirs.spent is not None
        assert ours.spent.prompt_tokens == theirs.spent.prompt_tokens
        assert ours.spent.completion_tokens == theirs.spent.completion_tokens == 24
    other.close(0.0)


async def test_a_text_is_the_same_alone_and_beside_others(tiny: GenaiModel) -> None:
    prompts = [f"Prompt number {index}, " * (1 + index) for index in range(12)]

    together = await asyncio.gather(*(gathered(prompt(tiny, each)) for each in prompts))
    alone = [await gathered(prompt(tiny, each)) for each in prompts]

    assert [each.text for each in together] == [each.text for each in alone]


async def test_choices_are_drawn_by_their_seeds(tiny: GenaiModel) -> None:
    first = await choices(prompt(tiny, "The mill", n=3, sampling=HOT), 3)
    again = await choices(prompt(tiny, "The mill", n=3, sampling=HOT), 3)

    assert [each.text for each in first] == [each.text for each in again]
    assert len({each.text for each in first}) == 3
    assert first[0].spent is not None
    assert first[0].spent.completion_tokens == sum(24 for _ in first)


async def test_the_likeliest_tokens_are_drawn_from(tiny: GenaiModel) -> None:
    pid = tiny.pid
    likeliest = await gathered(prompt(tiny, "The mill"))

    one = await gathered(prompt(tiny, "The mill", sampling=Sampling(temperature=1.5, top_p=1.0, top_k=1)))
    most = await gathered(prompt(tiny, "The mill", sampling=Sampling(temperature=1.5, top_k=2**63)))

    assert one.ids == likeliest.ids
    assert most.spent is not None
    assert tiny.pid == pid


async def test_how_many_tokens_are_drawn_from_may_be_in_the_models_own_file(opened: Open, tmp_path: Path) -> None:
    made = as_openvino(tiny_writer(tmp_path / "m"))
    stated = made / "generation_config.json"
    own = json.loads(stated.read_text(encoding="utf-8")) if stated.is_file() else {}
    stated.write_text(json.dumps({**own, "do_sample": True, "top_k": 50, "top_p": 1}), encoding="utf-8")

    wrote = await gathered(prompt(opened(made), "x", sampling=Sampling()))

    assert wrote.spent is not None


async def test_a_reader_that_leaves_stops_the_text(tiny: GenaiModel) -> None:
    async with aclosing(prompt(tiny, "x", sampling=ENDLESS, max_tokens=None)) as events:
        async for _ in events:
            break
    async with aclosing(prompt(tiny, "y", sampling=ENDLESS, max_tokens=None, n=8)) as events:
        async for _ in events:
            break

    whole = await asyncio.wait_for(gathered(prompt(tiny, "z", n=1)), 10)  # there is room at once

    assert whole.spent is not None
    assert whole.spent.generation_s < 5
    assert tiny.waiting == (0, 0)


async def test_stop_strings_end_one_choice_of_several(opened: Open, tmp_path: Path) -> None:
    model = opened(as_openvino(saying_writer(tmp_path / "m", "good day to you", then_end=False)))

    made = await choices(prompt(model, "x", n=2, stop=("to", "day"), max_tokens=None), 2)

    assert [(each.text, each.ended and each.ended.stop) for each in made] == [("good ", "day")] * 2


async def test_a_conversation_is_written_by_the_template_and_read_by_its_marks(opened: Open, tmp_path: Path) -> None:
    text = f"<think>\nWell\n</think>\nI turn it. {CALLED}"
    model = opened(as_openvino(saying_writer(tmp_path / "m", text, context=1024)))

    wrote = await gathered(chat(model, tools=(TOOL,)))

    assert (wrote.reasoning, wrote.text) == ("Well\n", "I turn it. ")
    assert wrote.calls == {0: ["turn", '{"n": 7}']}
    assert wrote.ended is not None
    assert wrote.ended.reason == "tool_calls"


async def test_a_tool_that_must_be_called_is_called(tiny: GenaiModel) -> None:
    named = await gathered(chat(tiny, tools=(TOOL,), tool_choice=Named("turn"), sampling=HOT))
    one = await gathered(chat(tiny, tools=(TOOL,), tool_choice="required", sampling=HOT, parallel_tool_calls=False))

    for wrote in (named, one):
        [[name, arguments]] = wrote.calls.values()
        assert (name, set(json.loads(arguments))) == ("turn", {"n"})
        assert (wrote.text.strip(), wrote.ended and wrote.ended.reason) == ("", "tool_calls")


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Format("json_object"), lambda text: isinstance(json.loads(text), dict)),
        (Format("grammar", 'root ::= ("yes" | "no") "!"'), lambda text: text in ("yes!", "no!")),
        (
            Format("json_schema", '{"type": "integer", "minimum": 3, "maximum": 41}'),
            lambda text: 3 <= json.loads(text) <= 41,
        ),
    ],
)
async def test_formats_are_kept_at_high_temperatures(tiny: GenaiModel, wanted: Format, fits: object) -> None:
    made = await asyncio.gather(
        *(
            gathered(
                chat(tiny, format=wanted, max_tokens=900, sampling=Sampling(temperature=1.5, top_p=1.0, seed=seed))
            )
            for seed in range(20)
        )
    )

    whole = [each for each in made if each.ended is not None and each.ended.reason == "stop"]
    assert len(whole) >= 15
    assert all(fits(each.text) for each in whole)  # type: ignore[operator]


@pytest.mark.parametrize("logprobs", [None, 0])
async def test_a_text_ends_with_its_grammar_even_where_ends_are_ignored(tiny: GenaiModel, logprobs: int | None) -> None:
    for rule, texts in (('root ::= "ab"', {"ab"}), ('root ::= "a"{1,4}', {"a" * count for count in range(1, 5)})):
        wrote = await gathered(
            chat(tiny, format=Format("grammar", rule), sampling=ENDLESS, max_tokens=40, logprobs=logprobs)
        )

        assert wrote.text in texts
        assert (wrote.ended and wrote.ended.reason) == "stop"


async def test_a_schema_is_kept_each_of_two_hundred_times(tiny: GenaiModel) -> None:
    schema = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["mill", "house"]},
            "sizes": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
            "open": {"type": "boolean"},
        },
        "required": ["kind", "sizes"],
        "additionalProperties": False,
    }
    wanted = Format("json_schema", json.dumps(schema))

    made = await asyncio.gather(
        *(
            gathered(chat(tiny, format=wanted, sampling=Sampling(temperature=1.5, top_p=1.0, seed=seed)))
            for seed in range(200)
        )
    )

    for each in made:
        found = json.loads(each.text)
        assert found["kind"] in ("mill", "house")
        assert all(type(size) is int for size in found["sizes"])
        assert set(found) <= {"kind", "sizes", "open"}
        assert each.ended is not None
        assert each.ended.reason == "stop"


async def test_reasoning_is_free_before_a_format(opened: Open, tmp_path: Path) -> None:
    thinks = CHAT.replace("{% if thinking %}", "{% if true %}")
    model = opened(as_openvino(saying_writer(tmp_path / "m", 'Hm.</think>"yes"', template=thinks)))

    wrote = await gathered(chat(model, format=Format("json_schema", '{"enum": ["yes", "no"]}')))

    assert (wrote.reasoning, wrote.text) == ("Hm.", '"yes"')


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        (Format("grammar", "root ::= ("), "grammar"),
        (Format("json_schema", '{"type": 5}'), "response_format"),
        (Format("json_schema", "{"), "response_format"),
        (Format("json_schema", "[]"), "response_format"),
    ],
)
async def test_grammars_that_cannot_be_hurt_nobody_else(tiny: GenaiModel, wanted: Format, param: str) -> None:
    pid = tiny.pid
    other = asyncio.create_task(gathered(prompt(tiny, "beside", max_tokens=200, sampling=ENDLESS)))

    with pytest.raises(InvalidInput) as refused:
        await gathered(chat(tiny, format=wanted))

    assert (refused.value.param, "/home/" in str(refused.value)) == (param, False)
    assert (await other).spent is not None
    assert tiny.pid == pid


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sampling": Sampling(logit_bias={1: 2.0})}, "no logit_bias"),
        ({"sampling": Sampling(mirostat=2)}, "no mirostat"),
        ({"sampling": Sampling(typical_p=0.5)}, "no typical_p"),
        ({"sampling": Sampling(presence_penalty=3.0)}, "-2 to 2"),
        ({"logprobs": 2}, "of no other"),
        ({"logprobs": 1, "sampling": HOT}, "of no other"),
        ({"n": 9}, "1 to 8"),
        ({"suffix": "x"}, "middle"),
    ],
)
async def test_what_the_engine_does_not_have_is_refused(
    tiny: GenaiModel, options: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        await gathered(prompt(tiny, "x", **options))


async def test_prompts_that_cannot_be_are_refused(tiny: GenaiModel) -> None:
    with pytest.raises(EmptyInput):
        await gathered(prompt(tiny, ""))
    with pytest.raises(InvalidInput, match="shorten it"):
        await gathered(prompt(tiny, "x" * 3000))
    with pytest.raises(InvalidInput, match="the token 99999"):
        await gathered(prompt(tiny, [1, 99999]))


async def test_a_process_that_is_lost_fails_its_texts_and_comes_again(opened: Open, folder: Path) -> None:
    model = opened(folder)
    begun = asyncio.Event()

    async def read() -> TextmillError | None:
        try:
            async with aclosing(prompt(model, "x", sampling=ENDLESS, max_tokens=None)) as events:
                async for event in events:
                    if isinstance(event, Piece):
                        begun.set()
        except TextmillError as error:
            return error
        return None

    reading = asyncio.create_task(read())
    await begun.wait()
    lost = model.pid
    assert lost is not None
    os.kill(lost, signal.SIGKILL)
    error = await reading

    assert isinstance(error, Unavailable)
    assert "SIGKILL" in str(error)
    assert (await gathered(prompt(model, "x"))).spent is not None
    assert model.pid not in (None, lost)


async def test_a_process_that_cannot_come_again_is_not_tried_at_once(opened: Open, tmp_path: Path) -> None:
    made = as_openvino(tiny_writer(tmp_path / "m"))
    model = opened(made)
    (made / "openvino_model.xml").unlink()
    lost = model.pid
    assert lost is not None
    os.kill(lost, signal.SIGKILL)
    errors: list[TextmillError] = []
    for _ in range(3):  # the first may come before the end is known
        with pytest.raises((LoadFailed, Unavailable)) as refused:
            await gathered(prompt(model, "x"))
        errors.append(refused.value)

    assert any("could not be started again for m: OpenVINO does not read" in str(each) for each in errors)
    assert "the next attempt is possible in" in str(errors[-1])
    assert isinstance(errors[-1], LoadFailed)
    assert errors[-1].retry_after
    assert model.ready


async def test_a_closed_model_fails_what_it_writes_and_takes_no_more(opened: Open, folder: Path) -> None:
    model = opened(folder)
    events = prompt(model, "x", sampling=ENDLESS, max_tokens=None)
    await anext(events)

    await asyncio.to_thread(model.close, 0.0)

    with pytest.raises((Unavailable, ForwardFailed)):
        async for _ in events:
            pass
    with pytest.raises(Unavailable):
        await gathered(prompt(model, "x"))
    assert not model.ready


async def test_a_prompt_is_known_the_second_time(opened: Open, tmp_path: Path) -> None:
    model = opened(as_openvino(tiny_writer(tmp_path / "m", context=2048)), part=32)
    text = "The mill turns by the river, and the river turns by the mill. " * 16

    first = await gathered(prompt(model, text))
    second = await gathered(prompt(model, text))

    assert (first.text, first.spent is None) == (second.text, False)
    assert first.spent is not None
    assert second.spent is not None
    assert second.spent.prompt_s < first.spent.prompt_s / 2  # of 31 steps one is left


async def test_texts_become_tokens_and_texts_again(tiny: GenaiModel) -> None:
    [tokens] = await tiny.tokenize_inputs(["the mill"], TokenizeOptions())
    [text] = await tiny.decode_inputs([[each.id for each in tokens]], skip_special_tokens=True)

    assert text == "the mill"
