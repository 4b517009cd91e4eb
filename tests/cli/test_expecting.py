"""Fingerprints that are expected of models by their names."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from textmill import load
from textmill.cli.expecting import as_expected, warn_of_unknown
from textmill.errors import ConfigInvalid
from textmill.testing.checkpoints import tiny_bert


def test_a_model_is_the_expected_one_by_any_of_its_names_or_is_closed(tmp_path: Path) -> None:
    tiny_bert(tmp_path / "one")
    with load(str(tmp_path / "one"), dtype="float32", threads=1) as model:
        right = f"ada={model.info.fingerprint}"
        assert as_expected(model, [right, "bob=f00d"], ["ada"]) is model
        assert as_expected(model, ["ada=f00d"]) is model
        with pytest.raises(ConfigInvalid, match="f00d is expected"):
            as_expected(model, ["ada=f00d"], ["ada"])
        assert not model.ready


def test_only_names_that_no_model_has_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        warn_of_unknown(["one=f00d", "f00d", "owner/won=f00d"], {"one"})
    assert [record.getMessage().split(" is about")[0] for record in caplog.records] == [
        "--expect-fingerprint owner/won=f00d"
    ]
