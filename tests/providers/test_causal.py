from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch  # noqa: TID253
import transformers  # noqa: TID253
from tests.providers.writing import GREEDY, choices, complete, gathered, opened

from textmill.contract import CompleteOptions, EmbedOptions, Ended, Event, Piece, Sampling, TokenizeOptions
from textmill.errors import EmptyInput, InvalidInput, Unavailable, WrongTask
from textmill.providers.causal import CausalModel
from textmill.runtimes.causal import CausalRuntime
from textmill.testing.causal import Family, saying_writer, tiny_writer

PROMPTS = ("hello there", "a", " the rain in spain" * 5, "x" * 300, "one two three")
FAMILIES: tuple[tuple[Family, int | None], ...] = (("llama", None), ("qwen2", None), ("gpt2", None), ("mistral", 12))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_writer(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[CausalModel]:
    made = opened(folder)
    yield made
    made.close(0.0)


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def runtime_of(model: CausalModel) -> CausalRuntime:
    runtime = model._runtime
    assert isinstance(runtime, CausalRuntime)
    return runtime


def generated(reference: Any, folder: Path, prompt: str, **options: Any) -> list[int]:
    """What transformers' own `generate` writes, without the end."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    made = reference.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **options)[0, ids.shape[1] :].tolist()
    return [id_ for id_ in made if id_ != tokenizer.eos_token_id]


@pytest.mark.parametrize(("family", "window"), FAMILIES)
async def test_greedy_text_is_that_of_generate_alone_and_beside_others(
    family: Family, window: int | None, tmp_path: Path
) -> None:
    folder = tiny_writer(tmp_path / "m", family, window=window)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    wanted = [generated(theirs, folder, prompt, max_new_tokens=40, do_sample=False) for prompt in PROMPTS]
    ours = opened(folder, part=64)

    alone = [(await complete(ours, prompt, max_tokens=40, logprobs=0)).ids for prompt in PROMPTS]
    together = await asyncio.gather(*(complete(ours, prompt, max_tokens=40, logprobs=0) for prompt in PROMPTS))
    ours.close()

    assert alone == wanted
    assert [each.ids for each in together] == wanted


async def test_texts_that_join_and_leave_change_none(model: CausalModel, reference: Any, folder: Path) -> None:
    """They begin one after another, and end at different lengths, so that rows come and go at both ends of the batch."""
    lengths = (60, 5, 31, 2, 44, 17, 1, 25)
    prompts = [f"{index} {PROMPTS[index % len(PROMPTS)]}" for index in range(len(lengths))]
    wanted = [
        generated(reference, folder, prompt, max_new_tokens=length, do_sample=False)
        for prompt, length in zip(prompts, lengths, strict=True)
    ]

    async def late(index: int) -> list[int]:
        first = model.complete("wait", CompleteOptions(max_tokens=1 + 3 * index, sampling=GREEDY))
        await gathered(first)
        return (await complete(model, prompts[index], max_tokens=lengths[index], logprobs=0)).ids

    assert await asyncio.gather(*(late(index) for index in range(len(lengths)))) == wanted


@pytest.mark.parametrize(
    ("how", "theirs"),
    [
        (Sampling(temperature=0.8, top_p=1.0), {"temperature": 0.8, "top_k": 0}),
        (Sampling(temperature=1.3, top_k=7, top_p=1.0), {"temperature": 1.3, "top_k": 7}),
        (Sampling(temperature=1.0, top_p=0.6), {"top_p": 0.6, "top_k": 0}),
        (Sampling(temperature=1.0, top_p=1.0, min_p=0.2), {"min_p": 0.2, "top_k": 0}),
        (Sampling(temperature=1.0, top_p=1.0, typical_p=0.5), {"typical_p": 0.5, "top_k": 0}),
        (
            Sampling(temperature=0.9, top_p=1.0, repeat_penalty=1.4),
            {"temperature": 0.9, "repetition_penalty": 1.4, "top_k": 0},
        ),
    ],
)
async def test_a_seeded_text_is_that_of_generate(
    how: Sampling, theirs: dict[str, Any], model: CausalModel, reference: Any, folder: Path
) -> None:
    torch.manual_seed(11)
    wanted = generated(reference, folder, "seeded", max_new_tokens=30, do_sample=True, **theirs)
    seeded = Sampling(**{**{name: getattr(how, name) for name in how.__dataclass_fields__}, "seed": 11})

    beside = asyncio.create_task(complete(model, "beside it", max_tokens=20, sampling=Sampling(seed=5)))
    assert (await complete(model, "seeded", max_tokens=30, sampling=seeded, logprobs=0)).ids == wanted
    await beside


async def test_a_penalty_keeps_tokens_from_coming_again(model: CausalModel) -> None:
    async def distinct(**how: float) -> int:
        sampling = Sampling(temperature=0.0, ignore_eos=True, **how)  # type: ignore[arg-type]
        ids = (await complete(model, "aaaa", max_tokens=60, sampling=sampling, logprobs=0)).ids
        return len(set(ids))

    plain = await distinct()
    assert await distinct(presence_penalty=100.0) == 60
    assert await distinct(frequency_penalty=100.0) == 60
    assert plain < 60


async def test_a_bias_decides(model: CausalModel) -> None:
    wrote = await complete(
        model, "x", max_tokens=3, sampling=Sampling(temperature=0.0, logit_bias={65: 1e4, 66: 2e4}), logprobs=0
    )

    assert wrote.ids == [66, 66, 66]
    with pytest.raises(InvalidInput, match="logit_bias"):
        await complete(model, "x", sampling=Sampling(logit_bias={10**6: 1.0}))


async def test_a_seed_gives_the_same_text_again_and_choices_differ(model: CausalModel) -> None:
    how = CompleteOptions(n=3, max_tokens=12, sampling=Sampling(temperature=1.5, top_p=1.0, seed=3))

    first = [each.text for each in await choices(model.complete("seed", how), 3)]
    second = [each.text for each in await choices(model.complete("seed", how), 3)]

    assert first == second
    assert len(set(first)) == 3


async def test_logprobs_are_those_of_a_whole_pass(model: CausalModel, reference: Any, folder: Path) -> None:
    wrote = await complete(
        model, "log", max_tokens=8, logprobs=3, sampling=Sampling(temperature=0.7, seed=1, ignore_eos=True)
    )
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer("log").input_ids
    with torch.inference_mode():
        table = torch.log_softmax(reference(torch.tensor([[*prompt, *wrote.ids]])).logits[0].float(), -1)

    assert len(wrote.logprobs) == 8
    for place, told in enumerate(wrote.logprobs, len(prompt) - 1):
        assert told.token.id is not None
        assert told.token.logprob == pytest.approx(float(table[place, told.token.id]), abs=1e-4)
        values, ids = table[place].topk(3)
        assert [each.id for each in told.top] == ids.tolist()
        assert [each.logprob for each in told.top] == pytest.approx(values.tolist(), abs=1e-4)
        assert told.token.data == tokenizer.decode([told.token.id]).encode() or told.token.id < 256


async def test_a_prompt_that_begins_as_a_former_one_is_not_read_again(tmp_path: Path) -> None:
    model = opened(tiny_writer(tmp_path / "m", context=2048))
    prefix = "".join(f"line {index} of the story\n" for index in range(70))

    first = await complete(model, prefix + "one", max_tokens=8, logprobs=0)
    second = await complete(model, prefix + "two", max_tokens=8, logprobs=0)
    fresh = opened(tmp_path / "m")
    alone = await complete(fresh, prefix + "two", max_tokens=8, logprobs=0)
    model.close()
    fresh.close()

    assert first.spent is not None
    assert second.spent is not None
    assert first.spent.cached == 0
    assert second.spent.cached >= 1000
    assert second.spent.prompt_tokens - second.spent.cached == 3
    assert second.ids == alone.ids


async def test_a_text_ends_at_its_limit_at_the_context_and_by_itself(tmp_path: Path) -> None:
    endless = opened(saying_writer(tmp_path / "a", "on and on ", then_end=False, context=40))
    ending = opened(saying_writer(tmp_path / "b", "Grüße aus 東京! 👋", context=64))

    limited = await complete(endless, "go", max_tokens=3)
    full = await complete(endless, "go")
    whole = await complete(ending, "go")
    endless.close()
    ending.close()

    assert (limited.ended, limited.spent and limited.spent.completion_tokens) == (Ended(0, "length"), 3)
    assert (full.ended, full.spent and full.spent.prompt_tokens + full.spent.completion_tokens) == (
        Ended(0, "length"),
        40,
    )
    assert (whole.ended, whole.text) == (Ended(0, "stop"), "Grüße aus 東京! 👋")


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        ("東京", "Grüße aus "),
        ("us 東", "Grüße a"),
        ("! 👋", "Grüße aus 東京"),
        ("nothing of it", "Grüße aus 東京! 👋"),
        ("👋!", "Grüße aus 東京! 👋"),
    ],
)
async def test_a_stop_string_ends_a_text_wherever_tokens_are_cut(stop: str, text: str, tmp_path: Path) -> None:
    model = opened(saying_writer(tmp_path / "m", "Grüße aus 東京! 👋"))
    wrote = await complete(model, "go", stop=("never", stop))
    model.close()

    assert wrote.text == text
    assert wrote.ended == Ended(0, "stop", stop if len(text) < len("Grüße aus 東京! 👋") else None)


async def test_a_caller_who_leaves_frees_the_row_at_once(model: CausalModel) -> None:
    events = model.complete("go on", CompleteOptions(sampling=Sampling(temperature=0.0, ignore_eos=True)))
    assert isinstance(await anext(events), Piece)
    assert model._loop.rows == 1

    await events.aclose()
    wrote = await complete(model, "another", max_tokens=2)  # a step later

    assert wrote.ended is not None
    while model._loop.rows:  # noqa: ASYNC110 - the loop's thread tells nobody
        await asyncio.sleep(0)
    assert runtime_of(model)._rows == []


async def test_a_caller_who_waits_in_line_may_leave(folder: Path) -> None:
    model = opened(folder, rows=1)
    first = model.complete("go on", CompleteOptions(sampling=Sampling(temperature=0.0, ignore_eos=True)))
    await anext(first)
    second = asyncio.create_task(complete(model, "me too", max_tokens=2))
    while not model.waiting[0]:  # noqa: ASYNC110 - the loop's thread tells nobody
        await asyncio.sleep(0)

    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await first.aclose()
    third = await complete(model, "and me", max_tokens=2)
    model.close()

    assert third.ended is not None
    assert model.waiting == (0, 0)


async def test_wrong_requests_are_refused_and_touch_no_other(model: CausalModel) -> None:
    good = asyncio.create_task(complete(model, "good", max_tokens=30, logprobs=0))
    alone = await complete(model, "good", max_tokens=30, logprobs=0)

    for prompt, options, param in (
        ("", {}, "prompt"),
        ("x" * 600, {}, "prompt"),
        ([1, 10**6], {}, "prompt"),
        ("x", {"n": 1000}, "n"),
        ("x", {"sampling": Sampling(temperature=-1.0)}, "temperature"),
        ("x", {"sampling": Sampling(top_p=2.0)}, "top_p"),
        ("x", {"sampling": Sampling(mirostat=1)}, "mirostat"),
        ("x", {"suffix": "y"}, "suffix"),
    ):
        with pytest.raises(InvalidInput) as refused:
            await complete(model, prompt, **options)
        assert refused.value.param == param
    with pytest.raises(EmptyInput):
        await complete(model, [])
    with pytest.raises(WrongTask, match="chat, complete"):
        await model.embed_inputs(["x"], EmbedOptions())

    assert (await good).ids == alone.ids


async def test_mirostat_writes_and_is_seeded(model: CausalModel) -> None:
    how = Sampling(temperature=1.0, mirostat=2, mirostat_tau=3.0, mirostat_eta=0.2, seed=4)

    first = await complete(model, "miro", max_tokens=20, sampling=how, logprobs=0)

    assert first.ids == (await complete(model, "miro", max_tokens=20, sampling=how, logprobs=0)).ids
    assert len(first.ids) > 1


async def test_memory_stays_flat_over_many_requests(model: CausalModel) -> None:
    async def some(count: int) -> None:
        for start in range(0, count, 8):
            await asyncio.gather(
                *(complete(model, f"{start + index} {PROMPTS[index % 5]}", max_tokens=4 + index) for index in range(8))
            )

    await some(40)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await some(200)
    gc.collect()

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
    runtime = runtime_of(model)
    assert runtime._slab is not None
    assert runtime._slab.cells == 0
    assert sum(len(known) for known, _ in runtime._prefixes._kept) <= model.info.max_tokens


async def test_closing_ends_what_is_under_way_with_an_error(folder: Path) -> None:
    model = opened(folder)
    events: AsyncIterator[Event] = model.complete(
        "go on", CompleteOptions(max_tokens=400, sampling=Sampling(temperature=0.0, ignore_eos=True))
    )
    await anext(events)

    await asyncio.to_thread(model.close, 0.0)

    assert not model.ready
    with pytest.raises(Unavailable):
        async for _ in events:
            pass
    with pytest.raises(Unavailable):
        await complete(model, "x")


async def test_closing_lets_what_is_under_way_end(folder: Path) -> None:
    model = opened(folder)
    events = model.complete("go on", CompleteOptions(max_tokens=30, sampling=GREEDY))
    await anext(events)

    wrote, _ = await asyncio.gather(gathered(events), asyncio.to_thread(model.close, 10.0))

    assert wrote.ended is not None


async def test_texts_and_ids_are_told_as_the_model_reads_them(model: CausalModel) -> None:
    [tokens] = await model.tokenize_inputs(["the é"], TokenizeOptions())

    assert [token.id for token in tokens][:1] == [257]
    assert await model.decode_inputs([[token.id for token in tokens]], skip_special_tokens=True) == ("the é",)
