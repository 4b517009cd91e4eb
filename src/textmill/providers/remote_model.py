"""A model that a server elsewhere runs: it writes by OpenAI's protocol, embeds and reranks by the provider's, as far as that server can."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from itertools import accumulate
from typing import Any, Protocol, TypeVar

import numpy as np

from textmill.contract import (
    ChatOptions,
    CompleteOptions,
    Embeddings,
    EmbedOptions,
    Event,
    Input,
    Message,
    ModelInfo,
    RerankOptions,
    Scores,
    TextOptions,
    Timings,
)
from textmill.errors import ForwardFailed, InvalidInput, WrongTask
from textmill.folder.remote import Role
from textmill.providers.answered import Floats, scores_of, shares, vectors_of
from textmill.providers.asking import Asking
from textmill.providers.openai_fields import Unfit
from textmill.providers.openai_speech import Speech
from textmill.providers.openai_wire import Wire
from textmill.providers.openai_writer import Writer
from textmill.providers.pieces import AtOnce, pieces
from textmill.providers.remote_dialect import EmbedPiece, RankPiece, Request, Told
from textmill.providers.repeating import ask
from textmill.providers.writes import Writes
from textmill.tasks.norms import EUCLID, NONE, scaled
from textmill.tasks.parted import counted_from
from textmill.tasks.texts import TextProfile, prompt_of, refuse_nothing

_MOST_ID = 2**31 - 1
_TEXTS = TextProfile(prompts={}, default_prompt="", max_tokens=0)
_PLAIN = Role()

P = TypeVar("P")
Made = tuple[Floats, tuple[int, ...]]
"""Vectors (inputs, width) or scores (texts), and the tokens of each."""


class Server(Protocol):
    """A server that is there, or is brought up again."""

    @property
    def ready(self) -> bool:
        """Whether it can answer, as far as is known."""
        ...

    async def wire(self) -> Wire:
        """The way there, once it is up. Raises LoadFailed where it does not come up, Unavailable once it is closed."""
        ...

    def close(self) -> None:
        """Let go of it; blocks. Any thread may call it, and again."""
        ...


class Elsewhere:
    """A `Server` that somebody else runs."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._closed = False

    @property
    def ready(self) -> bool:
        """Whether it is not closed: nobody knows more."""
        return not self._closed

    async def wire(self) -> Wire:
        """The way there."""
        return self._wire

    def close(self) -> None:
        """Close connections."""
        self._closed = True
        self._wire.close_soon()


class RemoteModel(Writes):
    """Such a model, for one event loop, on a server of the kind ``speech``; see `textmill.store.served.Served`."""

    def __init__(self, info: ModelInfo, server: Server, speech: Speech, asking: Asking) -> None:
        self.info = info
        self._server = server
        self._speech = speech
        self._asking = asking
        self._at_once = AtOnce(asking.at_once)
        self._under_way = 0

    @property
    def ready(self) -> bool:
        """Whether it can answer, as far as is known here."""
        return self._server.ready

    @property
    def waiting(self) -> tuple[int, int]:
        """Nothing waits here: the server has its own line."""
        return 0, 0

    def go_on(self, messages: Sequence[Message], options: ChatOptions) -> AsyncGenerator[Event, None]:
        """What the server's model says."""
        return self._written(lambda writer: writer.chat(messages, options))

    def write(self, prompt: str | Sequence[int], options: CompleteOptions) -> AsyncGenerator[Event, None]:
        """What comes behind a prompt."""
        return self._written(lambda writer: writer.complete(prompt, options))

    def rewrite(self, text: str, instruction: str, options: CompleteOptions) -> AsyncGenerator[Event, None]:
        """A text as an instruction wants it: one turn of a conversation, which every server has."""
        asked = (Message(role="system", content=instruction), Message(role="user", content=text))
        return self._written(lambda writer: writer.chat(asked, _as_chat(options)))

    async def embed_inputs(self, inputs: Sequence[Input], options: EmbedOptions) -> Embeddings:
        """The vectors of the inputs, as the server gives them; cut ones at length one."""
        self._need("embed")
        refuse_nothing(inputs)
        self._refuse_own(options)
        _refuse_side(options)
        asking = self._asking
        role = asking.role(options)
        prompt = role.prompt if options.prompt is None else options.prompt
        items = [self._input(item, prompt, index) for index, item in enumerate(inputs)]
        fields = asking.fields(role, options.dimensions)
        began = time.perf_counter()
        with self._counting():
            one = partial(self._embedded, role, fields, truncate=options.truncate)
            made = await self._each(list(pieces(items, asking.inputs, asking.size)), one)
        vectors = np.concatenate([self._fit(vectors, options) for vectors, _ in made])
        return Embeddings(
            vectors=scaled(vectors, self._norm(options)),
            tokens=tuple(count for _, counts in made for count in counts),
            truncated=(False,) * len(inputs),
            timings=Timings(inference=time.perf_counter() - began),
        )

    async def rerank_inputs(self, query: str, texts: Sequence[str], options: RerankOptions) -> Scores:
        """The scores of the texts as the server gives them."""
        self._need("rerank")
        refuse_nothing(texts)
        _refuse_side(options)
        prompt_of(_TEXTS, options)
        if options.instruction is not None:
            msg = f"{self.info.name} takes no instruction; leave it out"
            raise InvalidInput(msg, param="instruction")
        if options.scoring is not None and options.scoring not in self._asking.dialect.scorings:
            msg = f"{self.info.name} has scores as its server gives them, which cannot become {options.scoring}; leave the scoring out"
            raise InvalidInput(msg, param="scoring")
        began = time.perf_counter()
        most = self._asking.documents
        parts = [texts[first : first + most] for first in range(0, len(texts), most)]
        with self._counting():
            one = partial(self._ranked, query, truncate=options.truncate, raw=options.scoring == "raw")
            made = await self._each(parts, one)
        return Scores(
            scores=np.concatenate([scores for scores, _ in made]),
            tokens=tuple(count for _, counts in made for count in counts),
            truncated=(False,) * len(texts),
            timings=Timings(inference=time.perf_counter() - began),
        )

    def close(self, drain_s: float = 10.0) -> None:
        """Let what is under way end for at most ``drain_s`` seconds, close connections; blocks."""
        end = time.monotonic() + drain_s
        while self._under_way and time.monotonic() < end:
            time.sleep(0.02)
        self._server.close()

    async def probe(self) -> int:
        """The width of the model's vectors, by embedding a text; for whoever makes the model. Raises as the verb does."""
        role = self._asking.roles.get(self._asking.role_default, _PLAIN)
        text = role.prompt + "The mill turns."
        vectors, _ = await self._embedded(role, self._asking.fields(role, None), [text], truncate=True)
        return int(vectors.shape[1])

    def _counting(self) -> _Under:
        return _Under(self)

    async def _written(self, write: Callable[[Writer], AsyncGenerator[Event, None]]) -> AsyncGenerator[Event, None]:
        with self._counting():
            writer = Writer(await self._server.wire(), self._speech, self._asking.name)
            async with aclosing(write(writer)) as events:
                async for event in events:
                    yield event

    async def _each(self, parts: Sequence[Sequence[P]], one: Callable[[Sequence[P]], Awaitable[Made]]) -> list[Made]:
        """What each part of a call's inputs has, in their order."""
        firsts = list(accumulate(map(len, parts), initial=0))

        async def work(number: int) -> Made:
            with counted_from(firsts[number]):
                return await one(parts[number])

        return await self._at_once.each(range(len(parts)), work)

    async def _embedded(
        self, role: Role, fields: dict[str, Any], piece: Sequence[str | list[int]], *, truncate: bool
    ) -> Made:
        """The vectors of one request, and the tokens of each."""
        asking = self._asking
        request = asking.dialect.embed(
            EmbedPiece(
                model=asking.name + role.suffix,
                inputs=piece,
                fields=fields,
                input_field=asking.input_field,
                encoding_field=asking.encoding_field,
                truncate=truncate,
            )
        )
        told, server = await self._told(request, asking.dialect.vectors, len(piece))
        return vectors_of(told.values, server), shares(told.tokens, len(piece))

    async def _ranked(self, query: str, piece: Sequence[str], *, truncate: bool, raw: bool) -> Made:
        """The scores of one request, and the tokens of each text."""
        dialect = self._asking.dialect
        asked = RankPiece(model=self._asking.name, query=query, texts=piece, truncate=truncate, raw=raw)
        request = dialect.rank(asked)
        told, server = await self._told(request, dialect.scores, len(piece))
        return scores_of(told.values, server), shares(told.tokens, len(piece))

    async def _told(self, request: Request, read: Callable[[Any, int], Told], inputs: int) -> tuple[Told, str]:
        """What the answer to a request has, and the server's name for errors."""
        wire = await self._server.wire()
        answer = await ask(wire, request, self._asking.retries)
        try:
            return read(answer, inputs), wire.server.title
        except Unfit as unfit:
            msg = f"{wire.server.title} {unfit}"
            raise ForwardFailed(msg) from None

    def _input(self, item: Input, prompt: str, index: int) -> str | list[int]:
        if isinstance(item, str):
            return prompt + item
        if not self._asking.dialect.takes_ids:
            msg = f"input {index} has token ids, and the server of {self.info.name} takes texts only"
            raise InvalidInput(msg, index=index)
        if prompt:
            msg = f"input {index} has token ids, and a prompt goes in front of texts only"
            raise InvalidInput(msg, index=index)
        if not len(item) or any(isinstance(each, bool) or not 0 <= each <= _MOST_ID for each in item):
            msg = f"input {index} must have token ids, which are whole numbers from 0 to {_MOST_ID}"
            raise InvalidInput(msg, index=index)
        return [int(each) for each in item]

    def _fit(self, vectors: Floats, options: EmbedOptions) -> Floats:
        """Vectors of the length that is wanted. Raises ForwardFailed for a length that is not the model's, or was not asked for."""
        there = self._asking.cuts_there and options.dimensions is not None
        width, found = (options.dimensions if there else self.info.dimensions), vectors.shape[1]
        if found != width:
            wanted = (
                f"and {width} were asked for; dimensions_field:cut in its options has them cut here" if there else ""
            )
            msg = f"the server of {self.info.name} gave vectors of {found} values, {wanted or f'and its model has {width}'}"
            raise ForwardFailed(msg)
        return vectors[:, : options.dimensions]

    def _norm(self, options: EmbedOptions) -> int:
        if options.normalize is not None:
            return EUCLID if options.normalize else NONE
        cut = options.dimensions is not None and options.dimensions < self.info.dimensions
        return self._asking.norm if self._asking.norm is not None else EUCLID if cut else NONE

    def _refuse_own(self, options: EmbedOptions) -> None:
        """Raise InvalidInput for what only models here have."""
        if options.adapter is not None:
            msg = f"{self.info.name} has no adapters"
            raise InvalidInput(msg, param="adapter")
        if options.chunking is not None:
            msg = f"{self.info.name} runs elsewhere, where its texts cannot be parted into chunks; send them in parts"
            raise WrongTask(msg)
        if options.pooling is not None or options.half_life is not None:
            msg = f"{self.info.name} runs elsewhere and is pooled there; leave pooling out"
            raise InvalidInput(msg, param="pooling")
        wanted, width = options.dimensions, self.info.dimensions
        if wanted is not None and (wanted < 1 or (wanted > width and not self._asking.cuts_there)):
            msg = f"dimensions is {wanted}; this model gives 1 to {width}"
            raise InvalidInput(msg, param="dimensions")


class _Under:
    """Counts a call as under way while it lasts."""

    def __init__(self, model: RemoteModel) -> None:
        self._model = model

    def __enter__(self) -> None:
        self._model._under_way += 1  # noqa: SLF001 - of this module

    def __exit__(self, *_: object) -> None:
        self._model._under_way -= 1  # noqa: SLF001 - of this module


def _as_chat(options: CompleteOptions) -> ChatOptions:
    return ChatOptions(
        n=options.n,
        max_tokens=options.max_tokens,
        stop=options.stop,
        sampling=options.sampling,
        format=options.format,
        logprobs=options.logprobs,
    )


def _refuse_side(options: TextOptions) -> None:
    """Raise InvalidInput for what only models here have."""
    if options.truncate_side == "left":
        msg = "a model that runs elsewhere is cut as its server does it; leave the side out"
        raise InvalidInput(msg, param="truncation_direction")
