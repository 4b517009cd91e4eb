"""OpenAI's vocabulary cl100k_base, by tiktoken: ids become the texts that they stand for."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from textmill.contract import Input
from textmill.errors import ConfigInvalid, ExtraMissing, InvalidInput

if TYPE_CHECKING:
    from tiktoken import Encoding

_ANY = r"\s+|\S+"
"""Where a vocabulary cuts texts before it looks words up. Nothing is encoded here."""


@dataclass(frozen=True, slots=True)
class Published:
    """A vocabulary as OpenAI publishes it: a file of tokens in base64 with their ranks, its hash, and the tokens beside it."""

    name: str
    url: str
    sha256: str
    special: Mapping[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The name of its file in tiktoken's cache."""
        return hashlib.sha1(self.url.encode(), usedforsecurity=False).hexdigest()


CL100K = Published(
    name="cl100k_base",
    url="https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken",
    sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    special={
        "<|endoftext|>": 100257,
        "<|fim_prefix|>": 100258,
        "<|fim_middle|>": 100259,
        "<|fim_suffix|>": 100260,
        "<|endofprompt|>": 100276,
    },
)
"""As tiktoken 0.14 names it (tiktoken_ext.openai_public)."""


class ForeignVocabulary:
    """Reads ids of a vocabulary of tiktoken's that is not the model's own. Thread-safe."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self.name: str = encoding.name

    def read(self, inputs: Sequence[Input]) -> list[Input]:
        """The inputs with each list of ids as the text that it stands for; bytes that are no UTF-8 become replacement characters.

        Raises InvalidInput for an id that the vocabulary does not have.
        """
        return [item if isinstance(item, str) else self._text(item, index) for index, item in enumerate(inputs)]

    def _text(self, ids: Sequence[int], index: int) -> str:
        try:
            return self._encoding.decode_bytes(ids).decode(errors="replace")
        except (KeyError, OverflowError, ValueError):
            wrong = next((each for each in ids if not self._has(each)), ids[0])
            msg = (
                f"input {index} has token id {wrong}, which {self.name} does not have; this server takes ids for those of {self.name} "
                "(--token-input cl100k): send texts, or ids of that vocabulary"
            )
            raise InvalidInput(msg, param="input", index=index) from None

    def _has(self, token: int) -> bool:
        try:
            self._encoding.decode_single_token_bytes(token)
        except (KeyError, OverflowError):
            return False
        return True


def need_tiktoken() -> None:
    """Raise ExtraMissing, with the pip command, unless the extra tiktoken is installed; nothing is imported here."""
    if find_spec("tiktoken") is None:
        msg = (
            "--token-input cl100k needs the package tiktoken; install the extra with: pip install 'textmill[tiktoken]'"
        )
        raise ExtraMissing(msg)


def is_cached(folder: Path, published: Published = CL100K) -> bool:
    """Whether tiktoken's cache has the vocabulary's file, whole and unharmed."""
    return _cached(folder, published) is not None


def open_vocabulary(folder: Path, published: Published = CL100K) -> ForeignVocabulary:
    """The vocabulary whose file lies in tiktoken's cache. Raises ExtraMissing; ConfigInvalid where the file is missing or is another."""
    need_tiktoken()
    data = _cached(folder, published)
    if data is None:
        msg = f"{folder / published.key} is not there, or is not the vocabulary {published.name}"
        raise ConfigInvalid(msg)
    from tiktoken import Encoding  # noqa: PLC0415 - an extra

    # Not by tiktoken's own loader: that would fetch what is not there, and wait for it without end.
    ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, data.splitlines())}
    return ForeignVocabulary(
        Encoding(published.name, pat_str=_ANY, mergeable_ranks=ranks, special_tokens=dict(published.special))
    )


def _cached(folder: Path, published: Published) -> bytes | None:
    try:
        data = (folder / published.key).read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == published.sha256 else None
