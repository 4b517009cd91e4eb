"""The process of a model that OpenVINO GenAI runs: it keeps Python's lock while it computes, so a server would stand still with it.

Standard input has frames of orders, standard output frames of answers; all that the libraries write goes to standard error. The process
ends when its standard input does, as it does when its parent is killed.
"""

from __future__ import annotations

import os
import time
from queue import SimpleQueue
from threading import Thread
from typing import IO

import msgspec

from textmill.errors import ConfigInvalid, TextmillError
from textmill.runtimes.genai import GenaiPipeline, reason_of
from textmill.runtimes.genai_messages import Add, Answer, Broken, Failed, Leave, Open, Steps, read_frame, write_frame

_ALIVE_S = 1.0
"""After so many seconds without an event a step is told of all the same: the process does not hang."""
_ORDERS = msgspec.msgpack.Decoder(Add | Leave)


def main() -> None:
    """Load, answer, and end with the parent."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    orders = os.fdopen(os.dup(0), "rb")
    first = read_frame(orders)
    if first is None:
        return
    asked = msgspec.msgpack.decode(first, type=Open)
    queue: SimpleQueue[Add | Leave] = SimpleQueue()
    Thread(target=_take, args=(orders, queue), daemon=True).start()
    try:
        pipeline = GenaiPipeline(asked)
    except (TextmillError, RuntimeError) as error:
        told = isinstance(error, TextmillError)
        _tell(answers, Failed(str(error) if told else reason_of(error), isinstance(error, ConfigInvalid)))
        return
    _tell(answers, pipeline.opened)
    _run(pipeline, queue, answers)


def _run(pipeline: GenaiPipeline, queue: SimpleQueue[Add | Leave], answers: IO[bytes]) -> None:
    told = 0.0
    while True:
        while pipeline.idle or not queue.empty():
            order = queue.get()
            if isinstance(order, Add):
                pipeline.add(order)
            else:
                pipeline.leave(order)
        try:
            events = pipeline.step()
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever waits is told
            _tell(answers, Broken(reason_of(error)))
            return
        if events or time.monotonic() - told > _ALIVE_S:
            _tell(answers, Steps(events))
            told = time.monotonic()


def _take(orders: IO[bytes], queue: SimpleQueue[Add | Leave]) -> None:
    """Take orders as they come; end the process when there can be none any more."""
    while (frame := read_frame(orders)) is not None:
        queue.put(_ORDERS.decode(frame))
    os._exit(0)


def _tell(answers: IO[bytes], answer: Answer) -> None:
    try:
        write_frame(answers, answer)
    except (OSError, ValueError):
        os._exit(0)  # nobody is there any more


if __name__ == "__main__":
    main()
