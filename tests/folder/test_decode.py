from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from textmill.folder.decode import decode
from textmill.folder.fields import Fields
from textmill.folder.nodes import Table
from textmill.folder.problem import Problems
from textmill.folder.reading import read_yaml


def read(text: str) -> tuple[Fields, list[str]]:
    root = read_yaml(text.encode()).root
    assert isinstance(root, Table)
    problems = Problems(Path("a.yaml"))
    return decode(Fields, root, problems), [f"{each.level} {each}" for each in problems.found]


def test_fields_have_the_types_of_their_structs() -> None:
    fields, problems = read(
        "name: 123\nembeddings: yes\nthreads: 4.0\nmain_gpu: 0\nflash_attention: on\nstopwords: [a, 3]\n"
        "parameters: {temperature: 1, logprobs: 5, logit_bias: {15: -100}}\nengine_args: {a: [1, yes, {b: 1.5}]}\n"
        "function: {grammar: {triggers: [{word: x}]}}\nroles: {user: 'U:'}\n"
    )

    assert problems == []
    assert (fields.name, fields.embeddings, fields.threads, fields.main_gpu) == ("123", True, 4, "0")
    assert (fields.flash_attention, fields.stopwords) == ("on", ("a", "3"))
    assert fields.parameters is not None
    assert fields.parameters.temperature == 1.0
    assert (fields.parameters.logprobs, fields.parameters.logit_bias) == (5, {"15": -100.0})
    assert fields.engine_args == {"a": [1, "yes", {"b": 1.5}]}
    assert fields.roles == {"user": "U:"}
    assert fields.function is not None
    assert fields.function.grammar is not None
    assert [trigger.word for trigger in fields.function.grammar.triggers or ()] == ["x"]


def test_what_is_null_is_not_said() -> None:
    assert read("name: ~\nthreads:\nparameters: null\n") == (Fields(), [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("threads: many", "1: threads: it must be a whole number, 0 or more, not a text"),
        (
            "threads: '4'",
            "1: threads: it must be a whole number, 0 or more, not a text in quotes; leave the quotes out",
        ),
        ("\ncontext_size: -2", "2: context_size: it must be a whole number, -1 or more, not less"),
        ("threads: 1.5", "1: threads: it must be a whole number, 0 or more, not a number"),
        ("embeddings: 1", "1: embeddings: it must be true or false, not a whole number"),
        ("stopwords: </s>", "1: stopwords: it must be a list of texts, not a text"),
        ("parameters: bert", "1: parameters: it must be a mapping, not a text"),
        ("name: [a]", "1: name: it must be a text, not a list"),
        ("parameters:\n  top_p: x", "2: parameters.top_p: it must be a number, not a text"),
        ("parameters: {logprobs: x}", "1: parameters.logprobs: it must be a whole number or true or false, not a text"),
        ("lora_scales:\n- 1\n- x", "3: lora_scales[1]: it must be a number, not a text"),
        ("download_files:\n- {filename: a}\n- {uri: [b]}", "3: download_files[1].uri: it must be a text, not a list"),
        ("engine_args: {a: [{b: 1,\nb: 2}]}", "2: engine_args.a.b: the key stands here again"),
        ("roles: {a: x, a: y}", "1: roles.a: the key stands here again"),
        ("feature_flags: {usage: perhaps}", "1: feature_flags.usage: it must be true or false, not a text"),
    ],
)
def test_a_wrong_type_has_its_line_its_key_and_what_was_expected(text: str, told: str) -> None:
    _, problems = read(text)

    assert problems == [f"error a.yaml:{told}"]


def test_a_word_that_is_none_of_the_choices_names_the_nearest() -> None:
    _, [problem] = read("parameters:\n  pooling: meen\n")

    assert problem.startswith("error a.yaml:2: parameters.pooling: it must be one of backend, mean, cls, last,")
    assert problem.endswith("not another text; did you mean mean?")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\ncontext_sise: 3", "2: context_sise: there is no such field; it is ignored; did you mean context_size?"),
        ("cutwords: [a]", "1: cutwords: there is no such field; it is ignored; did you mean stopwords?"),
        ("temperature: 0.1", "1: temperature: it belongs below parameters; here it is ignored"),
        ("batch: 512", "1: batch: it belongs below parameters; here it is ignored"),
        ("use_tokenizer_template: true", "1: use_tokenizer_template: it belongs below template; here it is ignored"),
        (
            "parameters: {context_size: 5}",
            "1: parameters.context_size: it belongs at the top level; here it is ignored",
        ),
        ("zzzzqqq: 1", "1: zzzzqqq: there is no such field; it is ignored"),
    ],
)
def test_an_unknown_key_is_a_warning_that_says_where_it_belongs(text: str, told: str) -> None:
    fields, problems = read(f"{text}\nembeddings: true\n")

    assert problems == [f"warning a.yaml:{told}"]
    assert fields.embeddings is True


def test_all_problems_of_an_entry_are_told_at_once() -> None:
    _, problems = read("threads: x\nthreads: 3\nname: []\nparameters: {n: 1, n: 2, seed: x}\n")

    assert [problem.split(":")[2].strip() for problem in problems] == [
        *("threads", "threads", "name", "parameters.n", "parameters.seed"),
    ]


def test_no_message_repeats_a_value() -> None:
    _, problems = read(
        "threads: hf_secret\nparameters: {pooling: hf_secret, top_k: hf_secret}\nembeddings: [hf_secret]\n"
    )

    assert len(problems) == 4
    assert "hf_secret" not in "".join(problems)


@pytest.mark.parametrize("text", ['"a\\nb\\e": 1', '{roles: {"a\\nb": []}}', '{roles: {"a\\nb": x, "a\\nb": y}}'])
def test_a_key_with_control_characters_stays_on_one_line(text: str) -> None:
    _, [problem] = read(text)

    assert problem.isprintable()


def test_fields_can_be_written_as_json() -> None:
    fields, _ = read("{name: m, roles: {a: b}, engine_args: {c: [1]}, parameters: {logit_bias: {1: 2}}}")

    assert msgspec.json.decode(msgspec.json.encode(fields), type=Fields) == fields
