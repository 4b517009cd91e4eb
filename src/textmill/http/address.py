"""Addresses: what the path and the query of a request say, as a struct."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.routing import compile_path
from starlette.types import Scope

from textmill.http.body import BodyDecoder, wrong_shape

T = TypeVar("T")

_HOST = re.compile(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?", re.ASCII)
_PREFIX = re.compile(r"(/[\w.~-]+)+", re.ASCII)
_PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")


class AddressDecoder(Generic[T]):
    """Reads one struct from the parameters of paths and queries, and where asked from a body. Raises WrongShape or NotJson."""

    def __init__(self, struct: type[T]) -> None:
        self._struct = struct
        self._body = BodyDecoder(dict[str, Any])

    def decode(self, scope: Scope, body: bytes = b"") -> T:
        """The struct; of a parameter that occurs twice, the last counts, and unknown ones are ignored."""
        if self._struct is type(None):
            return msgspec.convert(None, self._struct)
        in_body = self._body.decode(body) if body.strip() else {}
        given = {**in_body, **query_of(scope), **scope.get("path_params", {})}
        try:
            return msgspec.convert(
                {name: value for name, value in given.items() if value is not None}, self._struct, strict=False
            )
        except msgspec.ValidationError as error:
            raise wrong_shape(str(error), "parameter") from None


def query_of(scope: Scope) -> Mapping[str, str]:
    """The parameters of the query, decoded; bytes that are not UTF-8 become replacement characters."""
    query: bytes = scope.get("query_string", b"")
    return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {}


def base_url(scope: Scope) -> str:
    """The server's URL as the client sees it, also behind a proxy that says so in X-Forwarded headers; without a slash at its end."""
    told = {name: value.decode("latin-1").strip() for name, value in scope["headers"]}
    scheme = told.get(b"x-forwarded-proto", "")
    scheme = scheme if scheme in ("http", "https") else scope["scheme"]
    named = (told.get(b"x-forwarded-host", ""), told.get(b"host", ""))
    host = next((name for name in named if _HOST.fullmatch(name)), None)
    if host is None:
        host = ":".join(map(str, scope["server"] or ("localhost",)))
    prefix = told.get(b"x-forwarded-prefix", "").rstrip("/")
    return f"{scheme}://{host}{prefix if _PREFIX.fullmatch(prefix) and '/.' not in prefix else ''}"


def shown(path: str) -> str:
    """A path as OpenAPI writes it, without the kinds of its parameters."""
    return _PARAMETER.sub(r"{\1}", path)


def names_in(path: str) -> tuple[str, ...]:
    """The parameters of a path."""
    return tuple(_PARAMETER.findall(path))


@cache
def _compiled(template: str) -> re.Pattern[str]:
    return compile_path(template)[0]


def matches(template: str, path: str) -> bool:
    """Whether a path is one of the template."""
    return _compiled(template).match(path) is not None


def alike(one: str, other: str) -> bool:
    """Whether two templates differ in nothing but the names of their parameters."""
    return _PARAMETER.sub("{}", one) == _PARAMETER.sub("{}", other)


def in_order(paths: Iterable[tuple[str, T]]) -> list[tuple[str, T]]:
    """Paths in the order in which a router is to try them: the more of a path is plain, the earlier."""
    return sorted(paths, key=lambda each: -len(_PARAMETER.sub("", each[0])))
