"""Text generation with OpenVINO GenAI's continuous batching: texts join and leave between two steps."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov  # noqa: TID253 - one of the files that own the framework
import openvino_genai as genai  # noqa: TID253 - as above

from textmill.errors import InvalidInput, ModelBroken
from textmill.runtimes.genai_device import device_of
from textmill.runtimes.genai_grammar import Trial, structured, vocabulary_of
from textmill.runtimes.genai_messages import Add, Dropped, Leave, Open, Opened, Refused, Wrote

_WINDOWS = 4
"""Texts are let in while all of them together hold less than so many times the context, each counting as long as the longest."""
_FULL = (
    "the cache of keys and values is full, and there is no memory for a larger one; a smaller context_size takes less"
)


@dataclass(slots=True, eq=False)
class _Call:
    """A request that is let in: ``handles`` of the choices that are written, by their numbers."""

    asked: Add
    began: float
    handles: dict[int, Any] = field(default_factory=dict)
    first: bool = True
    """Whether only the first choice is there yet: the others find the prompt read."""


class GenaiPipeline:
    """One model; for one thread. Raises ConfigInvalid for a device or a precision that cannot be, ModelBroken."""

    def __init__(self, asked: Open) -> None:
        self._asked = asked
        core = ov.Core()
        device, note = device_of(asked.device, core.available_devices)
        size = _width(core, Path(asked.folder))
        end = min(asked.ends, default=size - 1)
        scheduler = genai.SchedulerConfig()
        scheduler.cache_size = scheduler.num_kv_blocks = 0  # it grows with what is written
        scheduler.enable_prefix_caching = True
        scheduler.dynamic_split_fuse = True
        scheduler.max_num_seqs = asked.rows
        scheduler.max_num_batched_tokens = max(asked.part, asked.rows)
        tokenizer = vocabulary_of(asked.tokens, size, end)
        try:
            self._pipeline = genai.ContinuousBatchingPipeline(
                asked.folder, tokenizer, scheduler, device, **asked.properties
            )
        except RuntimeError as error:
            msg = f"OpenVINO GenAI does not load {asked.folder}: {reason_of(error)}"
            raise ModelBroken(msg) from error
        self._trial = Trial(tokenizer, size)
        self._waiting: deque[Add] = deque()
        self._calls: dict[int, _Call] = {}
        self._requests = 0
        self.opened = Opened(device, size, str(asked.properties.get("INFERENCE_PRECISION_HINT", "auto")), note)

    @property
    def idle(self) -> bool:
        """Whether a step would do nothing."""
        return not self._waiting and not self._calls and not self._pipeline.has_non_finished_requests()

    def add(self, asked: Add) -> None:
        """Put a call in line."""
        self._waiting.append(asked)

    def leave(self, left: Leave) -> None:
        """Let go of a choice, or of all of a call: not within a step."""
        call = self._calls.get(left.call)
        if call is None:
            self._waiting = deque(each for each in self._waiting if each.call != left.call)
            return
        for choice in list(call.handles) if left.choice is None else [left.choice]:
            if (handle := call.handles.pop(choice, None)) is not None:
                handle.cancel()
        if not call.handles:
            del self._calls[left.call]

    def step(self) -> list[Wrote | Refused | Dropped]:
        """Let in what there is room for, compute, and tell what came of it. Raises RuntimeError, and cannot go on after that."""
        events: list[Wrote | Refused | Dropped] = list(self._let_in())
        if self._pipeline.has_non_finished_requests():
            self._pipeline.step()
        for call in list(self._calls.values()):
            try:
                events.extend(self._told(call))
            except Exception as error:  # noqa: BLE001 - as below
                with suppress(Exception):
                    self.leave(Leave(call.asked.call, None))
                self._calls.pop(call.asked.call, None)
                events.append(Dropped(call.asked.call, reason_of(error)))
        return events

    def _let_in(self) -> Iterator[Refused | Dropped]:
        while self._waiting and self._fits(self._waiting[0]):
            asked = self._waiting.popleft()
            call = _Call(asked, time.perf_counter())
            try:
                if asked.rule is not None:
                    self._trial.refuse(asked.rule)
                self._write(call, 0)
            except InvalidInput as error:
                yield Refused(asked.call, str(error), error.param)
            except RuntimeError as error:
                yield Refused(asked.call, reason_of(error), None)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this call's alone
                yield Dropped(asked.call, reason_of(error))
            else:
                self._calls[asked.call] = call

    def _fits(self, asked: Add) -> bool:
        if not self._calls:
            return True
        calls = self._calls.values()
        rows = len(asked.seeds) + sum(len(each.asked.seeds) for each in calls)
        longest = max(len(each.ids) + each.limit for each in (asked, *(call.asked for call in calls)))
        return rows <= self._asked.rows and rows * longest <= _WINDOWS * self._asked.context

    def _write(self, call: _Call, choice: int) -> None:
        self._requests += 1
        ids = ov.Tensor(np.array([call.asked.ids], np.int64))
        call.handles[choice] = self._pipeline.add_request(self._requests, ids, self._config(call.asked, choice))

    def _others(self, call: _Call) -> None:
        """Write the other choices, now that the prompt is known."""
        call.first = False
        for choice in range(1, len(call.asked.seeds)):
            self._write(call, choice)

    def _config(self, asked: Add, choice: int) -> Any:
        config = genai.GenerationConfig()
        config.max_new_tokens = asked.limit
        config.stop_token_ids = set(self._asked.ends)
        config.ignore_eos = asked.ignore_eos
        values = {**asked.sampling, "rng_seed": asked.seeds[choice], "logprobs": int(asked.logprobs)}
        for name, value in values.items():
            try:
                setattr(config, name, value)
            except (TypeError, AttributeError) as error:
                msg = f"GenAI's {name} cannot be {value!r}"
                raise TypeError(msg) from error
        if asked.rule is not None:
            config.structured_output_config = structured(asked.rule)
        config.validate()
        return config

    def _told(self, call: _Call) -> Iterator[Wrote | Dropped]:
        """What the choices of a call have more."""
        number = call.asked.call
        for choice, handle in list(call.handles.items()):
            ids, logprobs = _read(handle)
            if ids:
                took = time.perf_counter() - call.began if call.first else 0.0
                yield Wrote(number, choice, ids, logprobs if call.asked.logprobs else (), took)
                if call.first:
                    self._others(call)
            status = handle.get_status()
            if status == genai.GenerationStatus.IGNORED:
                self.leave(Leave(number, None))
                yield Dropped(number, _FULL)
                return
            if status == genai.GenerationStatus.FINISHED:
                del call.handles[choice]
        if not call.handles:
            self._calls.pop(number, None)


def _read(handle: Any) -> tuple[list[int], list[float]]:
    """The tokens that were not read yet, and their log-probabilities."""
    ids: list[int] = []
    logprobs: list[float] = []
    while handle.can_read():
        for output in handle.read().values():
            ids += output.generated_ids
            logprobs += output.generated_log_probs
    return ids, logprobs


def reason_of(error: Exception) -> str:
    """What OpenVINO says, without the places in its own source."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    telling = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return next(iter(telling), next(iter(lines), type(error).__name__))[:300]


def _width(core: Any, folder: Path) -> int:
    """How many logits the model gives. Raises ModelBroken for what is no model that writes."""
    try:
        model = core.read_model(folder / "openvino_model.xml")
    except RuntimeError as error:
        msg = f"OpenVINO does not read {folder / 'openvino_model.xml'}: {reason_of(error)}"
        raise ModelBroken(msg) from error
    names = {name for each in model.inputs for name in each.names}
    widths = [each.partial_shape[-1] for each in model.outputs if "logits" in each.names and len(each.partial_shape)]
    if "beam_idx" not in names or not widths or not widths[0].is_static:
        msg = (
            f"{folder / 'openvino_model.xml'} is no model that writes with a state of its own; export it with: "
            "optimum-cli export openvino --task text-generation-with-past --model MODEL FOLDER"
        )
        raise ModelBroken(msg)
    return int(widths[0].get_length())
