"""Tiny llama models as GGUF files, for llama.cpp: one of seeded weights, and some that say what they are told to say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from textmill.testing.gguf_model import Tensors, Value, write_model
from textmill.testing.gguf_templates import CHAT
from textmill.testing.gguf_vocabulary import IM_END, MARKS, MERGED, Vocabulary, chat_vocabulary, spelt
from textmill.testing.seeded import seeded_tensors

_MARGIN = 200.0
"""The logit of what comes next. It leads by 60: no temperature that is in use lets another token through."""
_HEAD = 32
_MARKS = tuple(mark.encode() for mark in MARKS)


def llama_gguf(
    path: Path,
    *,
    seed: int = 0,
    context: int = 4096,
    layers: int = 2,
    width: int = 64,
    template: str | None = CHAT,
    add_bos: bool = False,
    words: Sequence[bytes] = (),
) -> Path:
    """Write a llama of seeded weights with heads of 32, whose text means nothing; returns ``path``.

    Its tokens are bytes, some merges and the marks of a chat. ``width`` is a multiple of 64; ``template`` None leaves it out. With
    ``words`` these are tokens too, no prompt has one, and at temperature 0 it writes nothing else and never ends.
    """
    vocabulary = chat_vocabulary(words, add_bos=add_bos)
    heads = width // _HEAD
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (len(vocabulary.tokens), width)}
    for layer in range(layers):
        shapes |= _layer(layer, width, width, width // 2, 2 * width)
    shapes |= {"output_norm.weight": (width,), "output.weight": (len(vocabulary.tokens), width)}
    tensors = seeded_tensors(shapes, seed)
    if words:
        tensors["output.weight"][: -len(words)] = 0  # the best of many words is above 0
    keys = _keys(context, layers, width, (heads, heads // 2), 2 * width, template)
    return write_model(path, "llama", keys, vocabulary, tensors)


def chain_gguf(
    path: Path,
    text: str | Sequence[bytes],
    *,
    then_eos: bool = True,
    context: int = 4096,
    template: str | None = CHAT,
    add_bos: bool = False,
) -> Path:
    """Write a llama that answers every prompt with ``text`` and then ends, at any temperature; returns ``path``.

    Only a prompt that ends with a mark of the text is answered with what follows the mark. The text is cut into the tokens that `chain_pieces` gives; pieces of one's own are distinct and of two bytes or more. Without
    ``then_eos`` the text begins again; where the end is forbidden, a quote stands between. Under a grammar each string holds the
    text, and all else takes a short way to the end. Raises ValueError for a text that cannot be cut.
    """
    pieces = chain_pieces(text.encode()) if isinstance(text, str) else list(text)
    if not pieces or len({*pieces, *MERGED}) < len(pieces) + len(MERGED) or min(map(len, pieces)) < 2:  # noqa: PLR2004
        msg = f"{text!r} has no pieces, or one that occurs twice, is of one byte or a token of prompts"
        raise ValueError(msg)
    vocabulary = chat_vocabulary([piece for piece in pieces if piece not in _MARKS], add_bos=add_bos)
    chain = [_index(vocabulary, piece) for piece in pieces]
    end = vocabulary.tokens.index(IM_END) if then_eos else chain[0]
    tensors = _chain_tensors(vocabulary, chain, end)
    keys = _keys(context, 1, tensors["output_norm.weight"].size, (1, 1), _HEAD, template)
    return write_model(path, "llama", keys, vocabulary, tensors)


def endless_gguf(
    path: Path, text: str = "on and on ", *, context: int = 4096, template: str | None = CHAT, add_bos: bool = False
) -> Path:
    """Write a llama that answers every prompt with ``text``, over and over; returns ``path``."""
    return chain_gguf(path, text, then_eos=False, context=context, template=template, add_bos=add_bos)


def chain_pieces(text: bytes) -> list[bytes]:
    """A text in distinct pieces of two bytes or more, each as short as those before it allow.

    The first of each of the marks of thoughts and calls is a piece, where what stands between them can be cut too. Raises
    ValueError for a text that cannot, as one of one byte.
    """
    runs: list[bytes] = []
    for part in _parts(text):
        if part in _MARKS and part not in runs:
            runs.append(part)
        elif runs and runs[-1] not in _MARKS:
            runs[-1] += part
        else:
            runs.append(part)
    try:
        return _cut_all(runs)
    except ValueError:
        return _cut_all([text])


def _parts(text: bytes) -> Iterator[bytes]:
    """The marks in a text and what stands between them."""
    found = min(((text.find(mark), mark) for mark in _MARKS if mark in text), default=None)
    if found is None:
        yield from [text] if text else []
        return
    start, mark = found
    if start:
        yield text[:start]
    yield mark
    yield from _parts(text[start + len(mark) :])


def _cut_all(runs: Sequence[bytes]) -> list[bytes]:
    pieces: list[bytes] = []
    for run in runs:
        if run in _MARKS:
            pieces.append(run)
        else:
            pieces += _cut(run, {*pieces, *MERGED})
    return pieces


def _cut(run: bytes, taken: set[bytes]) -> list[bytes]:
    """The pieces of a run, none of them taken; what is left over at its end joins the piece before it."""
    pieces: list[bytes] = []
    start = 0
    for end in range(2, len(run) + 1):
        piece = run[start:end]
        if len(piece) > 1 and piece not in taken:
            pieces.append(piece)
            taken.add(piece)
            start = end
    rest = run[start:]
    while rest and (len(rest) < 2 or rest in taken):  # noqa: PLR2004 - two bytes
        if not pieces:
            msg = f"{run!r} cannot be cut into pieces of two bytes or more that occur once"
            raise ValueError(msg)
        rest = pieces.pop() + rest
    return [*pieces, rest] if rest else pieces


def _index(vocabulary: Vocabulary, piece: bytes) -> int:
    return vocabulary.tokens.index(piece.decode() if piece in _MARKS else spelt(piece))


def _chain_tensors(vocabulary: Vocabulary, chain: Sequence[int], end: int) -> Tensors:
    """An embedding that says at which place of the chain a token stands, layers that change nothing, and the next token.

    Place 0 is every other token. After the norm a place's feature is the root of the width.
    """
    size = len(vocabulary.tokens)
    width = _HEAD * max(2, -(-(len(chain) + 1) // _HEAD))
    place = np.zeros(size, np.int64)
    place[list(chain)] = np.arange(1, len(chain) + 1)
    scale = 1 / width**0.5
    output = np.zeros((size, width), np.float32)
    for token, logit in _ways_out(vocabulary).items():
        output[token] = logit * scale
    for index, token in enumerate([*chain, end]):
        output[token, index] = _MARGIN * scale
    layer = {
        name: np.ones(shape, np.float32) if name.endswith("norm.weight") else np.zeros(shape, np.float32)
        for name, shape in _layer(0, width, _HEAD, _HEAD, _HEAD).items()
    }
    table = np.eye(width, dtype=np.float32)[place]
    return {
        "token_embd.weight": table,
        **layer,
        "output_norm.weight": np.ones(width, np.float32),
        "output.weight": output,
    }


def _ways_out(vocabulary: Vocabulary) -> dict[int, float]:
    """Smaller logits of what closes a JSON text, so that a grammar which forbids the chain comes to an end."""
    letters = {'"': 120.0, "}": 100.0, "]": 80.0, ":": 60.0, ",": 60.0, "0": 40.0, "{": 20.0}
    return {ord(letter): logit for letter, logit in letters.items()} | {vocabulary.tokens.index(IM_END): 140.0}


def _layer(index: int, width: int, queries: int, keys: int, wide: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a layer with their shapes, rows first."""
    shapes: dict[str, tuple[int, ...]] = {"attn_norm": (width,), "attn_q": (queries, width), "attn_k": (keys, width)}
    shapes |= {"attn_v": (keys, width), "attn_output": (width, queries), "ffn_norm": (width,)}
    shapes |= {"ffn_gate": (wide, width), "ffn_up": (wide, width), "ffn_down": (width, wide)}
    return {f"blk.{index}.{name}.weight": shape for name, shape in shapes.items()}


def _keys(
    context: int, layers: int, width: int, heads: tuple[int, int], wide: int, template: str | None
) -> dict[str, Value]:
    """The keys of a llama; ``heads`` are those of queries and of keys."""
    keys: dict[str, Value] = {"general.name": "tiny", ".context_length": context, ".embedding_length": width}
    keys |= {".block_count": layers, ".feed_forward_length": wide, ".rope.dimension_count": _HEAD}
    keys |= {".attention.head_count": heads[0], ".attention.head_count_kv": heads[1]}
    keys |= {".attention.key_length": _HEAD, ".attention.value_length": _HEAD, ".rope.freq_base": 10000.0}
    keys |= {".attention.layer_norm_rms_epsilon": 1e-6}
    return keys if template is None else {**keys, "tokenizer.chat_template": template}
