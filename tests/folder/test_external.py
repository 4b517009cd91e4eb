from __future__ import annotations

from pathlib import Path

import pytest

from textmill.errors import ConfigInvalid
from textmill.folder.external import External, external_backends


def test_addresses_and_scripts(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.touch()

    found = external_backends(f" Mine:127.0.0.1:50051 ,other:{script}, six:[::1]:9000,local:unix:/run/x.sock,")

    assert dict(found) == {
        "mine": External("Mine", address="127.0.0.1:50051"),
        "other": External("other", script=script),
        "six": External("six", address="[::1]:9000"),
        "local": External("local", address="unix:/run/x.sock"),
    }


def test_nothing_is_nothing() -> None:
    assert external_backends("") == {}
    assert external_backends(" , ") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("justaname", "not NAME:HOST:PORT"),
        (":1.2.3.4:5", "not NAME:HOST:PORT"),
        ("name:", "not NAME:HOST:PORT"),
        ("a b:host:1", "not NAME:HOST:PORT"),
        ("sentencetransformers:/path/to/missing.py", "does not exist"),
        ("x:run.py", "does not exist"),
        ("x:host", "neither a file nor HOST:PORT"),
        ("x:host:99999", "neither a file nor HOST:PORT"),
        ("x:host:port", "neither a file nor HOST:PORT"),
    ],
)
def test_an_impossible_entry_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(ConfigInvalid, match=words) as caught:
        external_backends(text)
    assert str(caught.value).startswith("EXTERNAL_GRPC_BACKENDS")


def test_of_two_with_one_name_the_last_counts() -> None:
    assert external_backends("a:h:1,A:h:2")["a"].address == "h:2"
