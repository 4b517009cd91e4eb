"""Grammars for OpenVINO GenAI: the bytes of a vocabulary as xgrammar wants them, and a place to try a grammar before it counts.

In GenAI a grammar is compiled within a step of all texts, and one that cannot be breaks them all; so it is compiled for a model of no
weights before. Both pipelines have one tokenizer, and with it one cache of compiled grammars.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import openvino as ov  # noqa: TID253 - one of the files that own the framework
import openvino_genai as genai  # noqa: TID253 - as above
from openvino import Type  # noqa: TID253 - as above
from openvino import opset15 as op  # noqa: TID253 - as above
from openvino.utils.node_factory import NodeFactory  # noqa: TID253 - as above

from textmill.errors import InvalidInput
from textmill.runtimes.genai_messages import Rule

_WHERE = re.compile(r"^\[[\d:]+\] \S+:\d+: ")
"""What xgrammar puts before its sentences: when, and at which line of its own."""
_MOST = 300
_HEADS, _WIDTH = 1, 16


def vocabulary_of(tokens: Sequence[bytes], size: int, end: int) -> Any:
    """A tokenizer of GenAI's that knows the bytes of its tokens and ``end``, and nothing else: texts are cut elsewhere."""
    filled = [*tokens[:size], *[b""] * (size - len(tokens))]
    stops = np.cumsum([len(each) for each in filled]).astype(np.int32)
    starts = np.concatenate([np.zeros(1, np.int32), stops[:-1]])
    # A constant of no elements cannot be written to a file.
    chars = np.frombuffer(b"".join(filled) or b"\0", np.uint8)
    ids = op.parameter([-1, -1], Type.i64)
    factory = NodeFactory("opset15")
    factory.add_extension(_extension())
    # GenAI's own passes expect the tokens that are left out as a slice.
    left_out = op.slice(_ints(end), _ints(0), _ints(np.iinfo(np.int32).max), _ints(1))
    inputs = [op.convert(ids, "i32"), *(op.constant(each) for each in (starts, stops, chars)), left_out]
    decoder = factory.create("VocabDecoder", [each.output(0) for each in inputs])
    decoder.set_friendly_name("VocabDecoder")
    pieces = decoder.outputs()
    begins, ends = factory.create("FuzeRagged", pieces[:4]).outputs()
    text = op.string_tensor_pack(begins, ends, pieces[4])
    with TemporaryDirectory(prefix="textmill-") as folder:
        place = Path(folder)
        ov.save_model(ov.Model([text], [ids], "words"), str(place / "openvino_detokenizer.xml"), compress_to_fp16=False)
        names = ("eos_token_id", "bos_token_id", "pad_token_id")
        (place / "config.json").write_text(json.dumps(dict.fromkeys(names, end)), encoding="utf-8")
        return genai.Tokenizer(str(place))


class Trial:
    """Tries grammars for a tokenizer of so many tokens."""

    def __init__(self, tokenizer: Any, size: int) -> None:
        self._tokenizer = tokenizer
        self._size = size
        self._pipeline: Any = None
        self._tried = 0

    def refuse(self, rule: Rule) -> None:
        """Raise InvalidInput, with xgrammar's reason, for a rule that cannot be."""
        if self._pipeline is None:
            self._pipeline = _empty(self._tokenizer, self._size)
        config = genai.GenerationConfig()
        config.max_new_tokens = 1
        self._tried += 1
        try:
            config.structured_output_config = structured(rule)
            handle = self._pipeline.add_request(self._tried, ov.Tensor(np.zeros((1, 1), np.int64)), config)
            self._pipeline.step()
            del handle
        except (RuntimeError, ValueError, TypeError) as error:
            self._pipeline = None  # a step that failed leaves it in no state to go on
            told = _WHERE.sub("", next(iter(str(error).strip().splitlines()), ""))[:_MOST]
            what = "the grammar" if rule.kind == "grammar" else "the schema"
            msg = f"{what} cannot be used: {told}"
            raise InvalidInput(msg, param="grammar" if rule.kind == "grammar" else "response_format") from error


def structured(rule: Rule) -> Any:
    """A rule in GenAI's words."""
    if rule.kind == "grammar":
        return genai.StructuredOutputConfig(grammar=rule.text)
    return genai.StructuredOutputConfig(structural_tags_config=rule.text)


def _empty(tokenizer: Any, size: int) -> Any:
    """A pipeline whose model gives the same score to each token."""
    with TemporaryDirectory(prefix="textmill-") as folder:
        ov.save_model(_zeros(size), str(Path(folder) / "openvino_model.xml"))
        scheduler = genai.SchedulerConfig()
        scheduler.cache_size, scheduler.num_kv_blocks = 0, 4
        return genai.ContinuousBatchingPipeline(folder, tokenizer, scheduler, "CPU", INFERENCE_NUM_THREADS=1)


def _zeros(size: int) -> Any:
    """One layer of attention over nothing, and logits of 0."""
    inputs = [op.parameter([-1, -1], Type.i64, name=name) for name in ("input_ids", "attention_mask", "position_ids")]
    inputs.append(op.parameter([-1], Type.i32, name="beam_idx"))
    for each in inputs:
        each.output(0).set_names({each.get_friendly_name()})
    ids, mask, positions, beam = inputs
    nothing = op.multiply(op.convert(op.add(ids, positions), "f32"), op.constant(np.float32(0)))
    states = op.multiply(op.unsqueeze(nothing, _long(-1)), op.constant(np.zeros((1, 1, _WIDTH), np.float32)))
    heads = op.unsqueeze(states, _long(1))
    batch = op.gather(op.shape_of(ids), _long(0), op.constant(np.int64(0)))
    past, sinks = [], []
    for name in ("key", "value"):
        variable = f"past_key_values.0.{name}present.0.{name}"
        empty = op.broadcast(op.constant(np.float32(0)), op.concat([batch, _long(_HEADS, 0, _WIDTH)], 0))
        read = op.read_value(empty, variable, Type.f32, ov.PartialShape([-1, _HEADS, -1, _WIDTH]))
        whole = op.concat([op.gather(read, beam, op.constant(np.int64(0))), heads], -2)
        sinks.append(op.assign(whole, variable))
        past.append(whole)
    seen = op.convert(op.unsqueeze(mask, _long(1, 2)), "f32")
    states = op.squeeze(op.scaled_dot_product_attention(heads, *past, seen, op.constant(np.float32(1))), _long(1))
    logits = op.matmul(states, op.constant(np.zeros((size, _WIDTH), np.float32)), transpose_a=False, transpose_b=True)
    logits.output(0).set_names({"logits"})
    return ov.Model([op.result(logits, name="logits")], sinks, inputs, "nothing")


def _extension() -> Path:
    """The library of openvino_tokenizers. Its Python package is not imported: it changes OpenVINO's classes."""
    spec = find_spec("openvino_tokenizers")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    found = [file for folder in folders for file in (Path(folder) / "lib").glob("*openvino_tokenizers*")]
    if not found:
        msg = "the library of the package openvino-tokenizers is missing; install it again"
        raise RuntimeError(msg)
    return found[0]


def _ints(value: int) -> Any:
    return op.constant(np.array([value], np.int32))


def _long(*values: int) -> Any:
    return op.constant(np.array(values, np.int64))
