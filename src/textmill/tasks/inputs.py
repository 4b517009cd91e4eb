"""What callers hand to a verb in a program, as a list of inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np

from textmill.contract import Input, Pair
from textmill.errors import InvalidInput

_EXPECTED = "give a text, or texts or lists of token ids in a sequence"


def as_inputs(texts: object) -> list[Input]:
    """The inputs in their order; a single text counts as a list of one.

    Takes texts and sequences of token ids, in any iterable that has an order, numpy arrays included. The ids themselves are
    the tokenizer's to check. Raises InvalidInput, with the index where there is one, for anything else, and for a flat list
    of ids: that might be one input or many.
    """
    if isinstance(texts, str):
        return [str.__str__(texts)]
    if isinstance(texts, bytes | bytearray | memoryview | Mapping | AbstractSet) or not isinstance(texts, Iterable):
        _refuse(texts)
    if isinstance(texts, np.ndarray) and texts.ndim == 0:
        _refuse(texts)
    if hasattr(texts, "columns"):  # a table gives the names of its columns, which nobody wants embedded
        _refuse(texts)
    return [_one(item, index) for index, item in enumerate(texts)]


def as_inputs_or_pairs(texts: object) -> list[Input | Pair]:
    """`as_inputs` for models that also read two texts together: a tuple or a list of two texts is such a pair."""
    if isinstance(texts, str) or not isinstance(texts, Iterable) or hasattr(texts, "columns"):
        return list(as_inputs(texts))
    items = list(texts)
    pairs = {index: pair for index, item in enumerate(items) if (pair := _pair(item)) is not None}
    singles = as_inputs(["" if index in pairs else item for index, item in enumerate(items)] if pairs else texts)
    return [pairs.get(index, item) for index, item in enumerate(singles)]


def as_texts(texts: object, *, alone: bool = False) -> list[str]:
    """The texts in their order; a single text counts as a list of one where it may come ``alone``.

    Raises InvalidInput, with the index where there is one, for anything else.
    """
    if isinstance(texts, str) and not alone:
        msg = "this is a single text; give a list of them"
        raise InvalidInput(msg)
    items = as_inputs(texts)
    for index, item in enumerate(items):
        if not isinstance(item, str):
            msg = f"input {index} is {_kind(item)}, but must be a text"
            raise InvalidInput(msg, index=index)
    return [item for item in items if isinstance(item, str)]


def as_labels(labels: object) -> list[str]:
    """Labels of the caller's; raises InvalidInput, which speaks of the label, for what is none."""
    with blamed(("the texts are", "the labels are"), ("input ", "label "), param="labels"):
        return as_texts(labels)


@contextmanager
def blamed(*words: tuple[str, str], param: str) -> Iterator[None]:
    """Blame InvalidInput on the field ``param``, whose texts go the way of inputs, with these words for those of inputs."""
    try:
        yield
    except InvalidInput as error:
        message = str(error)
        for said, meant in words:
            message = message.replace(said, meant, 1)
        raise InvalidInput(message, param=param) from None


def as_query(query: object) -> str:
    """The query of a ranking; raises InvalidInput for what is no text."""
    if not isinstance(query, str):
        msg = f"the query is {_kind(query)}, but must be a text"
        raise InvalidInput(msg, param="query")
    return str.__str__(query)


def _pair(item: object) -> Pair | None:
    match item:
        case (str(first), str(second)):
            return str.__str__(first), str.__str__(second)
        case _:
            return None


def _one(item: Any, index: int) -> Input:
    if isinstance(item, str):
        return str.__str__(item)  # plain, also of numpy's own kind of text and of an enum's
    if isinstance(item, int | np.integer) and not isinstance(item, bool):
        msg = (
            f"input {index} is the number {item}, and a flat list of token ids may mean one input or many; "
            "write [[1, 2, 3]] for one input of three ids"
        )
        raise InvalidInput(msg, index=index)
    if isinstance(item, np.ndarray) and item.ndim == 1 and item.dtype.kind != "U":
        return item.tolist()  # type: ignore[no-any-return]  # numpy gives no type for one axis
    if not isinstance(item, Sequence) or isinstance(item, bytes | bytearray | memoryview):
        msg = f"input {index} is {_kind(item)}, but must be a text or a list of token ids"
        raise InvalidInput(msg, index=index)
    for element in item:
        if isinstance(element, str):
            msg = f"input {index} is {_kind(item)} with texts in it; {_EXPECTED}, not in nested ones"
            raise InvalidInput(msg, index=index)
    return item


def _refuse(texts: object) -> NoReturn:
    msg = f"the texts are {_kind(texts)}; {_EXPECTED}"
    raise InvalidInput(msg)


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"
