"""The tokenizer of a model, with the verbs of transformers' tokenizers that code calls most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer


class ModelTokenizer:
    """Reads texts as the model's tokenizer.json says; nothing is cut or padded unless a call asks for it. Thread-safe.

    ``backend_tokenizer`` is the tokenizer of the library tokenizers, for all else.
    """

    def __init__(self, folder: Path, max_length: int) -> None:
        self.model_max_length = max_length
        self.backend_tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.backend_tokenizer.no_truncation()
        self.backend_tokenizer.no_padding()

    @property
    def vocab_size(self) -> int:
        """Entries of the vocabulary, without what was added to it."""
        return int(self.backend_tokenizer.get_vocab_size(with_added_tokens=False))

    def __len__(self) -> int:
        """Entries of the vocabulary, and what was added to it."""
        return int(self.backend_tokenizer.get_vocab_size())

    def __call__(
        self,
        text: str | Sequence[str],
        *,
        add_special_tokens: bool = True,
        truncation: bool = False,
        max_length: int | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """``input_ids`` and ``attention_mask`` of a text, or of each of several, as lists."""
        limit = (max_length or self.model_max_length) if truncation else None
        single = isinstance(text, str)
        rows = [
            self.encode(each, add_special_tokens=add_special_tokens, max_length=limit)
            for each in ([text] if isinstance(text, str) else text)
        ]
        masks = [[1] * len(row) for row in rows]
        return {"input_ids": rows[0] if single else rows, "attention_mask": masks[0] if single else masks}

    def encode(
        self, text: str, *, add_special_tokens: bool = True, max_length: int | None = None, **_: Any
    ) -> list[int]:
        """The ids of a text; at most ``max_length``, the special token at its end kept."""
        encoding = self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens)
        ids: list[int] = encoding.ids
        if max_length is None or len(ids) <= max_length:
            return ids
        ends = bool(encoding.special_tokens_mask[-1])
        return [*ids[: max_length - ends], *ids[len(ids) - ends :]]

    def tokenize(self, text: str, **_: Any) -> list[str]:
        """The tokens of a text, without special ones, as the vocabulary has them."""
        tokens: list[str] = self.backend_tokenizer.encode(text, add_special_tokens=False).tokens
        return tokens

    def decode(self, ids: Iterable[int], *, skip_special_tokens: bool = False, **_: Any) -> str:
        """The text of ids, as far as it can be had back."""
        return str(self.backend_tokenizer.decode([int(each) for each in ids], skip_special_tokens=skip_special_tokens))

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str | None]:
        """What each id stands for in the vocabulary; None for ids that it does not have."""
        return [self.backend_tokenizer.id_to_token(int(each)) for each in ids]

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int | None]:
        """The id of each token; None for those that the vocabulary does not have."""
        return [self.backend_tokenizer.token_to_id(token) for token in tokens]

    def get_vocab(self) -> dict[str, int]:
        """All tokens and their ids."""
        return dict(self.backend_tokenizer.get_vocab())
