"""API keys: who may call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hmac import compare_digest

from textmill.errors import ConfigInvalid
from textmill.http.failures import Unauthorised

Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI gives them: names in lower case."""

_BARE = (b"api-key", b"x-api-key", b"xi-api-key")
_COOKIE = b"token"


class Keys:
    """The keys that open the protected routes; with none, everything is open.

    Clients send `Authorization: Bearer KEY`, `Authorization: KEY` (LlamaIndex's reranker), `api-key: KEY` (Azure's way), or as
    LocalAI's clients do `x-api-key: KEY`, `xi-api-key: KEY` or a cookie `token`.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not all(keys):
            msg = "an API key is empty; everyone could send it. Set a key, or none at all."
            raise ConfigInvalid(msg)
        self._keys = [key.encode() for key in keys]

    def __bool__(self) -> bool:
        """Whether there are keys."""
        return bool(self._keys)

    def check(self, headers: Headers) -> None:
        """Raise Unauthorised unless one of the headers carries one of the keys."""
        if not self.admits(headers):
            msg = "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'"
            raise Unauthorised(msg)

    def admits(self, headers: Headers, *, cookies: bool = True) -> bool:
        """Whether one of the headers carries one of the keys, or there are no keys. Without ``cookies`` those do not count."""
        return not self._keys or any(self._known(given) for given in _given(headers, cookies=cookies))

    def _known(self, given: bytes) -> bool:
        # All keys are compared, and each in constant time, so that timing says nothing about any of them.
        return sum(compare_digest(given, key) for key in self._keys) > 0


def bearer(headers: Headers) -> str:
    """What the Authorization header carries, with or without the word Bearer; empty where there is none."""
    return next((_credentials(value).decode("latin-1") for name, value in headers if name == b"authorization"), "")


def _given(headers: Headers, *, cookies: bool) -> Iterable[bytes]:
    for name, value in headers:
        if name in _BARE:
            yield value
        elif name == b"authorization":
            yield _credentials(value)
        elif name == b"cookie" and cookies:
            yield from _cookies(value)


def _credentials(value: bytes) -> bytes:
    scheme, _, credentials = value.partition(b" ")
    return credentials.strip() if scheme.lower() == b"bearer" else value


def _cookies(value: bytes) -> Iterable[bytes]:
    for pair in value.split(b";"):
        name, _, token = pair.partition(b"=")
        if name.strip() == _COOKIE:
            yield token.strip().strip(b'"')
