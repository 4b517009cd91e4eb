"""The way to a textmill server: where it is, and the key that it wants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_index.core.base.llms.generic_utils import get_from_param_or_env
from llama_index.core.bridge.pydantic import SecretStr

import textmill

DEFAULT_URL = "http://127.0.0.1:8080"
KEY_VARIABLE = "TEXTMILL_API_KEY"


def key_of(given: str | SecretStr | None) -> SecretStr | None:
    """The API key that was given, else that of the environment, else None."""
    plain = given.get_secret_value() if isinstance(given, SecretStr) else given
    key = get_from_param_or_env("api_key", plain, KEY_VARIABLE, "")
    return SecretStr(key) if key else None


def root_of(base_url: str) -> str:
    """A server's address without the ``/v1`` that clients of OpenAI's protocol end it with."""
    return base_url.rstrip("/").removesuffix("/v1").rstrip("/")


def connected(
    base_url: str,
    model: str,
    key: SecretStr | None,
    *,
    timeout: float,
    max_retries: int,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """A model on a server, as `textmill.connect` has it; an empty name means the server's default."""
    return textmill.connect(
        base_url,
        model or None,
        api_key=None if key is None else key.get_secret_value(),
        timeout_s=timeout,
        retries=max_retries,
        headers=headers,
    )
