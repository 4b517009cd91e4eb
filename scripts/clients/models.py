"""``python -m scripts.clients.models FOLDER``: a reranker, a classifier, a SPLADE and one with prompts, tiny and from a seed, with MiniLM's vocabulary."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any, Final

import torch  # noqa: TID253 - it makes checkpoints
import transformers  # noqa: TID253 - as above

from textmill.checkpoint.hub import resolve
from textmill.testing.checkpoints import tiny_bert

SHAPE: Final = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
LABELS: Final = ("joy", "anger", "fear")
TOKENIZER: Final = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")


def main(folder: Path) -> None:
    """Write them."""
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {label: index for index, label in enumerate(LABELS)}}
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "rerank": (transformers.BertForSequenceClassification, {"num_labels": 1}),
        "classify": (transformers.BertForSequenceClassification, names),
        "sparse": (transformers.BertForMaskedLM, {}),
    }
    source = resolve("all-MiniLM-L6-v2").folder
    for name, (kind, more) in kinds.items():
        torch.manual_seed(7)
        kind(transformers.BertConfig(**SHAPE, **more, initializer_range=0.3)).save_pretrained(folder / name)
        for file in TOKENIZER:
            if (source / file).is_file():
                shutil.copy(source / file, folder / name / file)
    tiny_bert(folder / "roles", prompts={"query": "search: ", "document": "passage: "})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
