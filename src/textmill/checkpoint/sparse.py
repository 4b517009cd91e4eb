"""Models that weigh the vocabulary: SPLADE in the layouts of sentence-transformers, and any masked language model on demand."""

from __future__ import annotations

from pathlib import Path

from textmill.arch.families import heads_of
from textmill.arch.heads import Activate, Head, Pooling
from textmill.checkpoint.jsonfile import JsonFile
from textmill.checkpoint.kind import Kind, SparseFacts
from textmill.checkpoint.modules import MODULES, class_name
from textmill.checkpoint.source import Source
from textmill.errors import ModelBroken


def read_splade(source: Source) -> Kind | None:
    """A SparseEncoder of sentence-transformers, or a masked language model that is asked to be pooled as SPLADE."""
    if source.model.get("model_type", str, "") == "SparseEncoder":
        return Kind(outputs={"sparse": _modules(source)}, sparse=SparseFacts(_static_queries(source)))
    if source.ask.pooling == "splade" or source.ask.task == "embed_sparse":
        if not source.trained_as.endswith("ForMaskedLM"):
            msg = (
                f"{source.config.path}: architectures is {source.trained_as or 'not given'}; SPLADE pooling needs a model "
                "trained as a masked language model (…ForMaskedLM)"
            )
            raise ModelBroken(msg)
        return Kind(outputs={"sparse": _heads(source, "max", "relu")}, sparse=SparseFacts())
    return None


def _modules(source: Source) -> tuple[Head, ...]:
    names = [class_name(module, source.folder) for module in source.modules]
    if names not in (["MLMTransformer", "SpladePooling"], ["Transformer", "SpladePooling"]):
        msg = (
            f"{source.folder / MODULES} lists {', '.join(names)}; textmill runs sparse models of a masked language model "
            "and a SpladePooling"
        )
        raise ModelBroken(msg)
    task = source.settings.get("transformer_task", str, "fill-mask")
    if task != "fill-mask":
        msg = f"{source.settings.path}: transformer_task is {task!r}; a sparse model needs 'fill-mask'"
        raise ModelBroken(msg)
    file = JsonFile.read(source.folder / source.modules[1].path / "config.json")
    return _heads(source, file.get("pooling_strategy", str, "max"), file.get("activation_function", str, "relu"), file)


def _heads(source: Source, strategy: str, function: str, file: JsonFile | None = None) -> tuple[Head, ...]:
    """Scores of the vocabulary, pooled; log(1 + relu(x)) keeps the order of scores, so a maximum may be taken first."""
    where = "the model" if file is None else str(file.path)
    if strategy not in ("max", "sum") or function not in ("relu", "log1p_relu"):
        msg = f"{where}: pooling_strategy {strategy!r} with activation_function {function!r} is not something that textmill runs"
        raise ModelBroken(msg)
    scores = heads_of(source.architecture, source.parsed, "language_model")
    weigh = (Activate("log1p_relu"),) * (2 if function == "log1p_relu" else 1)
    return (*scores, Pooling(("max",)), *weigh) if strategy == "max" else (*scores, *weigh, Pooling(("sum",)))


def _static_queries(source: Source) -> Path | None:
    if not source.query_modules:
        return None
    names = [class_name(module, source.folder) for module in source.query_modules]
    if names != ["SparseStaticEmbedding"]:
        msg = (
            f"{source.folder / MODULES} embeds queries with {', '.join(names)}; textmill runs one model for both sides, or a "
            "SparseStaticEmbedding for queries"
        )
        raise ModelBroken(msg)
    return source.folder / source.query_modules[0].path
