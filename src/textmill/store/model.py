"""A loaded model: the verbs that users call, over the tasks that it can do."""

from __future__ import annotations

import _thread
import atexit
import weakref
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from textmill.contract import Embeddings, EmbedOptions, Input, ModelInfo
from textmill.engine.engine import Engine
from textmill.tasks.embed import Embedder
from textmill.tasks.inputs import as_inputs


class Model:
    """A model that is loaded and ready; made by `textmill.load`.

    Thread-safe: calls from any threads and event loops share batches. Use it as a context manager or call `close`.
    ``info`` says what it is, where it runs and how.
    """

    def __init__(self, info: ModelInfo, embedder: Embedder, engine: Engine, pool: ThreadPoolExecutor) -> None:
        self.info = info
        self._embedder = embedder
        self._engine = engine
        self._pool = pool
        # The interpreter must not end under the engine's thread.
        atexit.register(engine.close, 0.0)
        # A model that is dropped unclosed is closed in a thread of its own: whoever happens to collect it must not wait, and
        # starting a `threading.Thread` would wait.
        self._dropped = weakref.finalize(self, _thread.start_new_thread, _let_go, (engine, pool))
        self._dropped.atexit = False

    def embed(
        self,
        texts: str | Iterable[Input],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        normalize: bool = True,
        truncate: bool = True,
    ) -> npt.NDArray[np.float32]:
        """Embed texts; blocks until all are done. Also works in a thread whose event loop runs (and blocks that loop).

        Args:
            texts: texts, or lists of the model's own token ids; a single text counts as a list of one. None at all give
                an array of shape (0, dimensions).
            prompt: put in front of each text; "" means none, None the model's default.
            prompt_name: one of the model's own prompts, such as "query".
            dimensions: keep that many leading values, before normalising (Matryoshka, arXiv:2205.13147).
            normalize: scale vectors to unit length. False gives them as pooled, also where the model's modules.json
                ends in a Normalize module.
            truncate: cut texts longer than ``info.max_tokens`` tokens; False raises InvalidInput for them.

        Returns:
            float32 array of shape (texts, dimensions), in order.

        Raises:
            InvalidInput: a text, an id or an option is wrong; the message says which.
            Overloaded: too much work waits; ``retry_after`` says when to come back.
            Unavailable: the model is closed or closing.
            ForwardFailed: the runtime failed on these texts.

        """
        options = EmbedOptions(prompt, prompt_name, dimensions, normalize, truncate)
        inputs = as_inputs(texts)
        return self._embedder.embed_now(inputs, options).vectors if inputs else self._nothing(options)

    async def aembed(
        self,
        texts: str | Iterable[Input],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        normalize: bool = True,
        truncate: bool = True,
    ) -> npt.NDArray[np.float32]:
        """`embed` for event loops: same arguments, result and errors. Cancelling it withdraws what has not started."""
        options = EmbedOptions(prompt, prompt_name, dimensions, normalize, truncate)
        inputs = as_inputs(texts)
        return (await self._embedder.embed(inputs, options)).vectors if inputs else self._nothing(options)

    async def embed_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        """The whole answer, with token counts and timings: what servers need. Errors as `embed`."""
        return await self._embedder.embed(inputs, options)

    @property
    def ready(self) -> bool:
        """Whether the model can answer: false once it closes or its engine died."""
        return self._engine.ready

    @property
    def waiting(self) -> tuple[int, int]:
        """Rows and tokens in line now."""
        return self._engine.waiting_rows, self._engine.waiting_tokens

    def wait_until_warm(self, timeout: float | None = None) -> bool:
        """Wait until the model is as fast as it gets; false if ``timeout`` seconds were not enough."""
        return self._engine.wait_until_warm(timeout)

    def close(self, drain_s: float = 10.0) -> None:
        """Finish what is under way for at most ``drain_s`` seconds, fail the rest with Unavailable, free the memory.

        It blocks. On an event loop whose own `aembed` calls of long or very many texts are under way, run it in a thread:
        ``await asyncio.to_thread(model.close)``.
        """
        self._engine.close(drain_s)
        self._dropped.detach()
        atexit.unregister(self._engine.close)
        self._pool.shutdown(wait=False)

    def _nothing(self, options: EmbedOptions) -> npt.NDArray[np.float32]:
        return np.empty((0, options.dimensions or self.info.dimensions), np.float32)

    def __reduce__(self) -> str:
        msg = "a loaded model cannot be pickled or copied; send its name, and load it where it is used"
        raise TypeError(msg)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _let_go(engine: Engine, pool: ThreadPoolExecutor) -> None:
    engine.close(0.0)
    atexit.unregister(engine.close)
    pool.shutdown(wait=False)
