from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import xllamacpp

from textmill.providers.llamacpp.settings import Launch, Settings
from textmill.providers.llamacpp.words import ARGUMENTS, FIELDS, OPTIONS, PARAMETERS

NAMES = {field.name: field.encode_name for field in msgspec.structs.fields(Settings)}
PLAIN = Settings(model="m.gguf", sockets=(), context=1, parallel=1, threads=1, threads_batch=1)


def value_of(parameters: Any, name: str) -> Any:
    for part in name.split("."):
        parameters = getattr(parameters, part)
    return parameters


@pytest.mark.parametrize(("field", "name"), NAMES.items())
def test_every_setting_is_a_parameter_of_the_binding_with_its_default(field: str, name: str) -> None:
    theirs, ours = value_of(xllamacpp.CommonParams(), name), getattr(PLAIN, field)

    if field in ("model", "sockets", "context", "parallel", "threads", "threads_batch"):
        return
    if hasattr(theirs, "name"):
        assert theirs.name == ours
    elif field in ("tensor_split", "fit_target", "guesses"):
        assert ours == ()  # which leaves them as they are
    elif field == "alias":
        assert set(ours) == theirs
    elif field == "cache_idle_slots":
        assert theirs is ours is True
    else:
        assert theirs == pytest.approx(ours) if isinstance(ours, float) else theirs == ours


def test_every_option_sets_a_setting() -> None:
    sets = {each.field for table in (OPTIONS, ARGUMENTS, FIELDS, PARAMETERS) for each in table.values()}

    assert sets <= set(NAMES)


def test_only_what_differs_is_told_and_the_socket_comes_last() -> None:
    told = msgspec.json.decode(msgspec.json.encode(Launch(settings=PLAIN).at(Path("/x/m.sock"))))

    assert told["settings"] == {
        "model.path": "m.gguf",
        "hostnames": ["/x/m.sock"],
        "n_ctx": 1,
        "n_parallel": 1,
        "cpuparams.n_threads": 1,
        "cpuparams_batch.n_threads": 1,
    }
