"""Models that several parts of a program hold together: loaded once, closed when the last lets go."""

from __future__ import annotations

import _thread
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from textmill.config import ModelOptions, model_options
from textmill.errors import Unavailable
from textmill.store.load import DEFAULT_MODEL, load_model
from textmill.store.model import Model
from textmill.tasks.line import Line

Key = tuple[str, ModelOptions]
"""What models have to have in common to be one: where they are, and every option."""


def shared(model: str = DEFAULT_MODEL, **options: Any) -> Model:
    """As `textmill.load`, but whoever asks for the same model with the same options holds the same loaded one.

    Args:
        model: as `load`; a folder by any of its paths is one model.
        options: as `load`; compared as they are settled, so that an option left out equals its default.

    Returns:
        A `Model` of the caller's own. Its ``close`` ends this hold, after which it answers Unavailable; calls that are under way
        go on. The engine is closed by the last hold. A hold that is dropped unclosed ends, too.

    Raises:
        What `load` raises. While one caller loads a model, others who ask for it wait; if it fails, each of them tries.

    """
    return _LOADED.hold(model, model_options(options))


@dataclass(slots=True, eq=False)
class _Entry:
    """A model, None until it is loaded, and how many hold it or wait for it."""

    loading: threading.Lock = field(default_factory=threading.Lock)
    model: Model | None = None
    holds: int = 0

    @property
    def dead(self) -> bool:
        """Whether its engine has died, or something else has closed it."""
        return self.model is not None and not self.model.ready


class Shelf:
    """The loaded models by their keys. Thread-safe; models of different keys load side by side."""

    def __init__(self, load: Callable[[str, ModelOptions], Model] = load_model) -> None:
        self._load = load
        self._entries: dict[Key, _Entry] = {}
        self._guard = threading.Lock()

    def hold(self, model: str, options: ModelOptions) -> Model:
        """A hold of a model, which is loaded if nobody has it; raises what loading raises."""
        key = (str(Path(model).resolve()) if Path(model).is_dir() else model, options)
        entry = self._entered(key)
        try:
            with entry.loading:
                if entry.model is None:
                    entry.model = self._load(model, options)
        except BaseException:
            self._let_go(key, entry, 0.0)
            raise
        return SharedModel(entry.model, lambda drain_s: self._let_go(key, entry, drain_s))

    def _entered(self, key: Key) -> _Entry:
        with self._guard:
            entry = self._entries.get(key)
            if entry is None or entry.dead:
                entry = self._entries[key] = _Entry()
            entry.holds += 1
            return entry

    def _let_go(self, key: Key, entry: _Entry, drain_s: float) -> None:
        with self._guard:
            entry.holds -= 1
            if entry.holds:
                return
            if self._entries.get(key) is entry:
                del self._entries[key]
        if entry.model is not None:
            entry.model.close(drain_s)


class SharedModel(Model):
    """One hold of a model that others may hold, too: all its verbs, and a `close` that ends this hold only."""

    def __init__(self, model: Model, let_go: Callable[[float], None]) -> None:
        # Not Model's own __init__: that would have the engine closed when this one hold is dropped.
        self.info = model.info
        self._verbs = model._verbs  # noqa: SLF001 - a hold is the model but for its end
        self._line = model._line  # noqa: SLF001
        self._engine = model._engine  # noqa: SLF001
        self._pool = model._pool  # noqa: SLF001
        self._let_go = let_go
        # In a thread of its own: whoever happens to collect a dropped hold must not wait, nor want a lock that it has.
        self._held = weakref.finalize(self, _thread.start_new_thread, let_go, (0.0,))
        self._held.atexit = False

    @property
    def ready(self) -> bool:
        """Whether this hold can answer: false once it is closed, or the model's engine died."""
        return self._held.alive and super().ready

    def close(self, drain_s: float = 10.0) -> None:
        """End this hold. The last one closes the model as `Model.close` does; before, it costs nothing."""
        if self._held.detach() is not None:  # once, whoever else closes it now
            self._line = _ClosedLine()
            self._let_go(drain_s)


class _ClosedLine(Line):
    """The line of a hold that has ended: every call is refused."""

    def __init__(self) -> None:
        """Without an engine."""

    def answer_now(self, *_: object, **__: object) -> NoReturn:
        """Raise Unavailable."""
        raise _unavailable()

    async def answer(self, *_: object, **__: object) -> NoReturn:
        """Raise Unavailable."""
        raise _unavailable()

    async def aside(self, *_: object) -> NoReturn:
        """Raise Unavailable."""
        raise _unavailable()


def _unavailable() -> Unavailable:
    return Unavailable("the model is closed")


_LOADED = Shelf()
"""The models of this process."""
