"""The union of inputs that OpenAI and TEI share: a text, ids, or a list of either."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol

from msgspec import Meta

from textmill.contract import Input, ModelInfo
from textmill.errors import EmptyInput, InvalidInput, TooManyInputs
from textmill.http.failures import WrongShape
from textmill.http.schema import exactly
from textmill.telemetry.tei import Form

TokenId = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Inputs = str | list[str | TokenId | list[TokenId]]


class ForeignTokens(Protocol):
    """Token ids of another vocabulary than the model's; `textmill.checkpoint.cl100k.ForeignVocabulary` is one."""

    @property
    def name(self) -> str:
        """The vocabulary's name."""
        ...

    def read(self, inputs: Sequence[Input]) -> list[Input]:
        """The inputs with each list of ids as the text that it stands for; blocks. Raises InvalidInput for ids that stand for nothing."""
        ...


def inputs_schema(*, empty_texts: bool, also: dict[str, object] | None = None) -> dict[str, object]:
    """The JSON schema of `Inputs` as they are taken: nothing empty but texts of a list where they may be, and no ids beside texts.

    ``also`` is the schema of what may stand in a text's place.
    """
    more = [] if also is None else [also]
    text: dict[str, object] = {"type": "string", "minLength": 1}
    among = {"type": "string"} if empty_texts else text
    token = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
    ids = {"type": "array", "items": token, "minItems": 1}
    several = {"type": "array", "items": {"anyOf": [among, ids, *more]}, "minItems": 1}
    return exactly({"anyOf": [text, ids, several, *more]})


def as_batch(given: Inputs, field: str, limit: int) -> list[Input]:
    """The inputs of a request, one a row: a bare list of ids is one input, also where it is empty.

    Raises WrongShape for ids beside texts, TooManyInputs beyond ``limit`` inputs. Empty inputs pass.
    """
    if isinstance(given, str):
        return [given]
    if form_of(given, field) == "single":
        return [[item for item in given if isinstance(item, int)]]
    check_count(field, len(given), limit)
    return [item for item in given if not isinstance(item, int)]


def form_of(given: Inputs, field: str) -> Form:
    """Whether a request gives one input by itself, a text or its ids, or a list of them. Raises WrongShape for ids beside texts."""
    if isinstance(given, str):
        return "single"
    kinds = set(map(type, given))
    if kinds <= {int}:
        return "single"
    if int in kinds:
        msg = f"'{field}' mixes token ids with texts; put the ids of each input in a list of their own"
        raise WrongShape(msg, param=field)
    return "batch"


def check_count(field: str, count: int, limit: int) -> None:
    """Raise TooManyInputs for more inputs, or spans of them, than a request may have."""
    if count > limit:
        msg = f"'{field}' has {count} {'spans' if field == 'spans' else 'inputs'}; this server takes {limit} a request"
        raise TooManyInputs(msg, param=field)


def refuse_empty(batch: Sequence[Input], field: str, *, texts: bool = True) -> None:
    """Raise EmptyInput for an empty list of ids, and for an empty text unless ``texts`` is false: OpenAI's clients send those."""
    if all(batch):
        return
    for index, item in enumerate(batch):
        if not item and (texts or not isinstance(item, str)):
            what = "text" if isinstance(item, str) else "list of token ids"
            msg = f"{field}[{index}] is an empty {what}; there is nothing to compute"
            raise EmptyInput(msg, param=field, index=index)


def refuse_bare(batch: Sequence[Input], info: ModelInfo) -> None:
    """Raise InvalidInput for ids that none of the special tokens begins or ends which stand around the model's texts.

    They are hardly the model's own: OpenAI's ids, which LangChain sends by itself, are small enough to pass for these.
    """
    for index, item in enumerate(batch):
        if info.around and not isinstance(item, str) and item and not {item[0], item[-1]} & set(info.around):
            msg = (
                f"input {index} has token ids without the special tokens that stand around this model's texts ({', '.join(map(str, info.around))}): "
                "token ids must be the model's own, special tokens included, as /tokenize gives them. LangChain sends OpenAI's ids unless it is given "
                "check_embedding_ctx_length=False; a server started with --token-input cl100k reads those."
            )
            raise InvalidInput(msg, param="input", index=index)
