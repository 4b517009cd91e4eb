"""Texts to the ids of a model, by its tokenizer.json."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers

from textmill.checkpoint.lfs import refuse_pointer
from textmill.checkpoint.seams import Seams
from textmill.contract import Side
from textmill.errors import ConfigInvalid, EmptyInput, InvalidInput, ModelBroken

FILE = "tokenizer.json"

_SLICE_TEXTS = 256
_SLICE_CHARACTERS = 200_000
"""Until its ids are taken, a token costs some 400 bytes in the tokenizers library, and a character may be a token: slices of
several texts bound that to about 80 MB. A slice of one text has at most `_MOST_CHARACTERS`, some 400 MB."""

_MOST_CHARACTERS = 1_000_000
"""What is tokenised of one text. Longer texts are parted at a seam first, so only those without one meet this limit."""

_FIRST_CHARACTERS = 16
_FEWEST_CHARACTERS = 4096
"""Of a long text, the first for each token that the model takes, but no fewer than the second, are tokenised first; English
has 4 to 5 characters a token."""

_CHARACTERS_PER_TOKEN = 250
"""A text that must not be cut may have this many for each token; text-embeddings-inference has the same limit."""


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One text as int32 ``ids`` with special tokens.

    ``tokens_before`` is what it had at least before it was cut: of a very long text only a part is counted. It is exact where
    nothing was cut.
    """

    ids: npt.NDArray[np.int32]
    tokens_before: int

    @property
    def truncated(self) -> bool:
        """Whether tokens were left out."""
        return self.tokens_before > len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """The tokens of a text: int32 ``ids``, and the characters ``starts`` up to ``ends`` that each stands for, all (tokens,)."""

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class PairTemplate:
    """What a tokenizer puts around the two texts of a pair.

    ``specials`` are the ids before, between and after them, ``special_types`` their segments; ``types`` are those of the texts.
    """

    specials: tuple[npt.NDArray[np.int32], ...]
    special_types: tuple[npt.NDArray[np.int32], ...]
    types: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Work:
    """How texts are tokenised: of a long one, until it has more than ``enough`` tokens. Messages count inputs from ``first``."""

    max_tokens: int
    enough: int
    truncate: bool
    side: Side = "right"
    first: int = 0
    prompt_length: int = 0
    specials: bool = True
    offsets: bool = False


class Tokenizer:
    """The tokenizer of a model; it keeps no state between calls, so threads may share it.

    ``vocabulary`` is the number of rows of the model's embedding table: no other ids come out, none go in. Where ``max_tokens``
    is given, a model that leaves no room for text beside its special tokens is ModelBroken. Without ``special``, no special tokens
    are put around texts; ``blank`` is then the one id of a text that has no tokens, the last one, which no text may have.
    ``said`` is where the vocabulary's size stands, for messages.
    """

    def __init__(
        self,
        folder: Path,
        *,
        vocabulary: int,
        lowercase: bool = False,
        max_tokens: int | None = None,
        special: bool = True,
        blank: int | None = None,
        said: str = "config.json says vocab_size {}",
    ) -> None:
        self._path = folder / FILE
        self._blank = np.array([] if blank is None else [blank], np.int32)
        self._vocabulary = vocabulary if blank is None else blank
        self._tokenizer = _open(self._path)
        # The file may hold the padding and the length its author happened to use last.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        if not special:
            self._tokenizer.post_processor = tokenizers.processors.Sequence([])
        if lowercase:
            _lower_first(self._tokenizer)
        self._special = {i for i, token in self._tokenizer.get_added_tokens_decoder().items() if token.special}
        self._leading, self._trailing = self._template()
        self._seams = Seams(self._tokenizer)
        self._check_vocabulary(said)
        if max_tokens is not None and max_tokens <= self._specials:
            msg = (
                f"inputs of {folder} have {max_tokens} tokens at most, but the special tokens alone are {self._specials}; "
                "give a larger max_seq_length, as an option or in sentence_bert_config.json, or a larger max_input_length"
            )
            raise ModelBroken(msg)

    def encode(
        self,
        texts: Sequence[str],
        *,
        max_tokens: int,
        truncate: bool,
        side: Side = "right",
        prompt: str = "",
        first: int = 0,
    ) -> list[Encoded]:
        """The texts in order, each behind ``prompt``; with ``truncate``, cut at ``side`` to ``max_tokens``.

        Special tokens stay whichever side is cut. Nothing is stripped. Other threads run meanwhile. The ids are those of the
        whole text, also where only a part of it is tokenised. Raises InvalidInput for a text that is too long where
        ``truncate`` is false, for a lone surrogate, and for millions of characters that cannot be parted or hold too few
        tokens; it counts inputs from ``first``.
        """
        room = max_tokens - self._specials
        if room < 1:
            msg = f"max_tokens is {max_tokens}, but the model's special tokens alone are {self._specials}"
            raise ConfigInvalid(msg)
        # A cut at the left takes the prompt first; who counts what is left of it needs to see all of it cut.
        enough = max_tokens + (_most_tokens(prompt) if side == "left" else 0)
        prompted = [prompt + text for text in texts] if prompt else list(texts)
        work = _Work(max_tokens, enough, truncate, side, first, len(prompt))
        encoded = []
        for index, (found, left_out) in enumerate(self._tokenized(prompted, work), first):
            ids = np.array(found.ids, dtype=np.int32) if found.ids else self._blank
            before = len(ids)
            if before > max_tokens and not truncate:
                raise _too_long(index, f"{'at least ' if left_out else ''}{before} tokens", max_tokens)
            encoded.append(Encoded(self._cut(ids, room, side) if before > max_tokens else ids, before))
        return encoded

    def bodies(
        self, texts: Sequence[str], *, max_tokens: int, truncate: bool, side: Side = "right", first: int = 0
    ) -> list[npt.NDArray[np.int32]]:
        """The ids of the texts without special tokens, not cut; of a long text, at least ``max_tokens`` + 1 tokens of it.

        With ``truncate``, what comes after those is left out as `encode` does, before them where ``side`` is the left.
        Raises as `encode`, but for the number of tokens.
        """
        work = _Work(max_tokens, max_tokens, truncate, side, first, specials=False)
        return [np.array(found.ids, dtype=np.int32) for found, _ in self._tokenized(list(texts), work)]

    def spans(
        self, texts: Sequence[str], *, max_tokens: int, truncate: bool, side: Side = "right", first: int = 0
    ) -> list[tuple[Encoded, npt.NDArray[np.int32]]]:
        """The texts as `encode` has them, each with the characters that its tokens stand for.

        Those are an int32 array (tokens, 2) of where a token begins and ends in the text; special tokens begin at -1. Raises as
        `encode`.
        """
        work = _Work(max_tokens, max_tokens, truncate, side, first, offsets=True)
        room = max_tokens - self._specials
        marked = []
        for index, (found, left_out) in enumerate(self._tokenized(list(texts), work), first):
            ids = np.array(found.ids, dtype=np.int32)
            if len(ids) > max_tokens and not truncate:
                raise _too_long(index, f"{'at least ' if left_out else ''}{len(ids)} tokens", max_tokens)
            if not found.ids:
                marked.append((Encoded(self._blank, len(self._blank)), np.full((len(self._blank), 2), -1, np.int32)))
                continue
            places = np.array(found.offsets, dtype=np.int32).reshape(-1, 2)
            if side == "left":
                places += left_out
            places[np.array(found.special_tokens_mask, dtype=bool)] = -1
            if len(ids) > max_tokens:
                ids, places = self._cut(ids, room, side), self._cut(places, room, side)
            marked.append((Encoded(ids, len(found.ids)), places))
        return marked

    def locate(self, text: str, index: int) -> Located:
        """All tokens of a text, without special ones, and where they stand in it; ``index`` is the input's, for messages.

        Raises InvalidInput for what is not text, or is too much of it to be tokenised at once.
        """
        if len(text) > _MOST_CHARACTERS:
            msg = f"input {index} has {len(text)} characters; at most {_MOST_CHARACTERS} are tokenised at once: shorten it"
            raise InvalidInput(msg, index=index)
        _refuse_surrogates(text, index, 0)
        made = self._tokenizer.encode(text, add_special_tokens=False)
        places = np.array(made.offsets, dtype=np.int64).reshape(-1, 2)
        return Located(np.array(made.ids, dtype=np.int32), places[:, 0], places[:, 1])

    def pieces(self, text: str, *, specials: bool, max_tokens: int, index: int) -> tokenizers.Encoding:
        """All tokens of a text, with their names and the characters that they stand for; ``specials`` puts special ones around.

        Raises InvalidInput for what is not text, and for more characters than a text of ``max_tokens`` may have.
        """
        _refuse_surrogates(text, index, 0)
        most = _CHARACTERS_PER_TOKEN * max_tokens
        if len(text) > most:
            msg = f"input {index} has {len(text)} characters; at most {most} are tokenised for this model: shorten it"
            raise InvalidInput(msg, index=index)
        # A batch of one lets other threads run meanwhile.
        return self._tokenizer.encode_batch([text], add_special_tokens=specials)[0]

    def dress(self, body: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Ids with the special tokens that stand around every text."""
        dressed = np.concatenate([self._leading, body, self._trailing], dtype=np.int32)
        return dressed if len(dressed) else self._blank

    def pair_template(self) -> PairTemplate:
        """Where the special tokens of a pair stand, and the segments of all."""
        sample = self._tokenizer.encode("a", "a")
        owners, types = sample.sequence_ids, np.array(sample.type_ids, dtype=np.int32)
        ids = np.array(sample.ids, dtype=np.int32)
        if 0 not in owners or 1 not in owners:
            msg = f"{self._path} makes of a pair of the letter a only special tokens; textmill cannot use it"
            raise ModelBroken(msg)
        first, second = owners.index(0), owners.index(1)
        first_end, second_end = len(owners) - owners[::-1].index(0), len(owners) - owners[::-1].index(1)
        if second < first_end:
            msg = f"{self._path} puts the second text of a pair before the first; textmill cannot use it"
            raise ModelBroken(msg)
        cuts = [slice(0, first), slice(first_end, second), slice(second_end, None)]
        return PairTemplate(
            specials=tuple(ids[cut] for cut in cuts),
            special_types=tuple(types[cut] for cut in cuts),
            types=(int(types[first]), int(types[second])),
        )

    def token_id(self, token: str) -> int | None:
        """The id of a token of the vocabulary; None where it has no such token."""
        return self._tokenizer.token_to_id(token)

    def prompt_tokens(self, prompt: str) -> int:
        """How many leading tokens of a row stem from a prompt, as sentence-transformers counts them.

        The prompt is tokenised on its own, with special tokens, and a special token at its end does not count.
        """
        if not prompt:
            return 0
        ids = next(self._encodings([prompt], _Work(0, 0, truncate=True))).ids
        return len(ids) - (len(ids) > 0 and ids[-1] in self._special)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """The text of ids, as far as the tokenizer can give it back; by default without special tokens."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=skip_special_tokens)

    def check_ids(self, ids: Sequence[int], index: int) -> npt.NDArray[np.int32]:
        """The caller's token ids of input ``index`` as a row.

        Raises EmptyInput for none, InvalidInput for what is no integer and for ids that the model does not have.
        """
        if len(ids) == 0:
            msg = f"input {index} is an empty list of token ids"
            raise EmptyInput(msg, index=index)
        if set(map(type, ids)) != {int}:
            # Booleans count as integers in Python, and float32 ids would be cut to some other id.
            for token in ids:
                if isinstance(token, bool) or not isinstance(token, int | np.integer):
                    msg = f"input {index} has {type(token).__name__} among its token ids; they must be integers"
                    raise InvalidInput(msg, index=index)
        for token in (min(ids), max(ids)):
            if not 0 <= token < self._vocabulary:
                msg = (
                    f"input {index} has token id {token}, but this model's ids go from 0 to {self._vocabulary - 1}: token ids must "
                    "be the model's own. LangChain sends OpenAI's ids unless it is given check_embedding_ctx_length=False; "
                    "a server started with --token-input cl100k reads those."
                )
                raise InvalidInput(msg, index=index)
        return np.asarray(ids, dtype=np.int32)

    @property
    def leading(self) -> int:
        """How many special tokens stand in front of every text."""
        return len(self._leading)

    @property
    def around(self) -> tuple[int, ...]:
        """The ids of the special tokens that stand around every text."""
        return tuple(int(each) for each in (*self._leading, *self._trailing))

    @property
    def specials(self) -> int:
        """How many special tokens stand around every text."""
        return self._specials

    @property
    def special_ids(self) -> frozenset[int]:
        """The ids of all special tokens."""
        return frozenset(self._special)

    @property
    def _specials(self) -> int:
        return len(self._leading) + len(self._trailing)

    def _tokenized(self, texts: list[str], work: _Work) -> Iterator[tuple[tokenizers.Encoding, int]]:
        """The tokens of each text, and how many of its characters they leave out."""
        characters = max(_FEWEST_CHARACTERS, _FIRST_CHARACTERS * work.max_tokens)
        for index, text in enumerate(texts, work.first):
            if len(text) > characters:
                _refuse_surrogates(text, index, work.prompt_length)  # what is not tokenised is still to be text
                if not work.truncate:
                    _refuse_characters(text, index, work.max_tokens)
        parts = [self._part(text, characters, work.side, index) for index, text in enumerate(texts, work.first)]
        for index, found in enumerate(self._encodings(parts, work), work.first):
            text, part = texts[index - work.first], parts[index - work.first]
            if len(part) < len(text):
                part, found = self._more(text, part, found, work, index)  # noqa: PLW2901 - the better ones
            yield found, len(text) - len(part)

    def _more(
        self, text: str, part: str, found: tokenizers.Encoding, work: _Work, index: int
    ) -> tuple[str, tokenizers.Encoding]:
        """A part of the text, and its tokens, that has more than enough of them or is the whole."""
        while len(found.ids) <= work.enough and len(part) < len(text):
            part = self._part(text, 2 * len(part), work.side, index)
            found = next(self._encodings([part], work))
        return part, found

    def _part(self, text: str, characters: int, side: Side, index: int) -> str:
        part = self._seams.part(text, characters, side)
        if len(part) > _MOST_CHARACTERS:
            msg = (
                f"input {index} has {len(text)} characters, of which {len(part)} would have to be tokenised at once; "
                f"at most {_MOST_CHARACTERS} are: shorten it"
            )
            raise InvalidInput(msg, index=index)
        return part

    def _encodings(self, texts: list[str], work: _Work) -> Iterator[tokenizers.Encoding]:
        # The batch calls let other threads run even for one text, unlike `encode`; the fast one skips offsets.
        encode = self._tokenizer.encode_batch if work.offsets else self._tokenizer.encode_batch_fast
        for start, end in _slices(texts):
            try:
                yield from encode(texts[start:end], add_special_tokens=work.specials)
            except TypeError:
                for index in range(start, end):
                    _refuse_surrogates(texts[index], work.first + index, work.prompt_length)
                raise

    def _cut(self, tokens: npt.NDArray[np.int32], room: int, side: Side) -> npt.NDArray[np.int32]:
        """What stays of the ids, or of something else that there is one of for each token: special tokens and some text."""
        lead, end = len(self._leading), len(tokens) - len(self._trailing)
        body = tokens[lead : lead + room] if side == "right" else tokens[end - room : end]
        return np.concatenate([tokens[:lead], body, tokens[end:]], dtype=np.int32)

    def _template(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The special tokens before and after every text."""
        sample = self._tokenizer.encode("a")
        mask = sample.special_tokens_mask
        if 0 not in mask or any(sample.type_ids):
            msg = f"{self._path} makes of the letter a only special tokens, or segments other than 0; textmill cannot use it"
            raise ModelBroken(msg)
        ids = np.array(sample.ids, dtype=np.int32)
        return ids[: mask.index(0)], ids[len(ids) - mask[::-1].index(0) :]

    def _check_vocabulary(self, said: str) -> None:
        highest = max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
        if highest >= self._vocabulary:
            msg = (
                f"{self._path} has token ids up to {highest}, but {said.format(self._vocabulary)}; "
                "they belong to different models"
            )
            raise ModelBroken(msg)


def _open(path: Path) -> tokenizers.Tokenizer:
    if not path.is_file():
        code = f"from transformers import AutoTokenizer as T; p = {str(path.parent)!r}; T.from_pretrained(p).save_pretrained(p)"
        msg = (
            f"{path.parent} has no {FILE}; make it from the model's other tokenizer files where transformers is installed: "
            f"python -c {shlex.quote(code)}"
        )
        raise ModelBroken(msg)
    refuse_pointer(path)
    try:
        return tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no other class for whatever is wrong in the file
        msg = f"{path} cannot be read by the tokenizers library: {error}"
        raise ModelBroken(msg) from error


def _slices(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Bounds of consecutive slices that keep to the limits, each with at least one text."""
    start = characters = 0
    for end, text in enumerate(texts):
        if end > start and (end - start >= _SLICE_TEXTS or characters + len(text) > _SLICE_CHARACTERS):
            yield start, end
            start, characters = end, 0
        characters += len(text)
    if texts:
        yield start, len(texts)


def _too_long(index: int, length: str, max_tokens: int) -> InvalidInput:
    msg = f"input {index} has {length}, but the model takes at most {max_tokens} tokens; shorten it or allow truncation"
    return InvalidInput(msg, index=index)


def _refuse_characters(text: str, index: int, max_tokens: int) -> None:
    if len(text) > _CHARACTERS_PER_TOKEN * max_tokens:
        raise _too_long(index, f"{len(text)} characters", max_tokens)


def _most_tokens(prompt: str) -> int:
    """More tokens than a prompt can have: one for each byte after any normalising, and as much again to be safe."""
    return 2 * len(unicodedata.normalize("NFKD", prompt).encode(errors="surrogatepass"))


def _lower_first(tokenizer: tokenizers.Tokenizer) -> None:
    """Lower-case before the tokenizer's own normalising, as sentence-transformers does for do_lower_case."""
    lower = tokenizers.normalizers.Lowercase()
    own = tokenizer.normalizer
    tokenizer.normalizer = lower if own is None else tokenizers.normalizers.Sequence([lower, own])


def _refuse_surrogates(text: str, index: int, prompt_length: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        where = f"at position {error.start - prompt_length}" if error.start >= prompt_length else "in its prompt"
        msg = (
            f"input {index} has a lone surrogate (U+{ord(text[error.start]):04X}) {where}, which is not text; "
            "remove it, or decode the text with errors='replace'"
        )
        raise InvalidInput(msg, index=index) from None
