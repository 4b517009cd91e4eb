"""A model's tokenizer and chat template, as transformers has them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2.exceptions import TemplateError

from textmill.errors import InvalidInput, ModelBroken

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_SPACE = "\u2581"
"""How SentencePiece spells a blank."""


class TokenizerWords:
    """Encodes, decodes and renders; any thread."""

    def __init__(self, tokenizer: Any) -> None:
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            msg = "the folder has no tokenizer.json; save it with a fast tokenizer of transformers"
            raise ModelBroken(msg)
        self._tokenizer = tokenizer
        self._fast = tokenizer.backend_tokenizer
        self._fast.no_truncation()
        self._fast.no_padding()
        added = self._fast.get_added_tokens_decoder()
        self.special: Mapping[int, str] = {id_: token.content for id_, token in added.items() if token.special}
        self.added: Mapping[int, str] = {id_: token.content for id_, token in added.items()}
        self._bytes = _byte_values() if "ByteLevel" in _decoders(self._fast) else None
        self.template = _text_of(tokenizer.chat_template)
        own = inspect.signature(tokenizer.apply_chat_template).parameters
        self._own = frozenset(own) | {"messages", "tools"}

    def encode(self, text: str, *, special_tokens: bool) -> list[int]:
        """The ids of a text; ``special_tokens``: with those that the model wants around it."""
        return list(self._fast.encode(text, add_special_tokens=special_tokens).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens included; bytes that are no UTF-8 are U+FFFD."""
        return str(self._fast.decode(list(ids), skip_special_tokens=False))

    def data(self, id_: int) -> bytes:
        """The bytes of a token."""
        if id_ in self.added:
            return self.added[id_].encode()
        token = self._fast.id_to_token(id_)
        if token is None:
            return b""
        if self._bytes is not None:
            known = self._bytes
            return b"".join(bytes([known[each]]) if each in known else each.encode() for each in token)
        if (byte := _BYTE.fullmatch(token)) is not None:
            return bytes([int(byte[1], 16)])
        return str(token).replace(_SPACE, " ").encode()

    def render(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], values: Mapping[str, Any]
    ) -> str:
        """A conversation as the model's template writes it, up to where the model goes on. Raises InvalidInput where it refuses."""
        taken = sorted(self._own & set(values))
        if taken:
            msg = f"chat_template_kwargs may not have {', '.join(taken)}"
            raise InvalidInput(msg, param="chat_template_kwargs")
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    list(messages), tools=list(tools) or None, add_generation_prompt=True, tokenize=False, **values
                )
            )
        except (TemplateError, TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            msg = f"the model's chat template does not take this conversation: {error}"
            raise InvalidInput(msg, param="messages") from error


def _decoders(fast: Any) -> str:
    """What turns the tokenizer's tokens into text, as JSON."""
    return json.dumps(json.loads(fast.to_str())["decoder"])


def _text_of(template: Any) -> str:
    """A template's text; all of them together where it has several."""
    if isinstance(template, Mapping):
        return "\n".join(str(each) for each in template.values())
    return str(template or "")


def _byte_values() -> dict[str, int]:
    """The bytes by the characters that byte-level vocabularies spell them with (GPT-2's table)."""
    stay = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in stay]
    return {chr(byte): byte for byte in stay} | {chr(256 + index): byte for index, byte in enumerate(others)}
