"""Which engine serves a model, and why none does: the weights decide where they are there, else the backend's name."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from textmill.folder.backends import GENERATION, Backend, Engine, missing
from textmill.folder.capabilities import WRITES, Capability
from textmill.folder.location import Location, nothing_there
from textmill.folder.weights import FOLDERS, Facts

HERE: tuple[Engine, ...] = ("ours", "transformers", "openvino-genai")
"""Engines that take the options of `textmill.load`."""
_PACKED = "the weights are {}, which textmill does not run; take the unquantised model, or a GGUF file of it"
_NOT_RUN = {
    "ggml": "the file is of ggml, the format before GGUF, which textmill does not run; take a GGUF file of the model, or for "
    "all-MiniLM-L6-v2 `backend: sentencetransformers` with `model: all-MiniLM-L6-v2`, whose vectors are exact",
    "gptq": _PACKED.format("quantised by GPTQ"),
    "awq": _PACKED.format("quantised by AWQ"),
    "exl2": _PACKED.format("quantised for ExLlamaV2"),
    "quantised": _PACKED.format("quantised"),
    "pickle": "the file is a pickle of PyTorch, which textmill never opens; take the model's safetensors, with config.json and "
    "tokenizer.json in one folder",
    "unknown": "neither weights nor a description of a model that textmill knows are there; a model is a GGUF file, or a folder with "
    "config.json, tokenizer.json and safetensors or ONNX files",
}

_NOT_VLLM = ("gguf", "ggml", "exl2", "pickle", "unknown")
"""Forms of weights that vLLM is not given."""
_NO_FILE = "a repository may have many GGUF files; name one, as OWNER/REPO/FILE.gguf"
_PACKED_FORMS = ("gptq", "awq", "quantised")
"""Forms of weights that transformers runs with a package for each."""
_WRITER_REFUSALS = {
    **dict.fromkeys(("onnx", "static"), GENERATION),
    "pickled": "the weights are pickles of PyTorch, which textmill never opens; take the model's safetensors",
}
"""Why models that write do not, by the form of their weights."""
_NOT_EXPORTED = (
    "{} is for a model in OpenVINO's form, and there is no openvino_model.xml; export it with `optimum-cli export openvino "
    "--model MODEL FOLDER`, or take type: AutoModelForCausalLM, which runs safetensors"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """An engine, the sentence why it was chosen, and the one why the model cannot be served, None where it can."""

    engine: Engine
    why: str
    refusal: str | None = None


def choose_engine(
    backend: Backend | None, location: Location, facts: Facts | None, can: Collection[Capability]
) -> Choice:
    """The engine of a model that can do that; ``backend`` is what its file names, ``facts`` what is known of its weights."""
    if backend is not None and backend.engine == "external":
        writes = set(can) & WRITES and not set(can) & {"embeddings", "rerank"}
        refusal = f"backend {backend.name}: {GENERATION}" if writes else None
        return Choice("external", f"backend is {backend.name}, a process of its own", refusal)
    if backend is not None and backend.engine in ("remote", "python"):
        return Choice(backend.engine, f"backend is {backend.name}", _needed(backend))
    if backend is not None and _is_for_vllm(backend, facts, can):
        missing_at = location.path if facts is None and not location.comes else None
        return Choice("vllm", "backend is vllm", nothing_there(missing_at) if missing_at is not None else None)
    if facts is not None:
        return _by_facts(backend, facts, can)
    if location.path is not None and not location.comes:
        engine: Engine = backend.engine if backend is not None else "ours"
        needed = _needed(backend) if backend is not None else None
        return Choice(engine, "nothing is at its path", needed or nothing_there(location.path))
    return _by_name(backend, location, can)


def _is_for_vllm(backend: Backend, facts: Facts | None, can: Collection[Capability]) -> bool:
    """Models that embed, rank or classify run here, whatever their file names."""
    return backend.engine == "vllm" and bool(set(can) & WRITES) and (facts is None or facts.form not in _NOT_VLLM)


def by_type(choice: Choice, kind: str, backend: Backend | None, facts: Facts | None) -> Choice:
    """The choice for a file whose `type` is that class of transformers: those of OpenVINO write with OpenVINO GenAI, and so does its backend."""
    named = f"type {kind}" if kind.startswith("OV") else ""
    if not named and backend is not None and backend.runtime == "openvino":
        named = f"backend {backend.name}"
    if choice.engine != "transformers" or not named:
        return choice
    if facts is None or facts.openvino:
        return Choice("openvino-genai", f"{choice.why}, and the file has {named}", None)
    return replace(choice, refusal=_NOT_EXPORTED.format(named))


def _by_facts(backend: Backend | None, facts: Facts, can: Collection[Capability]) -> Choice:
    if facts.form == "gguf":
        return Choice("gguf", "the file is GGUF")
    if facts.form in _NOT_RUN and not (set(can) & WRITES and facts.form in _PACKED_FORMS):
        named = backend is not None and backend.engine == "elsewhere" and facts.form != "unknown"
        refusal = _needed(backend) if named and backend is not None else _NOT_RUN[facts.form]
        return Choice("elsewhere", f"the weights are {facts.form}", refusal)
    form = facts.form if facts.form in (*FOLDERS, *_PACKED_FORMS) else "pickled"
    if set(can) & WRITES:
        return _writer(backend, f"the folder holds {form} weights of a model that writes", form)
    why = f"the folder holds {form} weights that textmill runs itself"
    return Choice("ours", why if backend is None else f"{why}, as backend {backend.name} would")


def _by_name(backend: Backend | None, location: Location, can: Collection[Capability]) -> Choice:
    named = location.path.name if location.path is not None else location.file or location.repo
    if named.lower().endswith((".gguf", ".bin", ".ggml")):
        return Choice("gguf", "the file is one of llama.cpp by its name")
    if location.path is not None:
        refusal = None if backend is None else _needed(backend)
        here = backend is None or backend.engine == "vllm"  # which is given what writes only
        return Choice(
            "ours" if here or backend is None else backend.engine, "the weights are downloaded first", refusal
        )
    if backend is not None and backend.engine == "gguf":
        return Choice("gguf", f"backend is {backend.name}", _NO_FILE)
    if set(can) & WRITES:
        return _writer(backend, "the repository's model writes")
    return Choice("ours", "the repository is one that textmill fetches and runs itself")


def _writer(backend: Backend | None, why: str, form: str = "safetensors") -> Choice:
    """A model of that form that generates text."""
    if backend is not None and backend.engine == "elsewhere":
        return Choice("elsewhere", f"{why}, and backend is {backend.name}", _needed(backend))
    if backend is not None and backend.engine == "gguf":
        return Choice(
            "gguf",
            f"{why}, and backend is {backend.name}",
            f"{backend.name} runs GGUF files, and this is none; take one",
        )
    return Choice("openvino-genai" if form == "openvino" else "transformers", why, _WRITER_REFUSALS.get(form))


def _needed(backend: Backend) -> str | None:
    """Why no model of a backend can be served, with its name; None where they can."""
    why = missing(backend)
    return None if why is None else f"backend {backend.name}: {why}"
