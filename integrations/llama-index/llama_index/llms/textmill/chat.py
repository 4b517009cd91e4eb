"""TextmillLLM: LlamaIndex's chat over OpenAI's protocol, set for a textmill server."""

from __future__ import annotations

import re
from typing import Any

from llama_index.core.bridge.pydantic import BaseModel, Field, PrivateAttr
from llama_index.embeddings.textmill.connection import DEFAULT_URL, key_of, root_of

import textmill

try:
    from llama_index.llms.openai_like import OpenAILike
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient, pydantic_function_tool
except ImportError as error:
    _missing = "llama-index-llms-openai-like is not installed; run: pip install 'llama-index-embeddings-textmill[llms]'"
    raise textmill.ExtraMissing(_missing) from error

_NO_KEY = "none"
"""The client of OpenAI's protocol wants a key; without one of its own it would send that which is meant for OpenAI."""


class TextmillLLM(OpenAILike):  # type: ignore[misc] # it ships no types
    """A model that writes, by ``POST {base_url}/v1/chat/completions``: `OpenAILike` with its defaults set for textmill.

    ``is_function_calling_model=True`` is for models whose template has tools. Structures are asked for by their JSON schema, which the
    server keeps to, also with models without tools; ``should_use_structured_outputs=False`` asks for them as OpenAILike does. Any
    number of event loops may use it. The key comes from ``api_key`` or else from the variable TEXTMILL_API_KEY, and is no part of
    what `to_dict` gives.
    """

    api_key: str | None = Field(default=None, description="The server's API key.", exclude=True, repr=False)
    is_chat_model: bool = Field(default=True, description="Whether conversations are sent as such.")
    should_use_structured_outputs: bool = Field(
        default=True, description="Whether structures are asked for by a JSON schema."
    )

    _aclient: AsyncOpenAI | None = PrivateAttr()

    def __init__(self, model: str, base_url: str | None = None, **kwargs: Any) -> None:
        address = root_of(base_url or kwargs.pop("api_base", None) or DEFAULT_URL)
        key = key_of(kwargs.pop("api_key", None))
        kwargs.pop("api_base", None)
        super().__init__(
            model=model,
            api_base=f"{address}/v1",
            api_key=_NO_KEY if key is None else key.get_secret_value(),
            **kwargs,
        )

    @classmethod
    def class_name(cls) -> str:
        """Its name in dumps."""
        return "TextmillLLM"

    def _get_aclient(self) -> AsyncOpenAI:
        """A client that keeps no connections: one belongs to the event loop that opened it, and fails in all others."""
        if self.reuse_client and self._aclient is None and self._async_http_client is None:
            unkept = DefaultAsyncHttpxClient(headers={"Connection": "close"})
            self._aclient = AsyncOpenAI(**(self._get_credential_kwargs(is_async=True) | {"http_client": unkept}))
        client: AsyncOpenAI = super()._get_aclient()
        return client

    def _prepare_schema(self, llm_kwargs: dict[str, Any] | None, output_cls: type[BaseModel]) -> dict[str, Any]:
        """The keywords of a request that wants an ``output_cls``; the base class's way there ends in a private part of OpenAI's client."""
        described = pydantic_function_tool(output_cls)["function"]
        name = re.sub(r"\W", "_", described["name"], flags=re.ASCII)
        schema = {"name": name, "schema": described["parameters"], "strict": True}
        kept = {name: value for name, value in (llm_kwargs or {}).items() if name != "tool_choice"}
        return kept | {"response_format": {"type": "json_schema", "json_schema": schema}}

    def __getstate__(self) -> dict[str, Any]:
        """The arguments without the key, which comes from the environment where they are unpickled."""
        state: dict[str, Any] = super().__getstate__()
        return state | {"__dict__": {name: value for name, value in state["__dict__"].items() if name != "api_key"}}
