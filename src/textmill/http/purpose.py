"""What texts are embedded for, as requests say it: `input_type`, `task` and a side behind the model's name become one prompt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from textmill.contract import Kind
from textmill.errors import InvalidInput
from textmill.tasks.sides import named

InputType = Annotated[
    str | None,
    Meta(
        description="Not in OpenAI's API: what the texts are for, such as `query` or `document`, also as Cohere, Nomic, Jina and Gemini "
        "say it. The model's prompt for that goes in front of them; where it has none, nothing changes."
    ),
]
Task = Annotated[
    str | None, Meta(description="Jina's word for `input_type`, such as `retrieval.query` or `text-matching`.")
]

_SEPARATORS = re.compile(r"[-_. ]+")


@dataclass(frozen=True, slots=True)
class Purpose:
    """What texts are for: the side of a search that they are on, if any, and the names that prompts for it have, best first."""

    kind: Kind | None
    names: tuple[str, ...] = ()

    def options(self, prompts: Sequence[str]) -> tuple[str | None, Kind | None]:
        """The name of the prompt, of these, that is made for it; else the side, by which the model looks for one itself."""
        name = named(prompts, *self.names)
        return name, None if name is not None else self.kind


_SIDES: Mapping[Kind, tuple[str, ...]] = {
    "query": (
        *("query", "search_query", "retrieval.query", "code.query", "code_retrieval_query"),
        *("question_answering", "fact_verification", "qa.query", "nl2code.query", "code2code.query"),
        *("code2nl.query", "code2completion.query"),
    ),
    "document": (
        *("document", "passage", "corpus", "search_document", "retrieval.passage", "retrieval.document"),
        *("code.passage", "code.document", "qa.passage", "nl2code.passage", "code2code.passage"),
        *("code2nl.passage", "code2completion.passage"),
    ),
}
"""The words of both sides of a search, as Cohere, Nomic, Jina and Gemini say them."""
_ALIKE = (
    ("classification",),
    ("clustering", "separation"),
    ("text-matching", "semantic_similarity", "similarity", "sts"),
    ("summarization",),
)
"""What is not a side of a search; words of one row mean the same."""


def _spelled(word: str) -> Iterator[str]:
    """A word with each of the separators that prompts' names have."""
    parts = _SEPARATORS.split(word)
    yield from dict.fromkeys((word, *(separator.join(parts) for separator in "._-")))


def _known() -> Iterator[tuple[str, Purpose]]:
    for kind, words in _SIDES.items():
        for word in words:
            # A plain side is looked for by the model itself, which knows more of its names.
            yield word, Purpose(kind, tuple(_spelled(word)) if _SEPARATORS.search(word) else ())
    for row in _ALIKE:
        for word in row:
            yield word, Purpose(None, tuple(name for each in (word, *row) for name in _spelled(each)))


def _key(word: str) -> str:
    return _SEPARATORS.sub("_", word.strip().lower())


WORDS = tuple(word for word, _ in _known())
"""What requests may say, in any case, with any of the signs `-`, `_` and `.` between its parts."""
_PURPOSES = {_key(word): purpose for word, purpose in _known()}
_SHOWN = 60


def purpose_of(input_type: str | None, task: str | None, side: Kind | None) -> Purpose | None:
    """What a request says its texts are for; None where it says nothing. An empty word says nothing.

    Raises InvalidInput for a word that is not known, and where two say different things.
    """
    said = [
        (field, word, _purpose(field, word))
        for field, word in (("task", task), ("input_type", input_type), ("model", side))
        if word
    ]
    if not said:
        return None
    (field, word, first), *others = said
    for other_field, other_word, other in others:
        if not _agree(first, other):
            msg = (
                f"{_shown(field, word)} and {_shown(other_field, other_word)} contradict each other; "
                "say what the texts are for once"
            )
            raise InvalidInput(msg, param=field)
    return Purpose(first.kind, tuple(_once(name for _, _, each in said for name in each.names)))


def _purpose(field: str, word: str) -> Purpose:
    found = _PURPOSES.get(_key(word))
    if found is None:
        short = word if len(word) <= _SHOWN else f"{word[:_SHOWN]}…"
        msg = f"{field} {short!r} is not known; it may be one of {', '.join(WORDS)}. For another prompt of the model's there is prompt_name"
        raise InvalidInput(msg, param=field)
    return found


def _agree(one: Purpose, other: Purpose) -> bool:
    """Whether both are of one side, or the same where they are of none."""
    return one.kind == other.kind and (one.kind is not None or set(one.names) == set(other.names))


def _shown(field: str, word: str) -> str:
    return f"the model's suffix :{word}" if field == "model" else f"{field} {word!r}"


def _once(names: Iterable[str]) -> Iterable[str]:
    return dict.fromkeys(names)
