"""API keys: who may call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hmac import compare_digest

from textmill.errors import ConfigInvalid
from textmill.http.failures import Unauthorised

Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI gives them: names in lower case."""


class Keys:
    """The keys that open the protected routes; with none, everything is open.

    Clients send `Authorization: Bearer KEY`, `Authorization: KEY` (LlamaIndex's reranker) or `api-key: KEY` (Azure's way).
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not all(keys):
            msg = "an API key is empty; everyone could send it. Set a key, or none at all."
            raise ConfigInvalid(msg)
        self._keys = [key.encode() for key in keys]

    def check(self, headers: Headers) -> None:
        """Raise Unauthorised unless one of the headers carries one of the keys."""
        if not self.admits(headers):
            msg = "the API key is missing or wrong; send it as 'Authorization: Bearer KEY'"
            raise Unauthorised(msg)

    def admits(self, headers: Headers) -> bool:
        """Whether one of the headers carries one of the keys, or there are no keys."""
        return not self._keys or any(self._known(given) for given in _given(headers))

    def _known(self, given: bytes) -> bool:
        # All keys are compared, and each in constant time, so that timing says nothing about any of them.
        return sum(compare_digest(given, key) for key in self._keys) > 0


def _given(headers: Headers) -> Iterable[bytes]:
    for name, value in headers:
        if name == b"api-key":
            yield value
        elif name == b"authorization":
            scheme, _, credentials = value.partition(b" ")
            yield credentials.strip() if scheme.lower() == b"bearer" else value
