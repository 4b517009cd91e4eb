from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from textmill.errors import ForwardFailed, TextmillError, Unavailable
from textmill.providers.genai.process import GenaiProcess
from textmill.runtimes.genai_messages import Add, Open, Wrote

pytestmark = pytest.mark.timeout(60)  # processes start, and the machine may be busy

Start = Callable[..., GenaiProcess]
ASKED = Add(call=0, ids=(1, 2), limit=8, seeds=(1,), sampling={}, ignore_eos=True, logprobs=False, rule=None)
WAIT_S = 30.0


class Stumbles:
    """Fails with whatever it is told, as a reader of a malformed text may."""

    def __init__(self, *, always: bool = False) -> None:
        self.errors: SimpleQueue[TextmillError] = SimpleQueue()
        self._always = always

    def wrote(self, told: Wrote) -> None:
        msg = f"{len(told.ids)} tokens are not read"
        raise ValueError(msg)

    def failed(self, error: TextmillError) -> None:
        self.errors.put(error)
        if self._always:
            msg = "nor is an error"
            raise ValueError(msg)


class Told:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[Wrote | TextmillError] = SimpleQueue()

    def wrote(self, told: Wrote) -> None:
        self.queue.put(told)

    def failed(self, error: TextmillError) -> None:
        self.queue.put(error)

    def tokens(self, count: int) -> int:
        """Wait for so many tokens. Raises the error that came instead."""
        found = 0
        while found < count:
            told = self.queue.get(timeout=WAIT_S)
            if isinstance(told, TextmillError):
                raise told
            found += len(told.ids)
        return found


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts processes with the tiny model, and ends them."""
    made: list[GenaiProcess] = []

    def start_one(**options: Any) -> GenaiProcess:
        asked = Open(str(folder), "", {"INFERENCE_NUM_THREADS": 1}, [b"x"] * 200, [0], 2048, 8, 64)
        made.append(GenaiProcess("m", asked, dict(os.environ), **options))  # noqa: TID251 - as the server would
        made[-1].open()
        return made[-1]

    yield start_one
    for process in made:
        process.close()


def changed(**values: Any) -> Add:
    return Add(**{**{name: getattr(ASKED, name) for name in ASKED.__struct_fields__}, **values})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"sampling": {"top_k": 1.5}}, "top_k"),  # of a wrong type for GenAI
        ({"sampling": {"no_such_value": 1}}, "no_such_value"),
        ({"seeds": (1, -1)}, "rng_seed"),  # of a choice that begins once the first has written
    ],
)
def test_an_error_of_one_call_ends_that_call_alone(start: Start, values: dict[str, Any], reason: str) -> None:
    process = start()
    pid = process.pid
    beside, wrong = Told(), Told()
    process.add(changed(limit=400), beside)
    beside.tokens(1)
    process.add(changed(**values), wrong)

    with pytest.raises(ForwardFailed, match=reason):
        wrong.tokens(100)

    assert beside.tokens(399) == 399
    assert process.pid == pid


def test_a_process_that_hangs_is_ended_and_comes_again(start: Start) -> None:
    process = start(look_s=0.1, still_s=2.0)
    hung = process.pid
    assert hung is not None
    writes, waits = Told(), Told()
    process.add(changed(limit=1500), writes)
    writes.tokens(1)

    os.kill(hung, signal.SIGSTOP)
    process.add(ASKED, waits)

    for each in (writes, waits):
        with pytest.raises(Unavailable, match="m said and computed nothing for 2 s; it is started again"):
            each.tokens(3000)
    assert not process.alive
    process.revive()
    again = Told()
    process.add(ASKED, again)
    assert again.tokens(8) == 8
    assert process.pid != hung


def test_a_listener_that_fails_ends_its_call_alone(start: Start) -> None:
    process = start()
    pid = process.pid
    beside, stumbles, falls = Told(), Stumbles(), Stumbles(always=True)
    number = process.add(changed(limit=400), beside)
    beside.tokens(1)
    process.add(changed(limit=1500), stumbles)
    process.add(changed(limit=1500), falls)

    assert beside.tokens(399) == 399
    for each in (stumbles, falls):
        error = each.errors.get(timeout=WAIT_S)
        assert isinstance(error, ForwardFailed)
        assert "could not be read: 1 tokens are not read" in str(error)
        assert each.errors.empty()
    process.leave(number)
    assert not process.busy
    assert process.pid == pid


def test_each_call_hears_of_the_end_whatever_another_does(start: Start) -> None:
    process = start()
    falls, told = Stumbles(always=True), Told()
    pid = process.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # so that there is no token before
    process.add(ASKED, falls)
    process.add(ASKED, told)

    os.kill(pid, signal.SIGKILL)

    with pytest.raises(Unavailable, match="SIGKILL"):
        told.tokens(1)
    assert isinstance(falls.errors.get(timeout=WAIT_S), Unavailable)
