"""Backends that come up late or never, are lost, and leave calls."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from textmill.errors import LoadFailed, Unavailable
from textmill.folder.external import External
from textmill.providers.backend import Backend, Patience
from textmill.providers.messages import ModelOptions, PredictOptions
from textmill.providers.places import Places
from textmill.providers.process import free_address
from textmill.testing import backend as program

pytestmark = pytest.mark.timeout(60)
ENVIRON = {"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)}


def backend_of(external: External, places: Places | None = None, patience: Patience | None = None) -> Backend:
    return Backend(external, ModelOptions(Model="x"), ENVIRON, places or Places(), patience or Patience())


@pytest.fixture
def address() -> Iterator[str]:
    at = free_address()
    server = program.serve(at)
    yield at
    server.stop(None)


async def embedded(backend: Backend, text: str) -> int:
    made = await backend.call("Embedding", PredictOptions(Embeddings=text), 20)
    return len(made.values)


def test_one_that_runs_and_never_answers_is_given_up_with_its_last_lines(tmp_path: Path) -> None:
    script = tmp_path / "deaf.py"
    script.write_text("import time; print('fetching weights'); time.sleep(60)")
    backend = backend_of(External("mine", script=script), patience=Patience(2, 1.0))
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"did not answer within 2 s(.|\n)*fetching weights"):
        backend.open()
    assert time.monotonic() - began < 20
    backend.close()


def test_one_that_ends_before_it_answers_is_not_waited_for(tmp_path: Path) -> None:
    script = tmp_path / "dies.py"
    script.write_text("raise SystemExit('no module named torch')")
    backend = backend_of(External("mine", script=script), patience=Patience(20, 10.0))
    with pytest.raises(Unavailable, match=r"exit code 1(.|\n)*no module named torch"):
        backend.open()
    backend.close()


async def test_one_that_is_killed_is_started_anew_without_an_error_for_who_asks_next() -> None:
    backend = backend_of(External("mine", script=Path(program.__file__)))
    await asyncio.to_thread(backend.open)
    try:
        with pytest.raises(Unavailable, match="exit code 3"):
            await embedded(backend, "!die")
        assert await asyncio.gather(*(embedded(backend, "sun") for _ in range(4))) == [program.WIDTH] * 4
    finally:
        await asyncio.to_thread(backend.close)
    with pytest.raises(Unavailable, match="closed"):
        await embedded(backend, "sun")


async def test_who_leaves_ends_the_call_in_the_backend(address: str) -> None:
    program.LEFT.clear()
    backend = backend_of(External("there", address))
    await asyncio.to_thread(backend.open)
    call = asyncio.create_task(embedded(backend, "!slow"))
    await asyncio.sleep(0.2)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await asyncio.to_thread(program.LEFT.wait, 10)
    assert await embedded(backend, "sun") == program.WIDTH
    await asyncio.to_thread(backend.close)


async def test_an_address_where_nobody_is_any_more_is_told_and_dialled_again() -> None:
    at = free_address()
    server = program.serve(at)
    backend = backend_of(External("there", at), patience=Patience(1, 0.5))
    await asyncio.to_thread(backend.open)
    server.stop(None).wait()
    with pytest.raises(LoadFailed, match="could not be started again") as failed:
        await embedded(backend, "sun")
    assert failed.value.retry_after
    await asyncio.to_thread(backend.close)


def test_two_models_do_not_share_an_address(address: str) -> None:
    places = Places()
    first = backend_of(External("there", address), places)
    first.open()
    second = backend_of(External("there", address), places)
    with pytest.raises(LoadFailed, match="another model"):
        places.take(address, second, wait_s=0.05)
    first.close()
    places.take(address, second, wait_s=0.05)
