"""A server elsewhere that speaks OpenAI's protocol, as a model file's backend and its ``options`` describe it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from textmill.config.option import nearest
from textmill.errors import ConfigInvalid

Kind = Literal["openai", "compatible", "llama.cpp", "vllm", "mistral", "ollama"]
"""What a server understands beside the protocol."""
KINDS: tuple[Kind, ...] = get_args(Kind)

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*_(?:API_KEY|API_TOKEN|TOKEN|PAT)")
_OURS = ("TEXTMILL_", "LOCALAI_")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_MOST_S = 86_400.0
_MOST_RETRIES, _MOST_INPUTS = 10, 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where a server is and how it is asked. ``key_variable`` is empty where it gets no key."""

    base_url: str
    kind: Kind = "compatible"
    key_variable: str = ""
    key_header: str = ""
    timeout_s: float = 600.0
    connect_s: float = 10.0
    retries: int = 2
    retry_s: float = 20.0
    inputs_per_request: int = 64


_USUAL: Mapping[str, Remote] = {
    "openai": Remote(
        base_url="https://api.openai.com/v1", kind="openai", key_variable="OPENAI_API_KEY", inputs_per_request=256
    ),
    "mistral": Remote(base_url="https://api.mistral.ai/v1", kind="mistral", key_variable="MISTRAL_API_KEY"),
    "ollama": Remote(base_url="http://127.0.0.1:11434/v1", kind="ollama"),
    "huggingface-inference": Remote(base_url="https://router.huggingface.co/v1", key_variable="HF_TOKEN"),
    "remote": Remote(base_url=""),
}


def remote_of(backend: str, options: Mapping[str, str]) -> Remote:
    """The server of a backend, as the ``options`` of a model file change it.

    A server at another address than the backend's usual one gets no key unless the file names its variable. Raises ConfigInvalid for
    values that cannot be.
    """
    usual = _USUAL[backend]
    url = options.get("base_url", usual.base_url).rstrip("/")
    if not url:
        msg = "backend remote needs the option base_url:URL, such as base_url:http://127.0.0.1:8000/v1"
        raise ConfigInvalid(msg)
    _check_url(url)
    if url != usual.base_url:
        usual = replace(usual, base_url=url, key_variable="")
    changes = {field: read(options[name], name) for name, (field, read) in _READS.items() if name in options}
    return replace(usual, **changes)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good, parts = False, urlsplit("")
    if not good or parts.username or parts.password or parts.query or parts.fragment:
        msg = (
            "base_url must be a URL of http or https, without a user, a query and a fragment; a key goes by api_key_env"
        )
        raise ConfigInvalid(msg)


def _kind(text: str, name: str) -> str:
    word = text.lower()
    if word not in KINDS:
        msg = f"{name} can be {', '.join(KINDS)}{nearest(word, KINDS)}"
        raise ConfigInvalid(msg)
    return word


def _variable(text: str, name: str) -> str:
    """A model file may come from elsewhere: what it has sent to a server must be meant for one, and not open this one."""
    if not _VARIABLE.fullmatch(text) or text.startswith(_OURS):
        msg = f"{name} must name a variable that ends in _API_KEY, _API_TOKEN, _TOKEN or _PAT, and is none of textmill's own"
        raise ConfigInvalid(msg)
    return text


def _header(text: str, name: str) -> str:
    if not _HEADER.fullmatch(text):
        msg = f"{name} must be the name of a header, such as api-key"
        raise ConfigInvalid(msg)
    return text


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


_READS: Mapping[str, tuple[str, Callable[[str, str], Any]]] = {
    "server": ("kind", _kind),
    "api_key_env": ("key_variable", _variable),
    "api_key_header": ("key_header", _header),
    "timeout": ("timeout_s", _between(1, _MOST_S, float)),
    "connect_timeout": ("connect_s", _between(0.1, _MOST_S, float)),
    "retries": ("retries", _between(0, _MOST_RETRIES, int)),
    "retry_seconds": ("retry_s", _between(0, _MOST_S, float)),
    "inputs_per_request": ("inputs_per_request", _between(1, _MOST_INPUTS, int)),
}
