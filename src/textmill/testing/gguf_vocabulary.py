"""Vocabularies for GGUF files: bytes with a few merges and the marks of a chat, or BERT's word pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gguf import GGUFWriter, TokenType

END_OF_TEXT, BEGIN, IM_START, IM_END = "<|endoftext|>", "<|begin|>", "<|im_start|>", "<|im_end|>"
MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
"""Tokens that a reader sees, as reasoning models and Hermes' tool calls write them."""

_MERGES = ("h e", "t he", "i n", "Ġ the", "r e", "o n", "Ġ s")
MERGED = tuple("".join(merge.split(" ")).replace("Ġ", " ").encode() for merge in _MERGES)
"""The tokens of several bytes that prompts have."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a GGUF file says of its tokens. ``special`` has the ids by their keys' short names, as ``bos``; ``model`` is gpt2 or bert."""

    tokens: Sequence[str]
    types: Sequence[TokenType]
    special: Mapping[str, int]
    model: str = "gpt2"
    pre: str = "gpt-2"
    merges: Sequence[str] = ()
    add: Mapping[str, bool] = field(default_factory=dict)
    """Whether ``bos``, ``eos`` and ``sep`` are put around a text."""

    def add_to(self, writer: GGUFWriter) -> None:
        """Write the keys of the tokenizer."""
        writer.add_tokenizer_model(self.model)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        if self.merges:
            writer.add_token_merges(self.merges)
        for name, index in self.special.items():
            writer.add_uint32(f"tokenizer.ggml.{name}_token_id", index)
        for name, added in self.add.items():
            writer.add_bool(f"tokenizer.ggml.add_{name}_token", added)


def chat_vocabulary(extra: Sequence[bytes] = (), *, add_bos: bool = False) -> Vocabulary:
    """Tokens 0 to 255 are the bytes, then come merges, marks and ``extra``: any text encodes, and decodes to itself.

    No merge makes a token of ``extra``, so no prompt has one.
    """
    words = [spelt(bytes([byte])) for byte in range(256)]
    words += ["".join(merge.split(" ")) for merge in _MERGES]
    control = [END_OF_TEXT, BEGIN, IM_START, IM_END]
    tokens = [*words, *control, *MARKS, *(spelt(piece) for piece in extra)]
    types = [TokenType.NORMAL] * len(words) + [TokenType.CONTROL] * len(control)
    types += [TokenType.USER_DEFINED] * len(MARKS) + [TokenType.NORMAL] * len(extra)
    special = {"bos": tokens.index(BEGIN), "eos": tokens.index(IM_END), "padding": tokens.index(END_OF_TEXT)}
    return Vocabulary(tokens, types, special, merges=_MERGES, add={"bos": add_bos})


def spelt(text: bytes) -> str:
    """Bytes as byte-level vocabularies spell them: a printable character each (GPT-2's table)."""
    return "".join(_LETTERS[byte] for byte in text)


def _letters() -> list[str]:
    """Bytes that Latin-1 prints stay; the others, in order, get the characters from 256 on."""
    stay = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in stay]
    return [chr(byte) if byte in stay else chr(256 + others.index(byte)) for byte in range(256)]


_LETTERS = _letters()
