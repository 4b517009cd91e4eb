"""How batches get to a device and answers back, and what a GPU can do beyond that: all calls that need CUDA are here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch  # noqa: TID253 - one of the files that own the framework
from torch import Tensor as Array  # noqa: TID253 - as above

from textmill.arch.heads import Output
from textmill.errors import ConfigInvalid
from textmill.runtimes.torch_batch import Buffer

# The library gives these two no types.
_stream = cast("Callable[[torch.device], torch.cuda.Stream]", torch.cuda.Stream)
_event = cast("Callable[[], torch.cuda.Event]", torch.cuda.Event)

Arrays = Mapping[Output, Array]
Fetched = dict[Output, npt.NDArray[np.float32]]


class Device(Protocol):
    """A device; work on it is queued, so that the host goes on meanwhile."""

    graphs: bool
    """Whether `capture` pays."""
    part_tokens: int | None
    """More tokens than that go in parts, so that one part's copies run beside another's computing; None for never."""

    def here(self) -> AbstractContextManager[Any]:
        """Make this the device that calls mean."""
        ...

    def put(self, buffer: Buffer) -> Array:
        """Send a batch."""
        ...

    def refill(self, array: Array, buffer: Buffer) -> None:
        """Send a batch into an array that a captured run reads."""
        ...

    def take(self, arrays: Arrays) -> Callable[[], Fetched]:
        """Begin to fetch answers as float32; what is returned waits for them, and they are the caller's."""
        ...

    def capture(self, run: Callable[[], Arrays]) -> tuple[Callable[[], None], Arrays]:
        """Record what ``run`` queues; what is returned queues it anew and leaves the answers in the same arrays."""
        ...

    def free(self) -> None:
        """Give unused memory back."""
        ...


class Plain:
    """A CPU, or a device without streams that we know how to use."""

    graphs = False
    part_tokens: int | None = None

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def here(self) -> AbstractContextManager[Any]:
        """Nothing to do."""
        return nullcontext()

    def put(self, buffer: Buffer) -> Array:
        """On a CPU the buffer's own memory."""
        return torch.from_numpy(buffer).to(self._device)

    def refill(self, array: Array, buffer: Buffer) -> None:
        """Copy over."""
        array.copy_(torch.from_numpy(buffer))

    def take(self, arrays: Arrays) -> Callable[[], Fetched]:
        """Fetch at once."""
        made = {name: array.float().cpu().numpy() for name, array in arrays.items()}
        return lambda: made

    def capture(self, run: Callable[[], Arrays]) -> tuple[Callable[[], None], Arrays]:
        """Run anew each time, into the arrays of the first."""
        first = dict(run())

        def replay() -> None:
            for name, array in run().items():
                first[name].copy_(array)

        return replay, first

    def free(self) -> None:
        """Nothing is kept."""


class Cuda:
    """An NVIDIA GPU: copies through pinned memory on a stream of their own, and CUDA graphs that share one pool of memory."""

    graphs = True
    part_tokens: int | None = 8192

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copies = _stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    def here(self) -> AbstractContextManager[Any]:
        """Make it the current device of the thread."""
        return torch.cuda.device(self._device)

    def put(self, buffer: Buffer) -> Array:
        """Copy beside what computes; what is queued from here on waits for it."""
        pinned = torch.from_numpy(buffer).pin_memory()
        computing = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._copies):
            array = pinned.to(self._device, non_blocking=True)
        computing.wait_stream(self._copies)
        array.record_stream(computing)
        return array

    def refill(self, array: Array, buffer: Buffer) -> None:
        """Copy in turn with what computes: the array may still be read."""
        array.copy_(torch.from_numpy(buffer).pin_memory(), non_blocking=True)

    def take(self, arrays: Arrays) -> Callable[[], Fetched]:
        """Copy beside what computes next."""
        wide = {name: array.float() for name, array in arrays.items()}
        self._copies.wait_stream(torch.cuda.current_stream(self._device))
        pinned: dict[Output, Array] = {}
        with torch.cuda.stream(self._copies):
            for name, array in wide.items():
                pinned[name] = torch.empty(array.shape, dtype=torch.float32, pin_memory=True)
                pinned[name].copy_(array, non_blocking=True)
                array.record_stream(self._copies)
            done = _event()
            done.record(self._copies)

        def wait() -> Fetched:
            done.synchronize()
            # Copied, so that answers that are kept long do not keep pinned memory.
            return {name: array.numpy().copy() for name, array in pinned.items()}

        return wait

    def capture(self, run: Callable[[], Arrays]) -> tuple[Callable[[], None], Arrays]:
        """Run once outside of the recording, as it must find all weights and libraries ready."""
        aside, computing = _stream(self._device), torch.cuda.current_stream(self._device)
        aside.wait_stream(computing)
        with torch.cuda.stream(aside):
            run()
        computing.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU for other models meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            arrays = run()
        return graph.replay, arrays

    def free(self) -> None:
        """Give the allocator's unused memory back."""
        torch.cuda.empty_cache()


def find(name: str) -> torch.device:
    """The device of that name; raises ConfigInvalid where it is not there."""
    kind, _, index = name.partition(":")
    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if not (index.isdecimal() if ":" in name else True) or int(index or 0) >= counts.get(kind, 0):
        here = ", ".join(known for known, count in counts.items() if count)
        msg = f"the torch runtime has no device {name!r} here; it has {here}"
        raise ConfigInvalid(msg)
    return torch.device(name)


def device_of(device: torch.device) -> Device:
    """What is known about the device."""
    return Cuda(device) if device.type == "cuda" else Plain(device)
