from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runtimes.memory import NoRoom

from textmill.contract import Sampling
from textmill.providers.asked import settled
from textmill.runtimes.causal import CausalRow, CausalRuntime
from textmill.runtimes.causal_cache import Slab
from textmill.runtimes.causal_files import WriterTarget, open_writer
from textmill.runtimes.writing import Choosing
from textmill.testing.causal import tiny_writer

FIRST, SECOND = [72, 101, 108, 108, 111] * 4, [87, 111, 114]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_writer(tmp_path_factory.mktemp("writer") / "m")


@pytest.fixture
def runtime(folder: Path) -> Iterator[CausalRuntime]:
    made, _ = open_writer(folder, WriterTarget(dtype="float32", threads=1))
    yield made
    made.close()


def join(runtime: CausalRuntime, ids: list[int], choices: int) -> list[CausalRow]:
    prompt = runtime.begin(ids)
    while prompt.left:
        runtime.read(prompt, 64)
    sampling = settled(Sampling(temperature=0.0), vocabulary=runtime.facts.vocabulary)
    return runtime.join(prompt, [Choosing(sampling=sampling)] * choices)


def latest(rows: list[CausalRow]) -> list[int]:
    return [row.picked.id for row in rows if row.picked is not None]


def write(runtime: CausalRuntime, rows: list[CausalRow], tokens: int) -> list[list[int]]:
    """So many tokens of each row."""
    wrote = [latest(rows)]
    for _ in range(tokens - 1):
        runtime.step()
        wrote.append(latest(rows))
    return [list(each) for each in zip(*wrote, strict=True)]


def slab_of(runtime: CausalRuntime) -> Slab:
    assert runtime._slab is not None
    return runtime._slab


def no_room(runtime: CausalRuntime) -> None:
    """From now on the arrays of the last layer cannot be made anew."""
    layer: Any = slab_of(runtime).layers[-1]
    layer.values = NoRoom(layer.values)


def room(runtime: CausalRuntime) -> None:
    layer: Any = slab_of(runtime).layers[-1]
    layer.values = layer.values.held


def test_a_join_that_fails_leaves_no_row_behind_and_the_others_go_on(runtime: CausalRuntime) -> None:
    wanted = write(runtime, alone := join(runtime, FIRST, 1), 8)[0]
    runtime.leave(alone)
    rows = join(runtime, FIRST, 3)
    no_room(runtime)

    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of memory"):
            join(runtime, SECOND, 2)  # there is room for one of them
        assert slab_of(runtime).rows == 3
    assert write(runtime, rows, 4) == [wanted[:4]] * 3
    room(runtime)
    more = join(runtime, SECOND, 2)
    assert write(runtime, rows, 5) == [wanted[3:]] * 3
    runtime.leave([*rows, *more])
    assert slab_of(runtime).cells == 0


def test_after_a_step_that_fails_all_is_forgotten_and_others_are_written(runtime: CausalRuntime) -> None:
    wanted = write(runtime, join(runtime, SECOND, 1), 3)
    layer: Any = slab_of(runtime).layers[-1]
    layer.values = layer.values[..., :2]
    with pytest.raises(RuntimeError):
        runtime.step()

    runtime.forget()
    assert slab_of(runtime).cells == 0
    assert write(runtime, join(runtime, SECOND, 1), 3) == wanted


def test_a_text_is_not_remembered_where_there_is_no_memory_for_it(
    runtime: CausalRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    rows = join(runtime, FIRST, 1)
    write(runtime, rows, 3)
    no_room(runtime)

    runtime.leave(rows)
    assert slab_of(runtime).cells == 0
    assert "no memory to remember" in caplog.text
    assert runtime.begin(FIRST).cached == 0
