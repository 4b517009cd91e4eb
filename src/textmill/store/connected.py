"""A model on a textmill server, with the verbs that a local one has too."""

from __future__ import annotations

import asyncio
import re
import time
import weakref
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from os import getpid
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import numpy as np
import numpy.typing as npt

from textmill.contract import Kind, Ranked, Scoring, SparseVector
from textmill.errors import (
    ConfigInvalid,
    ForwardFailed,
    InvalidInput,
    ModelNotFound,
    Overloaded,
    TextmillError,
    Unavailable,
    WrongTask,
)
from textmill.providers.answered import vectors_of
from textmill.providers.openai_embedding import OpenAIEmbedding
from textmill.providers.openai_fields import Unfit, count, finite, object_of, objects_of, tables
from textmill.providers.retry_hints import retry_after
from textmill.tasks.best import check_top
from textmill.tasks.inputs import as_query, as_texts
from textmill.tasks.parted import counted_from

INPUTS = 512
"""Texts of one request: few enough for a server's limit on bodies, enough to fill its batches."""
RETRIES = 4
TIMEOUT_S = 60.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
"""Of those that a server asks for; whoever is to wait longer is told instead."""
_LAST_INDEX = 2**31 - 1
_BUSY = 429
_AGAIN = frozenset((_BUSY, 502, 503, 504))
_ERRORS: Mapping[int, type[TextmillError]] = {
    400: InvalidInput,
    401: ConfigInvalid,
    403: ConfigInvalid,
    404: ModelNotFound,
    413: InvalidInput,
    422: InvalidInput,
    424: ForwardFailed,
    500: ForwardFailed,
}
_SECRET = re.compile("auth|cookie|key|secret|token", re.IGNORECASE)
"""Headers whose values no message has."""
_Body = dict[str, Any]
_Outcome = httpx.Response | httpx.RequestError
_OPENAI = OpenAIEmbedding()


def connect(
    url: str,
    model: str | None = None,
    *,
    api_key: str | None = None,
    timeout_s: float = TIMEOUT_S,
    retries: int = RETRIES,
    headers: Mapping[str, str] | None = None,
) -> Connected:
    """A model on a textmill server, or on another that speaks OpenAI's and Jina's protocol. Nothing is sent yet.

    Args:
        url: of the server, with or without ``/v1`` at its end.
        model: one of its names for models; None is its default.
        api_key: is sent as a bearer token, without blanks around it; an empty one is none.
        timeout_s: seconds for each step of a request.
        retries: how often a request is sent anew that the server was too busy for (429, 502, 503, 504) or that did not reach it.
            It is waited for as long as Retry-After says, up to 30 s, else 0.5 s and then twice as long each time.
        headers: further ones, of every request.

    Raises:
        ConfigInvalid: the URL is none of http or https, or has a query; the key or a header has signs that no header may have.

    """
    try:
        place = urlsplit(url)
        good = place.scheme in ("http", "https") and bool(place.hostname) and place.port != 0
    except ValueError:  # as of http://[
        place, good = urlsplit(""), False
    if not good or place.query or place.fragment or not url.isprintable():
        # Who knows where a password ends in one that cannot be read?
        told = _public(url if good else url.rpartition("@")[2])
        msg = f"url is {told!r}; it is to be like http://localhost:8080"
        raise ConfigInvalid(msg)
    key = (api_key or "").strip()
    own = {**({"authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
    for name, value in own.items():
        _check_header(name, value)
    return Connected(url.rstrip("/").removesuffix("/v1").rstrip("/"), model, own, timeout_s, retries)


def _check_header(name: str, value: str) -> None:
    """Raise ConfigInvalid, which does not have the value, for what the client would refuse with it in its words."""
    if not (name and f"{name}{value}".isascii() and f"{name}{value}".isprintable() and value == value.strip()):
        what = "the API key" if name.lower() == "authorization" else f"the header {name!r}"
        msg = f"{what} has signs that no header may have, such as the end of a line, or blanks around it"
        raise ConfigInvalid(msg)


def _public(url: str) -> str:
    """A URL for messages, without what may be secret in it: the user, the password and the query."""
    scheme, mark, rest = url.partition("://")
    rest, query, _ = rest.partition("?")
    place, slash, path = rest.partition("/")
    return f"{scheme}{mark}{place.rpartition('@')[2]}{slash}{path}{query and '?…'}"


class Connected:
    """A model on a server; made by `textmill.connect`. Thread-safe. Its errors are those of a local model."""

    def __init__(self, url: str, model: str | None, headers: Mapping[str, str], timeout_s: float, retries: int) -> None:
        self.url = url
        self._title = _public(url)
        self._model = {} if model is None else {"model": model}
        self._headers = headers
        self._timeout_s = timeout_s
        self._retries = retries
        self._process = getpid()

    def embed(
        self,
        texts: str | Iterable[str],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        kind: Kind | None = None,
    ) -> npt.NDArray[np.float32]:
        """As `Model.embed`: float32 (texts, dimensions), which have length one where the server makes them so. No texts give an array (0, 0)."""
        bodies = self._embeddings(texts, prompt, prompt_name, dimensions, kind)
        return self._joined(self._asks("/v1/embeddings", bodies), bodies)

    async def aembed(
        self,
        texts: str | Iterable[str],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        dimensions: int | None = None,
        kind: Kind | None = None,
    ) -> npt.NDArray[np.float32]:
        """`embed` for event loops."""
        bodies = self._embeddings(texts, prompt, prompt_name, dimensions, kind)
        return self._joined(await self._aask("/v1/embeddings", bodies), bodies)

    def embed_sparse(
        self, texts: str | Iterable[str], *, kind: Kind = "document", top: int | None = None
    ) -> list[SparseVector]:
        """As `Model.embed_sparse`."""
        check_top(top)
        bodies = self._sparse_embeddings(texts, kind)
        return _sparse_vectors(self._asks("/embed_sparse", bodies), bodies, top, self._title)

    async def aembed_sparse(
        self, texts: str | Iterable[str], *, kind: Kind = "document", top: int | None = None
    ) -> list[SparseVector]:
        """`embed_sparse` for event loops."""
        check_top(top)
        bodies = self._sparse_embeddings(texts, kind)
        return _sparse_vectors(await self._aask("/embed_sparse", bodies), bodies, top, self._title)

    def rerank(
        self, query: str, texts: Iterable[str], *, top: int | None = None, scoring: Scoring | None = None
    ) -> list[Ranked]:
        """As `Model.rerank`, by scores between 0 and 1. Raises InvalidInput for another ``scoring``."""
        body, texts = self._ranking(query, texts, top, scoring)
        return _ranked(self._ask("/v1/rerank", body), texts, top, self._title) if texts else []

    async def arerank(
        self, query: str, texts: Iterable[str], *, top: int | None = None, scoring: Scoring | None = None
    ) -> list[Ranked]:
        """`rerank` for event loops."""
        body, texts = self._ranking(query, texts, top, scoring)
        return _ranked((await self._aask("/v1/rerank", [body]))[0], texts, top, self._title) if texts else []

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()

    def __deepcopy__(self, _: object) -> Self:
        """Itself: connections have no copies."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _embeddings(
        self,
        texts: str | Iterable[str],
        prompt: str | None,
        prompt_name: str | None,
        dimensions: int | None,
        kind: Kind | None,
    ) -> list[_Body]:
        """The bodies of the requests that some texts take."""
        own = {"prompt": prompt, "prompt_name": prompt_name, "dimensions": dimensions, "input_type": kind}
        said = {name: value for name, value in own.items() if value is not None}
        inputs = as_texts(texts, alone=True)
        return [
            {"input": inputs[start : start + INPUTS], "encoding_format": "base64", **self._model, **said}
            for start in range(0, len(inputs), INPUTS)
        ]

    def _sparse_embeddings(self, texts: str | Iterable[str], kind: Kind) -> list[_Body]:
        inputs = as_texts(texts, alone=True)
        return [
            {"inputs": inputs[start : start + INPUTS], "truncate": True, "input_type": kind, **self._model}
            for start in range(0, len(inputs), INPUTS)
        ]

    def _ranking(
        self, query: str, texts: Iterable[str], top: int | None, scoring: Scoring | None
    ) -> tuple[_Body, Sequence[str]]:
        check_top(top)
        if scoring not in (None, "sigmoid"):
            msg = f"scoring is {scoring!r}; a server scores between 0 and 1 (sigmoid)"
            raise InvalidInput(msg, param="scoring")
        listed = as_texts(texts)
        limit = {} if top is None else {"top_n": top}
        body = {"query": as_query(query), "documents": listed, "return_documents": False, **self._model, **limit}
        return body, listed

    def _joined(self, answers: Sequence[Any], bodies: Sequence[_Body]) -> npt.NDArray[np.float32]:
        """The vectors of all answers in the order of the texts."""
        both = zip(answers, bodies, strict=True)
        return _joined([_vectors(answer, len(body["input"]), self._title) for answer, body in both], self._title)

    def _asks(self, path: str, bodies: Sequence[_Body]) -> list[Any]:
        answers = []
        for number, body in enumerate(bodies):
            with counted_from(number * INPUTS):
                answers.append(self._ask(path, body))
        return answers

    def _ask(self, path: str, body: _Body) -> Any:
        self._leave_inherited()
        attempt = 0
        while True:
            outcome = self._sent(path, body)
            pause = _pause_s(outcome, attempt) if attempt < self._retries else None
            if pause is None:
                return self._content(outcome)
            time.sleep(pause)
            attempt += 1

    async def _aask(self, path: str, bodies: Sequence[_Body]) -> list[Any]:
        # A client for each call: one that stays would belong to the event loop of its first, and could not be closed from elsewhere.
        async with httpx.AsyncClient(headers=self._headers, timeout=self._timeout_s, verify=self._trust) as client:
            answers = []
            for number, body in enumerate(bodies):
                with counted_from(number * INPUTS):
                    answers.append(await self._aasked(client, path, body))
            return answers

    async def _aasked(self, client: httpx.AsyncClient, path: str, body: _Body) -> Any:
        attempt = 0
        while True:
            outcome: _Outcome
            try:
                outcome = await client.post(self.url + path, json=body)
            except httpx.RequestError as error:
                outcome = error
            pause = _pause_s(outcome, attempt) if attempt < self._retries else None
            if pause is None:
                return self._content(outcome)
            await asyncio.sleep(pause)
            attempt += 1

    def _content(self, outcome: _Outcome) -> Any:
        """What a server has answered. Raises what a local model would have raised."""
        if isinstance(outcome, httpx.RequestError):
            msg = f"{self._title} does not answer: {outcome or type(outcome).__name__}"
            raise Unavailable(msg) from outcome
        if outcome.is_success:
            try:
                return outcome.json()
            except ValueError as error:
                raise _strange(self._title) from error
        says = _facts(outcome).get("message") or outcome.text[:200]
        for name, value in self._headers.items():  # a server may repeat a key
            if value and _SECRET.search(name):
                says = says.replace(value.removeprefix("Bearer "), "…")
        raise _error_of(outcome, f"{self._title} answered {outcome.status_code}: {says}")

    def _sent(self, path: str, body: _Body) -> _Outcome:
        try:
            return self._client.post(self.url + path, json=body)
        except httpx.RequestError as error:
            return error

    @cached_property
    def _client(self) -> httpx.Client:
        # As many connections as threads ask at a time: one more that waits for another's would be a timeout.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=8)
        client = httpx.Client(headers=self._headers, timeout=self._timeout_s, verify=self._trust, limits=limits)
        weakref.finalize(self, client.close)
        return client

    def _leave_inherited(self) -> None:
        """Let go of connections of the process that this one was forked from: the answers that come there are for both of them."""
        if self._process != getpid():
            self.__dict__.pop("_client", None)
            self._process = getpid()  # last, as another thread of this process may look meanwhile

    @cached_property
    def _trust(self) -> SSLContext | bool:
        """The certificates, read once; none are needed without TLS."""
        return httpx.create_ssl_context() if self.url.startswith("https:") else False


def _pause_s(outcome: _Outcome, attempt: int) -> float | None:
    """Seconds until a request is worth another attempt, None where none is."""
    usual = _FIRST_PAUSE_S * 2**attempt
    if isinstance(outcome, httpx.RequestError):
        again = isinstance(outcome, httpx.TransportError) and not isinstance(outcome, httpx.TimeoutException)
        return usual if again else None
    if outcome.status_code not in _AGAIN:
        return None
    hint = retry_after(outcome.headers)
    return usual if hint is None else hint if hint <= _LONGEST_PAUSE_S else None


def _error_of(response: httpx.Response, says: str) -> TextmillError:
    """What a local model would have raised in place of an answer that is none of success."""
    status, told = response.status_code, _facts(response)
    if status == _BUSY:
        return Overloaded(says, retry_after=retry_after(response.headers) or 1.0)
    kind = _ERRORS.get(status, Unavailable)
    if not issubclass(kind, InvalidInput):
        return kind(says)
    param = told.get("param")
    kind = WrongTask if told.get("code") == "wrong_task" else kind
    return kind(says, param=param if isinstance(param, str) else None)


def _facts(response: httpx.Response) -> Mapping[str, Any]:
    """The error object of a body: OpenAI's nested one, or that of the dialects that have it flat; empty where there is none."""
    try:
        body = response.json()
    except ValueError:
        return {}
    if not isinstance(body, dict):
        return {}
    inside = body["error"] if isinstance(body.get("error"), dict) else {}
    words = (body.get("message"), inside.get("message"), body.get("error"), body.get("detail"))
    return {**inside, "message": next((each for each in words if isinstance(each, str)), "")}


def _vectors(answer: Any, inputs: int, url: str) -> npt.NDArray[np.float32]:
    """The vectors of an answer in OpenAI's form, numbers or base64, each at the place that its index says."""
    try:
        told = _OPENAI.vectors(answer, inputs)
    except Unfit as unfit:
        raise _strange(url, unfit) from None
    return vectors_of(told.values, url)


def _sparse_vectors(answers: Sequence[Any], bodies: Sequence[_Body], top: int | None, url: str) -> list[SparseVector]:
    """The vectors of answers in TEI's form, with their indices in order, and of each the ``top`` largest values."""
    try:
        made = [_sparse_vector(row, top) for answer in answers for row in _rows(answer)]
    except Unfit as unfit:
        raise _strange(url, unfit) from None
    inputs = sum(len(body["inputs"]) for body in bodies)
    if len(made) != inputs:
        msg = f"{url} answered {len(made)} vectors for {inputs} texts"
        raise ForwardFailed(msg)
    return made


def _rows(answer: Any) -> Sequence[Any]:
    if not isinstance(answer, list):
        msg = "gave an answer that is no JSON list"
        raise Unfit(msg)
    return answer


def _sparse_vector(row: Any, top: int | None) -> SparseVector:
    read = [(count(entry, "index"), finite(entry.get("value"), "value")) for entry in objects_of(row)]
    entries = sorted(sorted(read, key=lambda entry: (-entry[1], entry[0]))[:top])
    if any(index > _LAST_INDEX for index, _ in entries):
        msg = f"gave an index above {_LAST_INDEX:,}"
        raise Unfit(msg)
    with np.errstate(over="ignore"):
        values = np.array([value for _, value in entries], np.float32)
    if not np.isfinite(values).all():
        msg = "gave a value that is too large for float32"
        raise Unfit(msg)
    return SparseVector(np.array([index for index, _ in entries], np.int32), values)


def _ranked(answer: Any, texts: Sequence[str], top: int | None, url: str) -> list[Ranked]:
    """The ``top`` best of an answer in Jina's form. Raises ForwardFailed unless it has as many, each of them once."""
    wanted = len(texts) if top is None else min(top, len(texts))
    try:
        results = tables(object_of(answer), "results")
        scores = {count(each, "index"): finite(each.get("relevance_score"), "relevance_score") for each in results}
    except Unfit as unfit:
        raise _strange(url, unfit) from None
    if len(scores) < wanted or len(scores) != len(results) or max(scores) >= len(texts):
        msg = f"{url} did not give one score in results for each of {wanted} texts"
        raise ForwardFailed(msg)
    best = sorted(scores, key=lambda index: -scores[index])[:wanted]
    return [Ranked(index, scores[index], texts[index]) for index in best]


def _strange(url: str, why: object = "answered something else than it was asked for") -> ForwardFailed:
    return ForwardFailed(f"{url} {why}; is it a textmill server?")


def _joined(parts: Sequence[npt.NDArray[np.float32]], url: str) -> npt.NDArray[np.float32]:
    if len({part.shape[1] for part in parts}) > 1:
        msg = f"{url} gave vectors of several lengths"
        raise ForwardFailed(msg)
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
