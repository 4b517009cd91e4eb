"""What the ``options`` of a model file say of a server elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from textmill.config.option import nearest
from textmill.errors import ConfigInvalid
from textmill.folder.remote import KINDS, NONE, Remote, Role
from textmill.folder.remote_presets import PRESETS

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*_(?:API_KEY|API_TOKEN|TOKEN|PAT)")
_OURS = ("TEXTMILL_", "LOCALAI_")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_TAKEN = frozenset(
    [
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
        "accept",
        "accept-encoding",
        "user-agent",
        "te",
        "trailer",
        "upgrade",
        "expect",
    ]
)
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_VERSION = re.compile(r"[A-Za-z0-9.-]{1,32}")
_MOST_S = 86_400.0
_MOST_RETRIES, _MOST_INPUTS, _MOST_BYTES, _MOST_AT_ONCE = 10, 4096, 100_000_000, 256
_PARTS = {"role_": "value", "suffix_": "suffix", "prompt_": "prompt"}
"""Beginnings of options that say how a role is told, by the field of `Role`; the role's name follows."""


def remote_of(backend: str, options: Mapping[str, str]) -> Remote:
    """The server of a backend, as the ``options`` of a model file change it.

    A server at another address than the backend's usual one gets no key unless the file names its variable. Raises ConfigInvalid for
    values that cannot be.
    """
    usual = PRESETS[backend]
    url = options.get("base_url", usual.base_url).rstrip("/")
    if not url and not usual.url_variable:
        msg = f"backend {backend} needs the option base_url:URL, such as base_url:http://127.0.0.1:8000/v1"
        raise ConfigInvalid(msg)
    if url:
        check_url(url, "base_url")
    if url != usual.base_url:
        usual = replace(usual, base_url=url, url_variable="", key_variables=(), key_places=MappingProxyType({}))
    changes = {field: read(options[name], name) for name, (field, read) in _READS.items() if name in options}
    made = replace(usual, **changes, roles=_roles(usual.roles, options))
    if made.role_field == NONE:
        bare = {name: replace(role, value="") for name, role in made.roles.items()}
        made = replace(made, role_field="", roles={name: role for name, role in bare.items() if role != Role()})
    return _settled(made)


def check_url(url: str, what: str) -> None:
    """Raise ConfigInvalid for what is no address of a server."""
    try:
        parts = urlsplit(url)
        plain = url.isascii() and url.isprintable() and " " not in url
        good = plain and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or parts.username or parts.password or parts.query or parts.fragment:
        msg = (
            f"{what} must be a URL of http or https, without a user, a query and a fragment; a key goes by api_key_env"
        )
        raise ConfigInvalid(msg)


def _settled(remote: Remote) -> Remote:
    """The server, if its roles fit together; a role that is the default and is not there is an error unless it was switched off."""
    for name, role in remote.roles.items():
        if role.value and not remote.role_field:
            msg = f"role_{name} needs the field that it goes in: add role_field:NAME"
            raise ConfigInvalid(msg)
    if remote.role_default and remote.role_default not in remote.roles:
        if remote.roles:
            msg = f"role_default is {remote.role_default}, and the roles are {', '.join(sorted(remote.roles))}"
            raise ConfigInvalid(msg)
        return replace(remote, role_default="")
    return remote


def _roles(usual: Mapping[str, Role], options: Mapping[str, str]) -> Mapping[str, Role]:
    roles = dict(usual)
    for name, part, text in _told(options):
        roles[name] = replace(roles.get(name, Role()), **{part: text})
    return MappingProxyType(roles)


def _told(options: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Of each option on a role: the role, the field of `Role`, and what it is."""
    for option, text in options.items():
        for beginning, part in _PARTS.items():
            name = option.removeprefix(beginning)
            if option.startswith(beginning) and option not in _READS:
                if not _FIELD.fullmatch(name):
                    msg = f"{option!r} must have the name of a role behind {beginning}, such as {beginning}query"
                    raise ConfigInvalid(msg)
                yield name, part, _unquoted(text, option)


def _unquoted(text: str, name: str) -> str:
    """A text as it stands, or in quotes as in JSON where spaces at its ends count."""
    if not text.startswith('"'):
        return text
    try:
        read = json.loads(text)
    except ValueError:
        msg = f"{name} begins with a quote and is no text in JSON's quotes"
        raise ConfigInvalid(msg) from None
    return str(read)


def _kind(text: str, name: str) -> str:
    word = text.lower()
    if word not in KINDS:
        msg = f"{name} can be {', '.join(KINDS)}{nearest(word, KINDS)}"
        raise ConfigInvalid(msg)
    return word


def _variables(text: str, name: str) -> tuple[str, ...]:
    """A model file may come from elsewhere: what it has sent to a server must be meant for one, and not open this one."""
    if not _VARIABLE.fullmatch(text) or text.startswith(_OURS):
        msg = f"{name} must name a variable that ends in _API_KEY, _API_TOKEN, _TOKEN or _PAT, and is none of textmill's own"
        raise ConfigInvalid(msg)
    return (text,)


def _matching(pattern: re.Pattern[str], what: str) -> Callable[[str, str], str]:
    def read(text: str, name: str) -> str:
        if not pattern.fullmatch(text):
            msg = f"{name} must be {what}"
            raise ConfigInvalid(msg)
        return text

    return read


def _version(text: str, name: str) -> str:
    return f"?api-version={_matching(_VERSION, 'a version such as 2024-10-21')(text, name)}"


def _switch(text: str, name: str) -> bool:
    if text.lower() not in ("true", "false"):
        msg = f"{name} can be true or false"
        raise ConfigInvalid(msg)
    return text.lower() == "true"


def _between(least: float, most: float, whole: type[int | float]) -> Callable[[str, str], float]:
    def read(text: str, name: str) -> float:
        try:
            value = whole(text)
            good = least <= value <= most
        except ValueError:
            value, good = whole(0), False
        if not good:
            msg = f"{name} must be a {'whole ' * (whole is int)}number from {least:g} to {most:g}"
            raise ConfigInvalid(msg)
        return value

    return read


def _header(text: str, name: str) -> str:
    read = _matching(_HEADER, "the name of a header, such as api-key")(text, name)
    if read.lower() in _TAKEN:
        msg = f"{name} cannot be {text}, which the protocol itself needs"
        raise ConfigInvalid(msg)
    return read


_field = _matching(_FIELD, "the name of a field, such as input_type")

_READS: Mapping[str, tuple[str, Callable[[str, str], Any]]] = {
    "server": ("kind", _kind),
    "api_key_env": ("key_variables", _variables),
    "api_key_header": ("key_header", _header),
    "api_key_scheme": ("key_scheme", _matching(_HEADER, "a word such as Bearer")),
    "api_version": ("query", _version),
    "timeout": ("timeout_s", _between(1, _MOST_S, float)),
    "connect_timeout": ("connect_s", _between(0.1, _MOST_S, float)),
    "retries": ("retries", _between(0, _MOST_RETRIES, int)),
    "retry_seconds": ("retry_s", _between(0, _MOST_S, float)),
    "requests_at_once": ("requests_at_once", _between(1, _MOST_AT_ONCE, int)),
    "inputs_per_request": ("inputs_per_request", _between(1, _MOST_INPUTS, int)),
    "bytes_per_request": ("bytes_per_request", _between(0, _MOST_BYTES, int)),
    "documents_per_request": ("documents_per_request", _between(1, _MOST_INPUTS, int)),
    "input_field": ("input_field", _field),
    "dimensions_field": ("dimensions_field", _field),
    "encoding_field": ("encoding_field", _field),
    "base64": ("base64", _switch),
    "role_field": ("role_field", _field),
    "role_default": ("role_default", _field),
}
