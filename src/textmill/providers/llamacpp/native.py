"""llama.cpp's own routes, which answer with lists too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from textmill.errors import ForwardFailed
from textmill.providers.openai_wire import Wire


class NativeWire(Wire):
    """A wire to llama.cpp without OpenAI's prefix."""

    async def post_list(self, path: str, body: Mapping[str, Any]) -> list[Any]:
        """The JSON list that answers a body; raises what `Wire.post` does."""
        read = orjson.loads(await self._whole(f"POST {path}", orjson.dumps(body)))
        if not isinstance(read, list):
            msg = f"llama.cpp answered {path} with no list"
            raise ForwardFailed(msg)
        return read
