from __future__ import annotations

import itertools

import msgspec
import pytest

from textmill.config import ModelOptions, ServeOptions
from textmill.config.option import Option, options_of
from textmill.errors import ConfigInvalid


def test_secrets_do_not_show_when_options_are_printed() -> None:
    options = msgspec.convert({"token": "hf_secret", "api_key": ["a-secret", "b-secret"]}, ServeOptions)

    shown = f"{options} {options!r} {options.__rich_repr__()}"

    assert "secret" not in shown
    assert "api_key=('***', '***')" in shown


def test_an_unset_secret_shows_that_it_is_unset() -> None:
    assert "token=None" in repr(ModelOptions())


@pytest.mark.parametrize("option", options_of(ServeOptions), ids=lambda option: option.name)
def test_every_default_is_a_value_that_may_be_given_but_no_keys_at_all(option: Option) -> None:
    if option.guard and option.default == ():
        with pytest.raises(ConfigInvalid, match="has no key in it"):
            option.convert(option.default, option.name)
        return
    assert option.default is None or option.convert(option.default, option.name) == option.default


def test_every_option_says_what_it_is_in_a_sentence() -> None:
    assert [option.name for option in options_of(ServeOptions) if not option.help.endswith(".")] == []


def test_a_model_gets_its_own_options_and_no_other() -> None:
    given = {
        "revision": "main",
        "token": "t",
        "offline": True,
        "cache_dir": "/cache",
        "backend": "torch",
        "file": "onnx/model.onnx",
        "task": "rerank",
        "pooling": "cls",
        "device": "cuda",
        "dtype": "float32",
        "threads": 3,
        "max_batch_tokens": 99,
        "max_queue_tokens": 999,
        "max_batch_requests": 9,
        "fit_batches": True,
        "max_seq_length": 98,
        "max_input_length": 99,
        "tokenization_workers": 3,
        "default_prompt": "query: ",
        "default_prompt_name": "query",
        "dense_path": "2_Dense",
        "cache_memory": 9,
        "cache_path": "/cache/vectors",
        "cache_size": 99,
        "expect_fingerprint": ("f00d",),
    }

    passed = msgspec.convert({**given, "port": 1}, ServeOptions).for_model()

    assert type(passed) is ModelOptions
    assert msgspec.structs.asdict(passed) == given


def test_every_option_is_under_one_heading_of_the_help() -> None:
    groups = [option.group for option in options_of(ServeOptions)]

    assert list(dict.fromkeys(groups)) == [group for group, _ in itertools.groupby(groups)]
    assert "Options" not in groups
