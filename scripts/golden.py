"""Write tests/golden: what the reference libraries answer, so that tests need neither them nor the network.

`make golden` installs the dependency group `golden` and runs it; `python -m scripts.golden architectures` computes only the tiny
architectures of `scripts.reference`. Each answer is a pair of files: NAME.json has the inputs, the seed, the
libraries' versions and the sha256 of the weights; NAME.safetensors has the vectors, float32.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sentence_transformers as st
import torch  # noqa: TID253 - the reference runs on it
import transformers  # noqa: TID253 - it is the reference
from safetensors.numpy import save_file
from scripts.reference.case import SEED
from scripts.reference.cases import CASES
from sentence_transformers.sentence_transformer import modules

from textmill.checkpoint.hub import resolve
from textmill.checkpoint.tensors import weights_sha256
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3

GOLDEN = Path(__file__).parent.parent / "tests" / "golden"
LENGTHS = (1, 3, 8, 17, 40)
PROMPT_TOKENS = 2
POOLINGS = (
    "cls",
    "mean",
    "max",
    "mean_sqrt_len_tokens",
    "weightedmean",
    "lasttoken",
    "cls+mean",
    "max+lasttoken+weightedmean",
)
CHAIN_WIDTH = 12

Features = dict[str, Any]
Vectors = npt.NDArray[np.float32]

_PROSE = (
    "The mill stood where the river bent, and its wheel had not turned since the winter of the great flood. "
    "Children dared each other to touch the door; nobody stayed long enough to hear the water under the floor. "
    "Every spring the miller's granddaughter came with a ladder, a tin of paint and a list of repairs that grew. "
    "She counted the slates, wrote the number in a notebook, and sent the bill to an office that never answered. "
)

# ruff: noqa: RUF001 - letters of other scripts look like Latin ones, and are here for it
TEXTS = (
    "",
    " ",
    " \t\n ",
    "a",
    ".",
    "hello world",
    "Hello, World!",
    "HELLO WORLD",
    "What is deep learning?",
    "Deep learning is a branch of machine learning with many layers.",
    "The cat sat on the mat.",
    "the the the the the the the the the the",
    "https://example.org/a/very/long/path?query=text&lang=en#section-2",
    "Write to mill@example.org or call +49 (0)30 1234-5678.",
    "3.14159 2.71828 1.41421 1,000,000 -273.15 0x1F 6.022e23",
    "2026-01-31T23:59:59Z",
    "def embed(texts: list[str]) -> np.ndarray:\n    return model.encode(texts)",
    "SELECT name FROM mills WHERE river = 'Spree' ORDER BY year;",
    '{"key": ["value", 1, null, true]}',
    "naïve café, façade, Ångström, Łódź, straße, œuvre",
    "nai\u0308ve cafe\u0301",
    "你好，世界。这是一个句子。",
    "吾輩は猫である。名前はまだ無い。",
    "안녕하세요, 세계",
    "مرحبا بالعالم، كيف حالك؟",
    "שלום עולם",
    "नमस्ते दुनिया, आप कैसे हैं?",
    "Привет, мир! Как дела?",
    "Γειά σου Κόσμε",
    "สวัสดีชาวโลก",
    "🙂 👩‍👩‍👧‍👦 🇩🇪 ✈️ 🤷🏽‍♀️",
    "I ❤️ mills 🏭 and rivers 🌊!",
    "before\x00after",
    "zero\u200bwidth\ufeffjoined",
    "\u202eright to left override",
    "[CLS] [SEP] [MASK] [PAD] [UNK] as plain text",
    "supercalifragilisticexpialidocious" * 4,
    "x" * 300,
    _PROSE,
    _PROSE + _PROSE[:300],
    _PROSE * 2,
    _PROSE * 5,
    "river " * 400,
    "水" * 400,
)


def main() -> None:
    """Write all golden files."""
    torch.set_num_threads(1)  # sums in one order, whatever the machine
    (GOLDEN / "architectures").mkdir(parents=True, exist_ok=True)
    if sys.argv[1:] == ["architectures"]:
        architectures()
        return
    minilm(resolve("all-MiniLM-L6-v2", offline=True).folder)
    with tempfile.TemporaryDirectory() as folder:
        tiny("tiny_bert", tiny_bert, Path(folder))
        tiny("tiny_qwen3", tiny_qwen3, Path(folder))
    architectures()


def architectures() -> None:
    """What transformers makes of rows of ids on each case, with the shapes that its checkpoint has."""
    folder = GOLDEN / "architectures"
    for case in CASES:
        model = case.reference()
        facts = {
            "kind": case.kind,
            "config": case.config(),
            "shapes": case.shapes(model),
            "rows": case.rows(),
            "types": case.segments(),
            "adapter": case.adapter,
            "around": case.around,
        }
        write(case.name, facts, {case.kind: case.answers(model)}, folder)


def minilm(folder: Path) -> None:
    """What sentence-transformers makes of the texts, with the ids of its tokeniser."""
    model = st.SentenceTransformer(str(folder), device="cpu")
    vectors = np.stack([model.encode(text) for text in TEXTS])
    ids = [model.preprocess([text])["input_ids"][0].tolist() for text in TEXTS]
    facts = {"weights_sha256": weights_sha256(folder), "texts": TEXTS, "ids": ids}
    write("all_minilm_l6_v2", facts, {"vectors": vectors})


def tiny(name: str, make: Callable[[Path], Path], parent: Path) -> None:
    """What transformers and the modules of sentence-transformers make of rows of ids on a tiny checkpoint."""
    folder = make(parent / name)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    rng = np.random.default_rng(SEED)
    rows = [rng.integers(0, model.config.vocab_size, length).tolist() for length in LENGTHS]
    types = [[0] * (length // 2) + [1] * (length - length // 2) for length in LENGTHS]
    features = token_states(model, rows, types if hasattr(model.config, "type_vocab_size") else None)
    width = model.config.hidden_size
    answers = {how: pooled(features, width, how) for how in POOLINGS}
    # Without its shortest row, which is all prompt.
    later = {key: value[1:] for key, value in features.items()} | {"prompt_length": PROMPT_TOKENS}
    answers |= {f"{how} without prompt": pooled(later, width, how) for how in POOLINGS}
    facts = {"weights_sha256": weights_sha256(folder), "rows": rows, "types": types, "prompt_tokens": PROMPT_TOKENS}
    write(name, facts, answers | chain(features, width, rng))


def token_states(model: Any, rows: list[list[int]], types: list[list[int]] | None) -> Features:
    """The features that sentence-transformers' Transformer module would hand on, rows padded on the right."""
    longest = max(map(len, rows))

    def padded(values: list[list[int]]) -> torch.Tensor:
        return torch.tensor([value + [0] * (longest - len(value)) for value in values])

    mask = padded([[1] * len(row) for row in rows])
    segments = {} if types is None else {"token_type_ids": padded(types)}
    with torch.no_grad():
        states = model(input_ids=padded(rows), attention_mask=mask, **segments).last_hidden_state
    return {"token_embeddings": states, "attention_mask": mask}


def pooled(features: Features, width: int, how: str) -> Vectors:
    """Pool in one mode or several, prompts left out where the features have some."""
    pooling = modules.Pooling(width, pooling_mode=tuple(how.split("+")), include_prompt=False)
    answer: Vectors = pooling(dict(features))["sentence_embedding"].numpy()
    return answer


def chain(features: Features, width: int, rng: np.random.Generator) -> dict[str, Vectors]:
    """Mean, Dense with tanh, LayerNorm, Dense without bias, Normalize; and the weights of those, by the paths of their heads."""
    wide = {
        "dense.linear.weight": rng.normal(size=(CHAIN_WIDTH, width)),
        "dense.linear.bias": rng.normal(size=CHAIN_WIDTH),
        "layer_norm.norm.weight": rng.normal(size=CHAIN_WIDTH),
        "layer_norm.norm.bias": rng.normal(size=CHAIN_WIDTH),
        "plain.linear.weight": rng.normal(size=(CHAIN_WIDTH, CHAIN_WIDTH)),
    }
    weights = {name: value.astype(np.float32) for name, value in wide.items()}
    heads = {
        "pooling": modules.Pooling(width, pooling_mode="mean"),
        "dense": modules.Dense(width, CHAIN_WIDTH, activation_function=torch.nn.Tanh()),
        "layer_norm": modules.LayerNorm(CHAIN_WIDTH),
        "plain": modules.Dense(CHAIN_WIDTH, CHAIN_WIDTH, bias=False, activation_function=None),
        "normalize": modules.Normalize(),
    }
    torch.nn.ModuleDict(heads).load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    state: Features = dict(features)
    with torch.no_grad():
        for head in heads.values():
            state = head(state)
    return weights | {"chain": state["sentence_embedding"].numpy()}


def write(name: str, facts: dict[str, Any], arrays: dict[str, Vectors], folder: Path = GOLDEN) -> None:
    """Write one pair of files."""
    libraries = ("sentence-transformers", "transformers", "torch", "numpy")
    head = {"versions": {library: version(library) for library in libraries}, "seed": SEED}
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=True)}" for key, value in (head | facts).items()]
    (folder / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    save_file(
        {key: np.ascontiguousarray(value, np.float32) for key, value in arrays.items()}, folder / f"{name}.safetensors"
    )


if __name__ == "__main__":
    main()
