"""The environment of processes that a server starts."""

from __future__ import annotations

import os
from collections.abc import Mapping

from textmill.config.localai import SPELLINGS
from textmill.config.option import options_of
from textmill.config.options import ServeOptions

_OF_THE_HUB = ("token",)
"""Secrets that who downloads models needs."""


def child_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of this process, without the keys that clients of the server show."""
    environ = os.environ if environ is None else environ  # noqa: TID251 - the room that reads the environment
    secret = {option for option in options_of(ServeOptions) if option.secret and option.name not in _OF_THE_HUB}
    names = {option.name for option in secret}
    hidden = {option.variable for option in secret}
    hidden |= {variable for row in SPELLINGS if row.option in names for variable in row.variables}
    return {name: text for name, text in environ.items() if name not in hidden}
