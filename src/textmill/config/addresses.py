"""Texts with addresses in them, without who may use these."""

from __future__ import annotations

import re

_MOST = 1000
_USERS = re.compile(
    rf"""(?<=//)(?:
      [^/\s"'@:\[]*:(?!\d*(?:[/?\#\s"']|\Z))[^"'\n]{{0,{_MOST}}}?@(?:[^\s"']{{0,{_MOST}}}@)?  # user:password, with / or blanks in it
    | [^/\s"']*@                                                                        # anything before a path
    )(?!sha256:)""",
    re.VERBOSE,
)
"""What stands before a host, up to the last @ before the next blank. What is a port and not a password begins a path after it."""


def without_users(text: str, mark: str = "***@") -> str:
    """A text with ``mark`` in place of users and passwords of the URLs in it; too much goes rather than too little."""
    return _USERS.sub(mark, text) if "@" in text else text
