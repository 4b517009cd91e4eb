"""The tokenizer of a model, with the verbs of transformers' tokenizers that code calls most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from tokenizers import Tokenizer


class ModelTokenizer:
    """Reads texts as the model's tokenizer.json says; nothing is cut unless a call asks for it, nor ever padded. Thread-safe.

    ``backend_tokenizer`` is the tokenizer of the library tokenizers, for all else. A keyword of transformers' tokenizers that would
    change what comes out, and is not done here, raises NotImplementedError.
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
        truncation: bool | str | None = None,
        max_length: int | None = None,
        **others: Any,
    ) -> dict[str, Any]:
        """``input_ids`` and ``attention_mask`` of a text, or of each of several, as lists; they are cut as by `encode`."""
        single = isinstance(text, str)
        how = {"add_special_tokens": add_special_tokens, "truncation": truncation, "max_length": max_length, **others}
        rows = [self.encode(each, **how) for each in ([text] if isinstance(text, str) else text)]
        masks = [[1] * len(row) for row in rows]
        return {"input_ids": rows[0] if single else rows, "attention_mask": masks[0] if single else masks}

    def encode(
        self,
        text: str,
        *,
        add_special_tokens: bool = True,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        **others: Any,
    ) -> list[int]:
        """The ids of a text.

        With ``truncation`` at most ``max_length``, or the model's own length, the special token at its end kept; a ``max_length``
        alone does so too.
        """
        _refuse(others)
        encoding = self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens)
        ids: list[int] = encoding.ids
        limit = self._limit(truncation, max_length)
        if limit is None or len(ids) <= limit:
            return ids
        ends = bool(encoding.special_tokens_mask[-1])
        return [*ids[: limit - ends], *ids[len(ids) - ends :]]

    def tokenize(self, text: str, *, add_special_tokens: bool = False, **others: Any) -> list[str]:
        """The tokens of a text as the vocabulary has them, by default without special ones."""
        _refuse(others)
        tokens: list[str] = self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens).tokens
        return tokens

    def decode(self, ids: Iterable[int], *, skip_special_tokens: bool = False, **_: Any) -> str:
        """The text of ids, as far as it can be had back."""
        return str(self.backend_tokenizer.decode([int(each) for each in ids], skip_special_tokens=skip_special_tokens))

    def batch_decode(self, rows: Iterable[Iterable[int]], **keywords: Any) -> list[str]:
        """`decode` for each of several texts."""
        return [self.decode(row, **keywords) for row in rows]

    @overload
    def convert_ids_to_tokens(self, ids: int) -> str | None: ...
    @overload
    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str | None]: ...
    def convert_ids_to_tokens(self, ids: int | Iterable[int]) -> str | list[str | None] | None:
        """What an id stands for in the vocabulary, or each of several; None for ids that it does not have."""
        if isinstance(ids, Iterable):
            return [self.backend_tokenizer.id_to_token(int(each)) for each in ids]
        name: str | None = self.backend_tokenizer.id_to_token(int(ids))
        return name

    @overload
    def convert_tokens_to_ids(self, tokens: str) -> int | None: ...  # type: ignore[overload-overlap]  # a text is texts, too
    @overload
    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int | None]: ...
    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> int | list[int | None] | None:
        """The id of a token, or of each of several; None for those that the vocabulary does not have."""
        if not isinstance(tokens, str):
            return [self.backend_tokenizer.token_to_id(token) for token in tokens]
        number: int | None = self.backend_tokenizer.token_to_id(tokens)
        return number

    def get_vocab(self) -> dict[str, int]:
        """All tokens and their ids."""
        return dict(self.backend_tokenizer.get_vocab())

    def _limit(self, truncation: bool | str | None, max_length: int | None) -> int | None:
        """How many ids there may be at most."""
        if truncation in (False, "do_not_truncate"):
            return None
        return max_length if truncation is None else max_length or self.model_max_length


def _refuse(keywords: Mapping[str, Any]) -> None:
    """Raise NotImplementedError for what is asked and not done; what says no, or how much is told, is no such wish."""
    wishes = [name for name, value in keywords.items() if name not in _IDLE and value not in _NO]
    if wishes:
        msg = f"this tokenizer does nothing with {', '.join(wishes)}; its backend_tokenizer, of the library tokenizers, can do all that"
        raise NotImplementedError(msg)


_IDLE = frozenset(("verbose", "return_attention_mask", "return_token_type_ids", "padding_side"))
_NO = (None, False, 0, "do_not_pad")
