"""Tiny models that write, as folders of transformers: some of seeded weights, and one that says what it is told to say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain as joined
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from textmill.testing.checkpoints import write_json, write_safetensors
from textmill.testing.seeded import seeded_tensors

Family = Literal["llama", "qwen2", "gpt2", "mistral"]

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
MARKS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
"""Tokens that a reader sees."""
CHAT = """\
{%- if tools %}{{ '<|im_start|>system\\n# Tools\\n' + (tools | tojson) + '<|im_end|>\\n' }}{% endif %}
{%- for message in messages %}
{%- if message.role not in ('system', 'user', 'assistant', 'tool') %}{{ raise_exception('no such role') }}{% endif %}
{{- '<|im_start|>' + message.role + '\\n' + message.content }}
{%- for call in message.tool_calls or [] %}
{{- '<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' + (call.function.arguments | tojson) + '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% if thinking %}{{ '<think>\\n' }}{% endif %}{% endif %}
"""
"""ChatML with tools and calls in Hermes' words; the variable ``thinking`` opens reasoning."""

_MERGES = (("h", "e"), ("t", "he"), ("i", "n"), ("\u0120", "the"), ("r", "e"), ("o", "n"))
_MARGIN = 200.0
_WIDTH = 32


def write_tokenizer(
    folder: Path, extra: Sequence[bytes] = (), *, template: str | None = CHAT, special: Sequence[str] = ()
) -> Tokenizer:
    """Write a byte-level tokenizer that takes any text, with marks of a chat; no text that is encoded has a token of ``extra``."""
    letters = byte_letters()
    words = [*letters, *("".join(pair) for pair in _MERGES)]
    words += ["".join(letters[byte] for byte in piece) for piece in extra]
    tokenizer = Tokenizer(models.BPE({word: index for index, word in enumerate(words)}, list(_MERGES)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(each, special=True) for each in (END, START, STOP, *special)])
    tokenizer.add_tokens([AddedToken(each, special=False) for each in MARKS])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    told = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": STOP, "pad_token": END}
    write_json(folder / "tokenizer_config.json", {**told, **({} if template is None else {"chat_template": template})})
    return tokenizer


def tiny_writer(
    folder: Path,
    family: Family = "llama",
    *,
    seed: int = 0,
    context: int = 512,
    template: str | None = CHAT,
    window: int | None = None,
    special: Sequence[str] = (),
) -> Path:
    """Write a model of seeded weights whose text means nothing; returns ``folder``. ``window`` is Mistral's sliding one."""
    tokenizer = write_tokenizer(folder, template=template, special=special)
    size = tokenizer.get_vocab_size()
    config, shapes = _FAMILIES[family](size, context, window)
    tensors = seeded_tensors(shapes, seed)
    end = _id(tokenizer, STOP)
    _write(folder, {**config, "eos_token_id": end, "bos_token_id": None}, tensors, end)
    return folder


def saying_writer(
    folder: Path,
    text: str,
    *,
    then_end: bool = True,
    context: int = 512,
    template: str | None = CHAT,
    special: Sequence[str] = (),
) -> Path:
    """Write a llama that answers any prompt with ``text`` and then ends, or begins again; returns ``folder``.

    Where something else must be written, as under a grammar, it writes what ends JSON soonest.
    """
    parts = [part for part in re.split("|".join(map(re.escape, special)) or r"(?!)", text) if part]
    pieces = distinct_pieces(*(part.encode() for part in parts))
    tokenizer = write_tokenizer(folder, list(joined.from_iterable(pieces)), template=template, special=special)
    chain = _chain(tokenizer, text, pieces, special)
    end = _id(tokenizer, STOP)
    size = tokenizer.get_vocab_size()
    width = _WIDTH * max(2, -(-(len(chain) + 1) // _WIDTH))
    config, shapes = _llama(size, context, None, width=width, layers=1)
    tensors = {
        name: np.ones(shape, np.float32) if name.endswith("norm.weight") else np.zeros(shape, np.float32)
        for name, shape in shapes.items()
    }
    place = np.zeros(size, np.int64)
    place[chain] = np.arange(1, len(chain) + 1)
    tensors["model.embed_tokens.weight"] = np.eye(width, dtype=np.float32)[place]
    letters = byte_letters()
    output = tensors["lm_head.weight"]
    for letter, logit in {'"': 120.0, "}": 100.0, "]": 80.0, ":": 60.0, ",": 60.0, "0": 40.0, "{": 20.0}.items():
        output[letters.index(letter)] = logit / width**0.5
    output[end] = 140.0 / width**0.5
    for index, token in enumerate([*chain, end if then_end else chain[0]]):
        output[token, index] = _MARGIN / width**0.5
    _write(folder, {**config, "eos_token_id": end, "bos_token_id": None}, tensors, end)
    return folder


def _chain(tokenizer: Tokenizer, text: str, parts: Sequence[Sequence[bytes]], special: Sequence[str]) -> list[int]:
    """The tokens of a text whose parts between ``special`` tokens are in those pieces."""
    first = 256 + len(_MERGES)
    left = [list(range(first + start, first + start + len(part))) for start, part in _numbered(parts)]
    chain: list[int] = []
    marks = "|".join(map(re.escape, special)) or r"(?!)"
    for part in re.split(f"({marks})", text):
        if part in special:
            chain.append(_id(tokenizer, part))
        elif part:
            chain += left.pop(0)
    return chain


def _numbered(parts: Sequence[Sequence[bytes]]) -> Iterator[tuple[int, Sequence[bytes]]]:
    """The parts with how many pieces stand before each."""
    start = 0
    for part in parts:
        yield start, part
        start += len(part)


def distinct_pieces(*texts: bytes) -> list[list[bytes]]:
    """Texts in pieces of two bytes or more, none of which occurs twice or is a token of other texts."""
    taken = {"".join(pair).replace("\u0120", " ").encode() for pair in _MERGES}
    return [_cut(text, taken) for text in texts]


def _cut(text: bytes, taken: set[bytes]) -> list[bytes]:
    pieces: list[bytes] = []
    piece = b""
    for byte in text:
        piece += bytes([byte])
        if len(piece) > 1 and piece not in taken:
            pieces.append(piece)
            taken.add(piece)
            piece = b""
    while piece and (len(piece) < 2 or piece in taken):  # noqa: PLR2004 - two bytes
        piece = pieces.pop() + piece
    return [*pieces, piece] if piece else pieces


def byte_letters() -> list[str]:
    """The characters that byte-level vocabularies spell the bytes with, in the bytes' order (GPT-2's table)."""
    stay = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in stay]
    return [chr(byte) if byte in stay else chr(256 + others.index(byte)) for byte in range(256)]


def _id(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    assert found is not None  # noqa: S101 - it was put there
    return found


def _write(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[np.float32]], end: int) -> None:
    write_json(folder / "config.json", {**config, "torch_dtype": "float32"})
    write_json(folder / "generation_config.json", {"eos_token_id": end, "do_sample": False})
    write_safetensors(folder / "model.safetensors", tensors)


def _llama(
    size: int, context: int, window: int | None, *, width: int = 64, layers: int = 2, family: str = "llama"
) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """A model of Llama's kind: 4 heads, 2 of keys and values."""
    heads, keys, wide = 4, 2, 2 * width
    head = width // heads
    config = {
        "architectures": [f"{family.capitalize()}ForCausalLM"],
        "model_type": family,
        "vocab_size": size,
        "hidden_size": width,
        "intermediate_size": wide,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": keys,
        "head_dim": head,
        "hidden_act": "silu",
        "max_position_embeddings": context,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "sliding_window": window,
    }
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (size, width)}
    for layer in range(layers):
        at = f"model.layers.{layer}"
        shapes |= {
            f"{at}.self_attn.{name}_proj.weight": (out, width)
            for name, out in (("q", width), ("k", keys * head), ("v", keys * head), ("o", width))
        }
        if family == "qwen2":
            shapes |= {
                f"{at}.self_attn.{name}_proj.bias": (out,)
                for name, out in (("q", width), ("k", keys * head), ("v", keys * head))
            }
        shapes |= {f"{at}.mlp.gate_proj.weight": (wide, width), f"{at}.mlp.up_proj.weight": (wide, width)}
        shapes |= {f"{at}.mlp.down_proj.weight": (width, wide)}
        shapes |= {f"{at}.input_layernorm.weight": (width,), f"{at}.post_attention_layernorm.weight": (width,)}
    return config, shapes | {"model.norm.weight": (width,), "lm_head.weight": (size, width)}


def _gpt2(size: int, context: int, window: int | None) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    """GPT-2, whose positions are learnt."""
    del window
    width, layers = 64, 2
    config = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": size,
        "n_embd": width,
        "n_layer": layers,
        "n_head": 4,
        "n_positions": context,
        "tie_word_embeddings": True,
    }
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.wte.weight": (size, width),
        "transformer.wpe.weight": (context, width),
    }
    for layer in range(layers):
        at = f"transformer.h.{layer}"
        for name, out, into in (("attn.c_attn", 3, 1), ("attn.c_proj", 1, 1), ("mlp.c_fc", 4, 1), ("mlp.c_proj", 1, 4)):
            shapes |= {f"{at}.{name}.weight": (into * width, out * width), f"{at}.{name}.bias": (out * width,)}
        for name in ("ln_1", "ln_2"):
            shapes |= {f"{at}.{name}.weight": (width,), f"{at}.{name}.bias": (width,)}
    return config, shapes | {"transformer.ln_f.weight": (width,), "transformer.ln_f.bias": (width,)}


_FAMILIES = {
    "llama": _llama,
    "qwen2": lambda size, context, window: _llama(size, context, window, family="qwen2"),
    "mistral": lambda size, context, window: _llama(size, context, window, family="mistral"),
    "gpt2": _gpt2,
}
