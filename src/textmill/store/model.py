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

from textmill.cache.cache import Cache, Recall
from textmill.contract import (
    Chunking,
    Classifications,
    ClassifyOptions,
    Embeddings,
    EmbedOptions,
    Entities,
    Entity,
    Input,
    Kind,
    ModelInfo,
    Pair,
    Ranked,
    RerankOptions,
    Scores,
    Scoring,
    TextOptions,
    ZeroShotOptions,
)
from textmill.engine.engine import Engine
from textmill.store.pooled import MOST_STATES, embed_pooled
from textmill.store.reading import ReadingVerbs
from textmill.store.vectors import VectorVerbs
from textmill.store.verbs import Verbs
from textmill.store.writing import NoWritingVerbs
from textmill.tasks.best import check_top, labelled, listed, ranked
from textmill.tasks.classify import Classifier
from textmill.tasks.embed import Embedder
from textmill.tasks.entities import TokenClassifier
from textmill.tasks.inputs import as_inputs, as_inputs_or_pairs, as_labels, as_query, as_texts
from textmill.tasks.line import Line
from textmill.tasks.rerank import Reranks
from textmill.tasks.zero_shot import ZeroShotClassifier


class Model(VectorVerbs, ReadingVerbs, NoWritingVerbs):
    """A model that is loaded and ready; made by `textmill.load`.

    Thread-safe: calls from any threads and event loops share batches. Use it as a context manager or call `close`.
    ``info`` says what it is, where it runs and how.
    """

    def __init__(
        self,
        info: ModelInfo,
        verbs: Verbs,
        engine: Engine,
        pool: ThreadPoolExecutor,
        *,
        recall: Recall | None = None,
        cache: Cache | None = None,
    ) -> None:
        self.info = info
        self._verbs = verbs
        self._line = Line(engine, pool, info.max_tokens, recall)
        self._cache = cache  # its own, which is closed with it
        self._engine = engine
        self._pool = pool
        # The interpreter must not end under the engine's thread.
        atexit.register(engine.close, 0.0)
        # A model that is dropped unclosed is closed in a thread of its own: whoever happens to collect it must not wait, and
        # starting a `threading.Thread` would wait.
        self._dropped = weakref.finalize(self, _thread.start_new_thread, _let_go, (engine, pool, cache))
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
        adapter: str | None = None,
        chunking: Chunking | None = None,
        kind: Kind | None = None,
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
            adapter: one of the model's task adapters; by default the one that ``prompt_name`` names.
            chunking: part texts that are too long instead of cutting them; the vector is the mean of the chunks' vectors,
                weighted by tokens.
            kind: the side of a search that the texts are on: the model's own prompt for a "query" or a "document" applies
                where no prompt is given, if it has one.

        Returns:
            float32 array of shape (texts, dimensions), in order.

        Raises:
            InvalidInput: a text, an id or an option is wrong; the message says which.
            Overloaded: too much work waits; ``retry_after`` says when to come back.
            Unavailable: the model is closed or closing.
            ForwardFailed: the runtime failed on these texts.

        """
        options = EmbedOptions(
            prompt=prompt,
            prompt_name=prompt_name,
            dimensions=dimensions,
            normalize=normalize,
            truncate=truncate,
            adapter=adapter,
            chunking=chunking,
            kind=kind,
        )
        inputs = as_inputs(texts)
        return (
            self._line.answer_now(self._embedder.call(inputs, options), whole=chunking is not None).vectors
            if inputs
            else self._embedder.nothing(options)
        )

    async def aembed(
        self,
        texts: str | Iterable[Input],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        normalize: bool = True,
        truncate: bool = True,
        adapter: str | None = None,
        chunking: Chunking | None = None,
        kind: Kind | None = None,
    ) -> npt.NDArray[np.float32]:
        """`embed` for event loops: same arguments, result and errors. Cancelling it withdraws what has not started."""
        options = EmbedOptions(
            prompt=prompt,
            prompt_name=prompt_name,
            dimensions=dimensions,
            normalize=normalize,
            truncate=truncate,
            adapter=adapter,
            chunking=chunking,
            kind=kind,
        )
        inputs = as_inputs(texts)
        return (await self.embed_inputs(inputs, options)).vectors if inputs else self._embedder.nothing(options)

    def prompt(self, kind: Kind | None = None) -> str:
        """What stands in front of texts of that side where a call of `embed` gives no prompt; "" for nothing.

        Raises WrongTask where the model does not embed.
        """
        return self._embedder.prompt(kind)

    async def embed_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        """The whole answer, with token counts and timings: what servers need. Errors as `embed`."""
        if width := self._embedder.states(options):
            return await embed_pooled(
                self._line, self._embedder, inputs, options, MOST_STATES // width, self.info.max_tokens
            )
        return await self._line.answer(self._embedder.call(inputs, options), whole=options.chunking is not None)

    def classify(
        self, texts: str | Iterable[Input | Pair], *, scoring: Scoring | None = None, truncate: bool = True
    ) -> list[dict[str, float]]:
        """Score the model's labels for each text; blocks until all are done.

        Args:
            texts: as `embed`; also pairs of texts, each a tuple, for models that read two.
            scoring: "softmax", "sigmoid" or "raw"; None is the model's own.
            truncate: as `embed`; of a pair, the longer text is cut.

        Returns:
            For each text every label with its score, best first. `info.labels` has them in their own order.

        Raises:
            WrongTask: the model has no labels. InvalidInput, Overloaded, Unavailable, ForwardFailed: as `embed`.

        """
        inputs = as_inputs_or_pairs(texts)
        options = ClassifyOptions(scoring=scoring, truncate=truncate)
        return labelled(self._line.answer_now(self._classifier.call(inputs, options))) if inputs else []

    async def aclassify(
        self, texts: str | Iterable[Input | Pair], *, scoring: Scoring | None = None, truncate: bool = True
    ) -> list[dict[str, float]]:
        """`classify` for event loops."""
        inputs = as_inputs_or_pairs(texts)
        options = ClassifyOptions(scoring=scoring, truncate=truncate)
        return labelled(await self.classify_inputs(inputs, options)) if inputs else []

    async def classify_inputs(self, inputs: Sequence[Input | Pair], options: ClassifyOptions) -> Classifications:
        """The whole answer of `classify`, for servers."""
        return await self._line.answer(self._classifier.call(inputs, options))

    def classify_tokens(self, texts: str | Iterable[str], *, truncate: bool = True) -> list[list[Entity]]:
        """Find the stretches of each text that the model has labels for, such as names; blocks until all are done.

        Args:
            texts: texts; a single one counts as a list of one.
            truncate: as `embed`; what is cut off has no entities.

        Returns:
            For each text its entities in their order, with their characters. Neighbouring tokens of one label are one.

        Raises:
            WrongTask: the model does not label tokens. InvalidInput, Overloaded, Unavailable, ForwardFailed: as `embed`.

        """
        inputs, options = as_texts(texts, alone=True), TextOptions(truncate=truncate)
        return listed(self._line.answer_now(self._token_classifier.call(inputs, options))) if inputs else []

    async def aclassify_tokens(self, texts: str | Iterable[str], *, truncate: bool = True) -> list[list[Entity]]:
        """`classify_tokens` for event loops."""
        inputs, options = as_texts(texts, alone=True), TextOptions(truncate=truncate)
        return listed(await self.classify_tokens_inputs(inputs, options)) if inputs else []

    async def classify_tokens_inputs(self, inputs: Sequence[str], options: TextOptions) -> Entities:
        """The whole answer of `classify_tokens`, for servers."""
        return await self._line.answer(self._token_classifier.call(inputs, options))

    def classify_zero_shot(
        self,
        texts: str | Iterable[str],
        labels: Iterable[str],
        *,
        hypothesis: str = "This example is {}.",
        multi_label: bool = False,
        truncate: bool = True,
    ) -> list[dict[str, float]]:
        """Score labels of your own for each text, by a model that judges whether one text follows from another; blocks.

        Args:
            texts: texts; a single one counts as a list of one.
            labels: what to choose from.
            hypothesis: a sentence with ``{}`` where a label goes.
            multi_label: judge each label on its own; otherwise their scores share 1.
            truncate: cut texts that are too long beside a hypothesis; False raises InvalidInput for them.

        Returns:
            For each text every label with its score, best first.

        Raises:
            WrongTask: the model has no label for entailment. InvalidInput, Overloaded, Unavailable, ForwardFailed: as `embed`.

        """
        inputs, choices = as_texts(texts, alone=True), as_labels(labels)
        options = ZeroShotOptions(hypothesis=hypothesis, multi_label=multi_label, truncate=truncate)
        return labelled(self._line.answer_now(self._zero_shot.call(inputs, choices, options))) if inputs else []

    async def aclassify_zero_shot(
        self,
        texts: str | Iterable[str],
        labels: Iterable[str],
        *,
        hypothesis: str = "This example is {}.",
        multi_label: bool = False,
        truncate: bool = True,
    ) -> list[dict[str, float]]:
        """`classify_zero_shot` for event loops."""
        inputs, choices = as_texts(texts, alone=True), as_labels(labels)
        options = ZeroShotOptions(hypothesis=hypothesis, multi_label=multi_label, truncate=truncate)
        return labelled(await self.classify_zero_shot_inputs(inputs, choices, options)) if inputs else []

    async def classify_zero_shot_inputs(
        self, inputs: Sequence[str], labels: Sequence[str], options: ZeroShotOptions
    ) -> Classifications:
        """The whole answer of `classify_zero_shot`, for servers."""
        return await self._line.answer(self._zero_shot.call(inputs, labels, options))

    def rerank(
        self,
        query: str,
        texts: Iterable[str],
        *,
        top: int | None = None,
        scoring: Scoring | None = None,
        instruction: str | None = None,
        truncate: bool = True,
    ) -> list[Ranked]:
        """Rank texts by how relevant they are to a query; blocks until all are done.

        Args:
            query: what is searched for.
            texts: the candidates.
            top: give only that many of the best.
            scoring: "sigmoid", which is the default, for scores between 0 and 1; "raw" for the model's own.
            instruction: what counts as relevant, for models that take one.
            truncate: cut what is too long for the model; False raises InvalidInput for it.

        Returns:
            The texts with their scores and their places among ``texts``, best first; equal ones in their order.

        Raises:
            WrongTask: the model cannot rank. InvalidInput, Overloaded, Unavailable, ForwardFailed: as `embed`.

        """
        check_top(top)
        query, inputs = as_query(query), as_texts(texts)
        options = RerankOptions(scoring=scoring, instruction=instruction, truncate=truncate)
        return ranked(self._line.answer_now(self._reranker.call(query, inputs, options)), inputs, top) if inputs else []

    async def arerank(
        self,
        query: str,
        texts: Iterable[str],
        *,
        top: int | None = None,
        scoring: Scoring | None = None,
        instruction: str | None = None,
        truncate: bool = True,
    ) -> list[Ranked]:
        """`rerank` for event loops."""
        check_top(top)
        query, inputs = as_query(query), as_texts(texts)
        options = RerankOptions(scoring=scoring, instruction=instruction, truncate=truncate)
        return ranked(await self.rerank_inputs(query, inputs, options), inputs, top) if inputs else []

    async def rerank_inputs(self, query: str, texts: Sequence[str], options: RerankOptions) -> Scores:
        """The whole answer of `rerank`, in the order of the texts, for servers."""
        return await self._line.answer(self._reranker.call(query, texts, options))

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
        if self._cache is not None:
            self._cache.close()

    @property
    def _embedder(self) -> Embedder:
        return self._verbs.need(self._verbs.embed, "embed")

    @property
    def _classifier(self) -> Classifier:
        return self._verbs.need(self._verbs.classify, "classify")

    @property
    def _token_classifier(self) -> TokenClassifier:
        return self._verbs.need(self._verbs.classify_tokens, "classify_tokens")

    @property
    def _zero_shot(self) -> ZeroShotClassifier:
        return self._verbs.need(self._verbs.classify_zero_shot, "classify_zero_shot")

    @property
    def _reranker(self) -> Reranks:
        return self._verbs.need(self._verbs.rerank, "rerank")

    def __reduce__(self) -> str:
        msg = "a loaded model cannot be pickled or copied; send its name, and load it where it is used"
        raise TypeError(msg)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _let_go(engine: Engine, pool: ThreadPoolExecutor, cache: Cache | None) -> None:
    engine.close(0.0)
    atexit.unregister(engine.close)
    pool.shutdown(wait=False)
    if cache is not None:
        cache.close()
