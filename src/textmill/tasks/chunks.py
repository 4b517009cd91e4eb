"""The embed_chunks task: a vector for each chunk of a text, by itself or in the light of the whole text (late chunking)."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from textmill.checkpoint.tokenizer import Located, Tokenizer
from textmill.contract import Chunk, Chunking, ChunkOptions, Chunks, EmbedOptions
from textmill.errors import InvalidInput
from textmill.tasks.chunker import MOST_CHUNKS, Chunker, Piece
from textmill.tasks.embed import EmbedCall, Embedder
from textmill.tasks.line import Call, Done, Prepared
from textmill.tasks.sides import sided_chunks
from textmill.tasks.texts import TextProfile, Texts

Places = npt.NDArray[np.int64]
"""For each chunk its first character and the one behind its last, (chunks, 2)."""
Floats = npt.NDArray[np.float32]
_AXES = 2


class ChunkEmbedder:
    """Makes calls that embed chunks; ``late`` says whether the model pools by a mean and nothing else. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, texts: TextProfile, dense: Embedder, *, late: bool) -> None:
        self._tokenizer = tokenizer
        self._texts = texts
        self._dense = dense
        self._late = late

    def call(self, inputs: Sequence[str], options: ChunkOptions) -> Call[str, Chunks]:
        """A call for these inputs; see `textmill.contract.EmbedChunks`."""
        options = sided_chunks(options, self._texts.prompts)
        texts = Texts(self._tokenizer, self._texts, inputs, options)
        how = EmbedOptions(
            prompt=texts.prompt,
            prompt_name=options.prompt_name,  # for the adapter of that name
            dimensions=options.dimensions,
            normalize=options.normalize,
            pooling="own",
        )
        dense = self._dense.call(inputs, how)
        if options.spans is not None and options.chunking != Chunking():
            param = "window" if options.chunking.window is not None else "overlap"
            msg = "spans say what the chunks are; give either them or the sizes of chunks"
            raise InvalidInput(msg, param=param)
        chunker = Chunker(self._tokenizer, texts.prompt, texts.max_tokens, options.chunking)
        if options.late:
            if not self._late:
                msg = "late chunking needs a model whose vectors are the mean of its tokens' states and nothing more"
                raise InvalidInput(msg, param="late")
            # A text that is longer than the model takes: a quarter of what a window holds of it lies in the next.
            whole = Chunker(self._tokenizer, texts.prompt, texts.max_tokens, Chunking(overlap=chunker.most_room // 4))
            return LateCall(inputs, self._tokenizer, whole, chunker, _checked(inputs, options.spans), dense)
        if options.spans is not None:
            msg = "spans are pooled from the states of the whole text; set late as well"
            raise InvalidInput(msg, param="spans")
        return ChunkCall(inputs, chunker, dense)


class ChunkCall:
    """One call whose chunks are embedded each by itself."""

    def __init__(self, inputs: Sequence[str], chunker: Chunker, dense: EmbedCall) -> None:
        self.inputs = inputs
        self._chunker = chunker
        self._dense = dense

    def prepare(self, inputs: Sequence[str], first: int) -> list[Prepared]:
        """A row for each chunk."""
        return [
            self._dense.row(piece.ids, index, piece)
            for index, text in enumerate(inputs, first)
            for piece in self._chunker.pieces(text, index)
        ]

    def finish(self, done: Done) -> Chunks:
        """The chunks of each input."""
        vectors = self._dense.shaped(done.outputs["dense"])
        chunks: list[list[Chunk]] = [[] for _ in self.inputs]
        for each, vector in zip(done.prepared, vectors, strict=True):
            piece: Piece = each.kept
            chunks[each.index].append(Chunk(piece.start, piece.end, piece.last - piece.first, vector))
        return _answer(chunks, done)


class LateCall:
    """One call whose chunks are pooled from the states of their whole text.

    A text longer than the model takes runs in overlapping windows; each token's state is that of the window in whose middle it
    stands more.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        tokenizer: Tokenizer,
        whole: Chunker,
        chunker: Chunker,
        spans: Sequence[Places] | None,
        dense: EmbedCall,
    ) -> None:
        self.inputs = inputs
        self._tokenizer = tokenizer
        self._whole = whole
        self._chunker = chunker
        self._spans = spans
        self._dense = dense

    def prepare(self, inputs: Sequence[str], first: int) -> list[Prepared]:
        """A row for each text, or several for a long one."""
        prepared: list[Prepared] = []
        for index, text in enumerate(inputs, first):
            located = self._tokenizer.locate(text, index)
            if self._spans is None:
                self._chunker.firsts(located, index)  # too many are refused before anything is computed
            for piece in self._whole.parted(located, index):
                row = self._dense.row(piece.ids, index, (piece, located))
                prepared.append(replace(row, row=replace(row.row, outputs=("tokens",))))
        return prepared

    def finish(self, done: Done) -> Chunks:
        """The chunks of each input, each the mean of its tokens' states."""
        windows: list[list[tuple[Piece, Floats]]] = [[] for _ in self.inputs]
        texts: dict[int, Located] = {}
        for each, states in zip(done.prepared, done.outputs["tokens"], strict=True):
            piece, texts[each.index] = each.kept
            windows[each.index].append((piece, states))
        chunks = [self._pooled(self._joined(own), texts[index], index) for index, own in enumerate(windows)]
        return _answer(chunks, done)

    def _joined(self, parts: Sequence[tuple[Piece, Floats]]) -> Floats:
        """The states of a text's own tokens (tokens, features), from its windows in their order."""
        joined, before = [], self._whole.before
        for place, (piece, states) in enumerate(parts):
            begin = piece.first if place == 0 else (parts[place - 1][0].last + piece.first) // 2
            end = piece.last if place == len(parts) - 1 else (piece.last + parts[place + 1][0].first) // 2
            joined.append(states[before + begin - piece.first : before + end - piece.first])
        return np.concatenate(joined)

    def _pooled(self, states: Floats, located: Located, index: int) -> list[Chunk]:
        if self._spans is None:
            pieces = self._chunker.parted(located, index)
            places = np.array([(piece.start, piece.end) for piece in pieces])
            firsts, lasts = np.array([piece.first for piece in pieces]), np.array([piece.last for piece in pieces])
        else:
            places = self._spans[index]
            firsts, lasts = _tokens_of(located, places)
        if not len(places):
            return []
        sums = np.concatenate([np.zeros((1, states.shape[1]), np.float64), np.cumsum(states, axis=0, dtype=np.float64)])
        means = (sums[lasts] - sums[firsts]) / np.maximum(1, lasts - firsts)[:, None]
        vectors = self._dense.shaped(means.astype(np.float32))
        return [
            Chunk(start, end, tokens, vector)
            for (start, end), tokens, vector in zip(places.tolist(), (lasts - firsts).tolist(), vectors, strict=True)
        ]


def _tokens_of(located: Located, places: Places) -> tuple[Places, Places]:
    """For each span the first token that stands for at least one of the characters, and the one behind the last."""
    firsts = np.searchsorted(located.ends, places[:, 0], side="right")
    lasts = np.searchsorted(located.starts, places[:, 1], side="left")
    return firsts, np.maximum(firsts, lasts)


def _checked(inputs: Sequence[str], spans: object) -> Sequence[Places] | None:
    """The spans of each text; raises InvalidInput where they are not such, or not of these texts."""
    if spans is None:
        return None
    if not isinstance(spans, Sequence | np.ndarray) or isinstance(spans, str):
        msg = f"spans are of type {type(spans).__name__}; give for each input a list of pairs of characters"
        raise InvalidInput(msg, param="spans")
    if len(spans) != len(inputs):
        msg = f"there are spans for {len(spans)} inputs, but {len(inputs)} inputs"
        raise InvalidInput(msg, param="spans")
    return [_places(text, own, index) for index, (text, own) in enumerate(zip(inputs, spans, strict=True))]


def _places(text: str, own: Any, index: int) -> Places:
    """A text's spans as whole numbers (spans, 2)."""
    if isinstance(own, Sized) and len(own) > MOST_CHUNKS:
        msg = f"input {index} has {len(own)} spans; at most {MOST_CHUNKS} are embedded of one: part the text"
        raise InvalidInput(msg, param="spans", index=index)
    try:
        places = np.array(own)
    except ValueError:  # lists of unlike lengths
        places = np.array(None)
    if places.shape in ((0,), (0, _AXES)):
        return np.zeros((0, 2), np.int64)
    if places.dtype.kind not in "iu" or places.ndim != _AXES or places.shape[1] != _AXES:
        msg = (
            f"the spans of input {index} must be a list of pairs of whole numbers: the first character of each, "
            "and the one behind its last, such as [(0, 14), (15, 34)]"
        )
        raise InvalidInput(msg, param="spans", index=index)
    starts, ends = places.T
    wrong = np.flatnonzero((starts < 0) | (starts >= ends) | (ends > len(text)))
    if len(wrong):
        start, end = places[wrong[0]]
        msg = f"input {index} has {len(text)} characters; the span {start} to {end} is no part of it"
        raise InvalidInput(msg, param="spans", index=index)
    return places.astype(np.int64)


def _answer(chunks: Sequence[Sequence[Chunk]], done: Done) -> Chunks:
    owners = [each.index for each in done.prepared]
    tokens = np.bincount(owners, done.tokens, minlength=len(chunks)).astype(int)
    return Chunks(
        chunks=tuple(tuple(each) for each in chunks),
        tokens=tuple(tokens.tolist()),
        truncated=(False,) * len(chunks),
        timings=done.timings,
        cached=done.cached,
    )
