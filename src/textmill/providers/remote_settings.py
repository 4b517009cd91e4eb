"""What the environment has of a server elsewhere: its address where that stands in a variable, and its key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

from textmill.errors import ConfigInvalid
from textmill.folder.remote import Remote
from textmill.folder.remote_options import check_url


def placed(remote: Remote, setting_of: Callable[[str], str]) -> Remote:
    """The server with its address, which may stand in a variable. Raises ConfigInvalid where it is not there or none."""
    if remote.base_url:
        return remote
    url = setting_of(remote.url_variable).rstrip("/")
    if not url:
        msg = f"{remote.url_variable} is not set, which has the server's address; set it, or add base_url:URL to the options"
        raise ConfigInvalid(msg)
    check_url(url, remote.url_variable)
    return replace(remote, base_url=url)


def key_of(remote: Remote, setting_of: Callable[[str], str]) -> tuple[str, str]:
    """The variable with the key for a server, and the key; both empty where it gets none. Raises ConfigInvalid where none is set."""
    for variable in remote.key_variables:
        key = setting_of(variable)
        if key:
            return variable, key
    if not remote.key_variables:
        return "", ""
    first, *others = remote.key_variables
    besides = f" (nor is {' or '.join(others)})" if others else ""
    msg = f"{first} is not set{besides}, which has the key for {urlsplit(remote.base_url).netloc}; set it, or {first}_FILE"
    raise ConfigInvalid(msg)
