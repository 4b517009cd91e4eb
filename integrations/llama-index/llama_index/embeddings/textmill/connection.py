"""The way to a textmill server: connections that are kept, attempts that are repeated where that helps, errors of textmill's."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Mapping
from typing import Any, Self
from weakref import WeakKeyDictionary

import httpx
from llama_index.core.base.llms.generic_utils import get_from_param_or_env
from llama_index.core.bridge.pydantic import SecretStr
from llama_index.embeddings.textmill.refusals import RETRIED, refusal, wait

import textmill

DEFAULT_URL = "http://127.0.0.1:8080"
KEY_VARIABLE = "TEXTMILL_API_KEY"
_UNREACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""What is worth another attempt: the server may be starting, or has closed a connection that was kept."""


def key_of(given: str | SecretStr | None) -> SecretStr | None:
    """The API key that was given, else that of the environment, else None."""
    plain = given.get_secret_value() if isinstance(given, SecretStr) else given
    key = get_from_param_or_env("api_key", plain, KEY_VARIABLE, "")
    return SecretStr(key) if key else None


def root_of(base_url: str) -> str:
    """A server's address without the ``/v1`` that clients of OpenAI's protocol end it with."""
    return base_url.rstrip("/").removesuffix("/v1").rstrip("/")


class Connection:
    """A server, asked from threads and from event loops. Thread-safe.

    A request is repeated up to ``max_retries`` times where the server is busy (429, 503) or not reached, after the time that the
    server names. ``timeout`` is in seconds, for each attempt.
    """

    def __init__(
        self,
        base_url: str,
        key: SecretStr | None,
        *,
        timeout: float,
        max_retries: int,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.url = root_of(base_url)
        self._max_retries = max_retries
        bearer = {} if key is None else {"authorization": f"Bearer {key.get_secret_value()}"}
        self._settings: dict[str, Any] = {
            "base_url": self.url,
            "timeout": timeout,
            "headers": {**bearer, **(headers or {})},
            "limits": httpx.Limits(max_connections=None, max_keepalive_connections=8),
        }
        self._client = httpx.Client(**self._settings)
        weakref.finalize(self, self._client.close)
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that a route answers. Raises `textmill.TextmillError`."""
        for attempt in range(1, self._max_retries + 2):
            try:
                answer = self._client.post(path, json=body)
            except httpx.TransportError as error:
                pause = self._pause(attempt, error)
            else:
                if self._is_over(answer, attempt):
                    return _content(answer)
                pause = wait(attempt, answer.headers)
            time.sleep(pause)
        raise AssertionError

    async def apost(self, path: str, body: Mapping[str, Any]) -> Any:
        """`post` for event loops."""
        for attempt in range(1, self._max_retries + 2):
            try:
                answer = await self._here().post(path, json=body)
            except httpx.TransportError as error:
                pause = self._pause(attempt, error)
            else:
                if self._is_over(answer, attempt):
                    return _content(answer)
                pause = wait(attempt, answer.headers)
            await asyncio.sleep(pause)
        raise AssertionError

    def close(self) -> None:
        """Close the connections of threads."""
        self._client.close()

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    def _here(self) -> httpx.AsyncClient:
        """The client of this event loop: a connection belongs to the loop that opened it."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            client = self._clients[loop] = httpx.AsyncClient(**self._settings)
        return client

    def _is_over(self, answer: httpx.Response, attempt: int) -> bool:
        return answer.status_code not in RETRIED or attempt > self._max_retries

    def _pause(self, attempt: int, error: httpx.TransportError) -> float:
        """Seconds until the next attempt. Raises Unavailable where there is none."""
        if not isinstance(error, _UNREACHED) or attempt > self._max_retries:
            msg = f"no answer from {self.url}: {error or type(error).__name__}"
            raise textmill.Unavailable(msg) from error
        return wait(attempt)

    def __deepcopy__(self, _: Any) -> Self:
        return self


def _content(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise refusal(answer)
    try:
        return answer.json()
    except ValueError as error:
        msg = f"{answer.request.url} answered with something that is not JSON: {answer.text[:200]!r}; is this a textmill server?"
        raise textmill.Unavailable(msg) from error
