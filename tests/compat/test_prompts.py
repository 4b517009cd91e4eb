from __future__ import annotations

import logging
from pathlib import Path

import pytest

import textmill
from textmill.compat import log_prompt
from textmill.testing.checkpoints import tiny_bert


def test_the_prompt_of_a_side_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("prompts_of_a_test")
    caplog.set_level(logging.INFO, log.name)
    folder = tiny_bert(
        tmp_path / "m", prompts={"query": "q: ", "passage": "p: ", "other": "o: "}, default_prompt_name="other"
    )
    with textmill.load(str(folder)) as model:
        assert (model.prompt("query"), model.prompt("document"), model.prompt()) == ("q: ", "p: ", "o: ")
        for _ in range(2):
            log_prompt(log, model, "query", {"kind": "query"})
            log_prompt(log, model, "document", {})
            log_prompt(log, model, "document", {"prompt": ""})

    assert [record.getMessage() for record in caplog.records] == [
        "m: before each query stands 'q: '",
        "m: before each document stands 'o: '",
        "m: before each document stands ''",
    ]
