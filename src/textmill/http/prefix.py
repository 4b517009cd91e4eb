"""What is made of a path before the routes see it: below /m/MODEL is every route again, and a slash too many is none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from textmill.http.service import Store

_PREFIX = "/m/"
_SLASHES = re.compile("//+")


class Prefix:
    """Notes the model that a path names, and takes it off what the router sees.

    Names may have slashes, as they are or as %2F: of those that fit and leave one of ``paths``, the longest that a model has
    counts. A name that no model has is what stands before a route, which then answers that there is no such model.

    Some clients put a path behind an address that ends in a slash as it is: ``//embed`` is ``/embed``.
    """

    def __init__(self, app: ASGIApp, store: Store, paths: Iterable[str]) -> None:
        self._app = app
        self._store = store
        self._paths = sorted(paths, key=len, reverse=True)
        self._known = frozenset(self._paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            self._join(scope)
            if get_route_path(scope).startswith(_PREFIX):
                self._part(scope)
                self._join(scope)
        await self._app(scope, receive, send)

    def _part(self, scope: Scope) -> None:
        named = get_route_path(scope)[len(_PREFIX) :]
        name = self._name(named)
        if name is None:
            return
        if name == named:  # clients post to the address that they are given, which ends here
            scope["path"] += "/"
        scope["textmill.chosen"] = name
        scope["root_path"] = scope.get("root_path", "") + _PREFIX + name

    def _join(self, scope: Scope) -> None:
        routed = get_route_path(scope)
        if "//" in routed:
            plain = _SLASHES.sub("/", routed)
            joined = plain if plain in self._known else "/" + routed.lstrip("/")
            scope["path"] = scope["path"].removesuffix(routed) + joined

    def _name(self, named: str) -> str | None:
        fitting = sorted(self._fitting(named), key=len, reverse=True)
        routed = [name for name in fitting if named[len(name) :] in self._known or name == named]
        if routed or fitting:
            return (routed or fitting)[0]
        for path in self._paths:
            if named.endswith(path) and named != path:
                return named.removesuffix(path)
        return named or None

    def _fitting(self, named: str) -> Iterator[str]:
        for name in self._store.names():
            if named == name or named.startswith(name + "/"):
                yield name


def get_route_path(scope: Any) -> str:
    """The path as routes know it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root + "/") else path
