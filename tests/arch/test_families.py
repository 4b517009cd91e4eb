"""What every architecture does with a damaged checkpoint, and with one that another library saved in its own manner.

The cases are those of tests/golden/architectures, so that a new architecture is judged here by having one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from textmill.arch.config import parse_config
from textmill.arch.families import architecture, heads_of
from textmill.arch.heads import Head, Output
from textmill.arch.ops import DType, Inputs, Tensor
from textmill.arch.program import Program, build
from textmill.arch.shapes import Shape, ShapeOps, check
from textmill.errors import ModelBroken
from textmill.runtimes.runtime import Row, Target, compile_program
from textmill.testing.seeded import seeded_tensors

GOLDEN = Path(__file__).parents[1] / "golden" / "architectures"
CASES = sorted(path.stem for path in GOLDEN.glob("*.json"))
HEADS: dict[str, tuple[Output, str | None]] = {
    "states": ("tokens", None),
    "logits": ("logits", "classifier"),
    "token_logits": ("token_logits", "token_classifier"),
    "vocabulary": ("token_logits", "language_model"),
}
BIASED = ("albert", "bert", "deberta_v2", "distilbert", "electra", "jina_bert", "jina_code", "mpnet", "roberta")
"""Architectures whose layers always have a bias."""
PREFIXES = {
    "albert": ("albert.",),
    "bert": ("bert.",),
    "deberta_v2": ("deberta.",),
    "distilbert": ("distilbert.",),
    "electra": ("electra.",),
    "eurobert": ("model.",),
    "gte": ("", "gte.", "new."),
    "jina_bert": ("bert.",),
    "jina_code": ("bert.",),
    "jina_embeddings_v3": ("roberta.",),
    "modernbert": ("model.",),
    "nomic_bert": ("", "bert.", "nomic_bert."),
    "mpnet": ("mpnet.",),
    "qwen3": ("model.",),
    "roberta": ("roberta.", "camembert.", "xlm-roberta."),
}
"""By architecture, what checkpoints of a model with a head put in front of its names."""


def facts_of(name: str) -> dict[str, Any]:
    """A case as scripts/golden.py stored it, without its tensors."""
    facts: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return facts


@dataclass
class Stored:
    """A case as scripts/golden.py stored it, with its tensors in memory."""

    config: dict[str, Any]
    kind: str
    tensors: dict[str, Tensor]

    @classmethod
    def read(cls, name: str) -> Stored:
        facts = facts_of(name)
        seeded = seeded_tensors(facts["shapes"], facts["seed"], around=facts.get("around", 1.0))
        tensors = {name: Tensor(data, "float32", name) for name, data in seeded.items()}
        return cls(facts["config"], facts["kind"], tensors)

    @property
    def module(self) -> Any:
        return architecture(self.config)

    @property
    def architecture(self) -> str:
        name: str = self.module.__name__
        return name.rpartition(".")[2]

    @property
    def output(self) -> Output:
        return HEADS[self.kind][0]

    def build(self, tensors: Mapping[str, Tensor] | None = None) -> Program:
        make = HEADS[self.kind][1]
        heads: tuple[Head, ...] = ()
        if make is not None:
            heads = heads_of(self.module, parse_config(self.module.Config, self.config), make)
        return build(self.config, self.tensors if tensors is None else tensors, {self.output: heads})

    def read_names(self) -> list[str]:
        """The checkpoint's tensors that the program reads."""
        ops, index = ShapeOps(), Shape((), "token", "the input")
        self.build().run(ops, Inputs(index, index, index, index))
        return [name for name in self.tensors if name in ops.read]

    def sanitized(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        plain: Mapping[str, Tensor] = self.module.sanitize(parse_config(self.module.Config, self.config), tensors)
        return plain

    def places(self, name: str) -> list[str]:
        """The names that the architecture has for a tensor, or for parts of it."""
        return [here for here, tensor in self.sanitized(self.tensors).items() if tensor.name == name]

    def may_lack(self, name: str, rest: Mapping[str, Tensor]) -> bool:
        """Whether a tensor is a bias that the architecture takes where there is one, or a decoder that the words stand in for."""
        places = self.places(name)
        of_a_head = all(place.startswith(tuple(self.module.OPTIONAL)) for place in places)
        if name.endswith("bias"):
            return of_a_head or self.architecture not in BIASED
        return of_a_head and all(place in self.sanitized(rest) for place in places)


@pytest.fixture(params=CASES)
def stored(request: pytest.FixtureRequest) -> Stored:
    return Stored.read(request.param)


def failure(program: Callable[[], Program], damage: str) -> str:
    try:
        check(program())
    except ModelBroken as error:
        return str(error)
    pytest.fail(f"accepted with {damage}")


def test_whole_it_is_accepted(stored: Stored) -> None:
    assert list(check(stored.build())) == [stored.output]


def test_without_any_one_of_its_tensors_it_is_refused_by_that_name(stored: Stored) -> None:
    for name in stored.read_names():
        rest = {other: tensor for other, tensor in stored.tensors.items() if other != name}
        if stored.may_lack(name, rest):
            continue
        message = failure(lambda rest=rest: stored.build(rest), f"no {name}")  # type: ignore[misc]
        assert any(f"has no tensor {place};" in message for place in stored.places(name)), f"{name}: {message}"


def test_with_a_tensor_of_a_wrong_shape_it_is_refused_by_that_name(stored: Stored) -> None:
    for name in stored.read_names():
        tensor = stored.tensors[name]
        for axis in range(len(tensor.shape)):
            # How many labels a head without a bias has, only the labels of config.json say; the recipe compares them.
            if not tensor.shape[axis] or (name == "score.weight" and axis == 0):
                continue
            cut = tensor.data.take(range(1, tensor.shape[axis]), axis=axis)
            damaged = {**stored.tensors, name: Tensor(cut, "float32", name)}
            message = failure(lambda damaged=damaged: stored.build(damaged), f"{name} cut on axis {axis}")  # type: ignore[misc]
            assert name in message, f"{name} cut on axis {axis}: {message}"


def test_with_a_layer_too_many_it_is_refused_by_its_name(stored: Stored) -> None:
    numbered = [name for name in stored.read_names() if re.search(r"\.\d+\.", name)]
    extra = re.sub(r"\.\d+\.", ".99.", numbered[-1], count=1) if numbered else "strange.99.weight"
    damaged = {**stored.tensors, extra: Tensor(np.zeros((2, 2), np.float32), "float32", extra)}
    message = failure(lambda: stored.build(damaged), extra)
    assert f"tensor {extra} has no place" in message


def test_with_a_strange_tensor_it_is_refused_by_that_name(stored: Stored) -> None:
    extra = "strange.weight"
    damaged = {**stored.tensors, extra: Tensor(np.zeros((2, 2), np.float32), "float32", extra)}
    assert "tensor strange.weight has no place" in failure(lambda: stored.build(damaged), extra)


def halved(tensor: Tensor, dtype: DType) -> tuple[Tensor, Tensor]:
    """A tensor at half precision, and the same values at float32."""
    if dtype == "float16":
        short = tensor.data.astype(np.float16)
        return Tensor(short, dtype, tensor.name), Tensor(short.astype(np.float32), "float32", tensor.name)
    bits = (tensor.data.view(np.uint32) >> 16).astype(np.uint16)
    wide = (bits.astype(np.uint32) << 16).view(np.float32).reshape(tensor.shape)
    return Tensor(bits.reshape(tensor.shape), dtype, tensor.name), Tensor(wide, "float32", tensor.name)


def states(runtime_name: str, program: Program, vocabulary: int) -> npt.NDArray[np.float32]:
    runtime = compile_program(runtime_name, program, Target(max_tokens=16, dtype="float32", threads=1, batch_tokens=16))
    row = Row(np.arange(7, dtype=np.int32) % vocabulary, outputs=("tokens",))
    return cast("npt.NDArray[np.float32]", runtime.forward([row])["tokens"][0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", [name for name in CASES if facts_of(name)["kind"] == "states"])
def test_prefixed_and_at_half_precision_it_answers_the_same(name: str, dtype: DType) -> None:
    stored = Stored.read(name)
    pairs = {name: halved(tensor, dtype) for name, tensor in stored.tensors.items()}
    prefixes = PREFIXES.get(stored.architecture, ("",))
    any_prefix = re.compile("|".join(f"^{re.escape(prefix)}" for prefix in prefixes))
    program, *others = [
        stored.build({prefix + any_prefix.sub("", name): short for name, (short, _) in pairs.items()})
        for prefix in prefixes
    ]
    for other in others:  # the same numbers under the same names are the same program
        assert list(other.tensors) == list(program.tensors)
        for here, there in zip(other.tensors.values(), program.tensors.values(), strict=True):
            assert here.dtype == there.dtype
            np.testing.assert_array_equal(here.data, there.data)
    vocabulary = stored.config["vocab_size"]
    wide = stored.build({name: wide for name, (_, wide) in pairs.items()})
    expected = states("torch", wide, vocabulary)  # which OpenVINO would take thirty times as long to compile
    assert check(program)["tokens"].axes == expected.shape[1:]
    np.testing.assert_allclose(states("openvino", program, vocabulary), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("bert", "position_embedding_type", "alibi", "position_embedding_type 'alibi'.*'relative_key_query'"),
        ("bert", "is_decoder", True, "is_decoder True"),
        ("roberta", "is_decoder", True, "is_decoder True"),
        ("roberta", "pad_token_id", 63, "max_position_embeddings behind pad_token_id 0; it must be above zero"),
        ("roberta", "pad_token_id", "1", "pad_token_id '1'; the roberta architecture needs type int"),
        ("distilbert", "n_heads", 5, "dim 32 and n_heads 5; the second must divide the first"),
        ("distilbert", "activation", "quick_gelu", "activation 'quick_gelu'"),
        ("mpnet", "relative_attention_num_buckets", 16, "relative_attention_num_buckets 16.*it runs 32"),
        ("electra", "embedding_size", 0, "embedding_size 0; it must be above zero"),
        ("albert", "inner_group_num", 0, "inner_group_num 0; it must be above zero"),
        (
            "albert",
            "position_embedding_type",
            "relative_key",
            "position_embedding_type 'relative_key'.*it runs 'absolute'",
        ),
        ("jina_bert", "position_embedding_type", "absolute", "position_embedding_type 'absolute'.*it runs 'alibi'"),
        ("jina_bert", "feed_forward_type", "swiglu", "feed_forward_type 'swiglu'.*'original', 'geglu', 'reglu'"),
        ("jina_code", "feed_forward_type", "swiglu", "feed_forward_type 'swiglu'"),
        ("deberta_v3", "pos_att_type", "p2p", "pos_att_type 'p2p'"),
        ("deberta_v3", "pos_att_type", [], "pos_att_type .*needs one for relative_attention"),
        ("deberta_v3", "norm_rel_ebd", "rms", "norm_rel_ebd 'rms'"),
        ("deberta_v3", "position_buckets", 1, "position_buckets 1"),
        ("deberta_v3", "position_buckets", 62, "position_buckets 62"),
        ("deberta_v2_xlarge", "conv_kernel_size", 4, "conv_kernel_size 4.*odd"),
        ("deberta_v2_xlarge", "conv_groups", 5, "hidden_size 32 and conv_groups 5"),
        ("deberta_v2_xlarge", "conv_act", "quick_gelu", "conv_act 'quick_gelu'"),
        ("deberta_v3", "attention_head_size", 4, "attention_head_size 4"),
    ],
)
def test_a_setting_that_is_not_run_is_named_with_its_value(name: str, key: str, value: object, message: str) -> None:
    stored = Stored.read(name)
    stored.config[key] = value
    with pytest.raises(ModelBroken, match=message):
        stored.build()


@pytest.mark.parametrize(
    ("name", "positions"),
    [
        ("bert", 64),
        ("bert_relative_key", 40),
        ("roberta", 62),
        ("mpnet", 62),
        ("distilbert", 64),
        ("jina_bert", None),
        ("deberta_v3", None),
        ("deberta_v2_plain", 64),
    ],
)
def test_rows_are_as_long_as_the_positions_reach(name: str, positions: int | None) -> None:
    assert Stored.read(name).build().config.positions == positions


OWN = "jinaai/jina-bert-implementation--"
CODE = "jinaai/jina-bert-v2-qk-post-norm--"
LOCAL = {"AutoModel": "modeling_bert.JinaBertModel"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"auto_map": {"AutoModel": f"{OWN}modeling_bert.JinaBertModel"}}, "jina_bert"),
        ({"auto_map": {"AutoConfig": "mine.Config", "AutoModel": f"{CODE}modeling_bert.JinaBertModel"}}, "jina_code"),
        ({"auto_map": {"AutoConfig": f"{OWN}configuration_bert.JinaBertConfig"}}, "jina_bert"),
        ({"_name_or_path": "jinaai/jina-bert-v2-qk-post-norm"}, "jina_code"),
        ({"_name_or_path": "google-bert/bert-base-uncased"}, "bert"),
        ({"auto_map": {"AutoConfig": "configuration.MyConfig"}}, "bert"),
        ({}, "bert"),
    ],
)
def test_a_repository_with_code_that_was_written_anew_is_known(config: dict[str, Any], expected: str) -> None:
    assert architecture({"model_type": "bert", **config}).__name__ == f"textmill.arch.{expected}"


@pytest.mark.parametrize("name", ["jinaai/jina-bert-implementation", "somebody/else"])
def test_code_beside_the_model_is_refused_wherever_it_came_from(name: str) -> None:
    with pytest.raises(ModelBroken, match=r"auto_map.AutoModel 'modeling_bert.JinaBertModel'.*never runs"):
        architecture({"model_type": "bert", "_name_or_path": name, "auto_map": LOCAL})


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in CASES
        if facts_of(name)["kind"] != "states" and getattr(architecture(facts_of(name)["config"]), "BIASED", False)
    ],
)
def test_a_head_without_its_bias_is_refused(name: str) -> None:
    stored = Stored.read(name)
    output, make = HEADS[stored.kind]
    assert make is not None
    heads = heads_of(stored.module, parse_config(stored.module.Config, stored.config), make)
    whole = build(stored.config, stored.tensors, {output: heads})
    body = ShapeOps()
    whole.states(body, Inputs(*[Shape((), "token", "the input")] * 4))
    biases = [tensor.name for tensor in whole.tensors.values() if tensor.name not in body.read]
    for bias in [each for each in biases if each.endswith(("bias", "beta"))]:
        kept = {key: tensor for key, tensor in stored.tensors.items() if key != bias}
        with pytest.raises(ModelBroken, match="has no tensor"):
            check(build(stored.config, kept, {output: heads}))
