"""How a call to a server elsewhere becomes a request, and its answer vectors or scores: one Protocol, which each provider's file has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from textmill.contract import Scoring


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedPiece:
    """Inputs of one request: texts, or lists of token ids, never both.

    ``model`` is the server's name of it, ``fields`` are those that say role and dimensions, under the server's names. ``input_field``
    and ``encoding_field`` are empty for the dialect's usual ones and for numbers as text. Without ``truncate`` texts that are too long
    are to be refused, as far as the server can do so.
    """

    model: str
    inputs: Sequence[str | list[int]]
    fields: Mapping[str, Any]
    input_field: str = ""
    encoding_field: str = ""
    truncate: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RankPiece:
    """Texts of one request that are ranked by their relevance to a query, with ``raw`` by scores as the model's head gives them."""

    model: str
    query: str
    texts: Sequence[str]
    truncate: bool = True
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: a JSON object to a path below the base URL, or ``beside`` its last ``/v1``."""

    path: str
    body: Mapping[str, Any]
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer has for each input in their order: a vector or a score as it came, None for none; and the tokens of all, 0 for unknown."""

    values: Sequence[Any]
    tokens: int = 0


class RemoteDialect(Protocol):
    """How a provider is spoken to. Reading raises `textmill.providers.openai_fields.Unfit` for an answer that is none."""

    takes_ids: bool
    """Whether inputs may be lists of token ids."""
    scorings: tuple[Scoring, ...]
    """How scores may be asked for; empty where they are the server's own."""

    def embed(self, piece: EmbedPiece) -> Request:
        """The request for vectors."""
        ...

    def vectors(self, answer: Any, inputs: int) -> Told:
        """The vectors of so many inputs: lists of numbers, or base64 of little-endian float32."""
        ...

    def rank(self, piece: RankPiece) -> Request:
        """The request for scores. Raises WrongTask where the provider ranks nothing."""
        ...

    def scores(self, answer: Any, texts: int) -> Told:
        """The score of each of so many texts."""
        ...
