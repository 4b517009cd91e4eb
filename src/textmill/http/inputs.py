"""The union of inputs that OpenAI and TEI share: a text, ids, or a list of either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from textmill.contract import Input
from textmill.errors import EmptyInput, TooManyInputs
from textmill.http.failures import WrongShape
from textmill.telemetry.tei import Form

TokenId = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Inputs = str | list[str | TokenId | list[TokenId]]


def as_batch(given: Inputs, field: str, limit: int) -> list[Input]:
    """The inputs of a request, one a row: a bare list of ids is one input.

    Raises EmptyInput for an empty list (of inputs or of ids), WrongShape for ids beside texts, TooManyInputs beyond
    ``limit`` inputs. Empty texts pass.
    """
    if isinstance(given, str):
        return [given]
    if not given:
        msg = f"'{field}' is an empty list; there is nothing to embed"
        raise EmptyInput(msg, param=field)
    kinds = set(map(type, given))
    if kinds == {int}:
        return [[item for item in given if isinstance(item, int)]]
    if int in kinds:
        msg = f"'{field}' mixes token ids with texts; put the ids of each input in a list of their own"
        raise WrongShape(msg, param=field)
    check_count(field, len(given), limit)
    batch = [item for item in given if not isinstance(item, int)]
    if list in kinds and [] in batch:
        index = batch.index([])
        msg = f"{field}[{index}] is an empty list of token ids; there is nothing to embed"
        raise EmptyInput(msg, param=field, index=index)
    return list[Input](batch)


def form_of(given: Inputs) -> Form:
    """Whether a request gives one input by itself, a text or its ids, or a list of them."""
    return "single" if isinstance(given, str) or (given and isinstance(given[0], int)) else "batch"


def check_count(field: str, count: int, limit: int) -> None:
    """Raise TooManyInputs for more inputs, or spans of them, than a request may have."""
    if count > limit:
        msg = f"'{field}' has {count} {'spans' if field == 'spans' else 'inputs'}; this server takes {limit} a request"
        raise TooManyInputs(msg, param=field)


def refuse_empty_texts(batch: Sequence[Input], field: str) -> None:
    """TEI's rule: an empty text is EmptyInput. OpenAI's clients send empty texts, so there they are embedded."""
    if not all(batch):
        index = next(i for i, item in enumerate(batch) if not item)
        msg = f"{field}[{index}] is an empty text; there is nothing to embed"
        raise EmptyInput(msg, param=field, index=index)
