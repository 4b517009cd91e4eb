"""Names of backends in model files, as LocalAI has or had them: which engine each means, and what it says about the model.

Names go by lower case; a prefix such as ``cuda12-`` and a suffix such as ``-cpu`` or ``-development``, which LocalAI has for builds
of one backend, are left out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from textmill.folder.remote import DOES
from textmill.folder.remote_presets import PRESETS

Engine = Literal["ours", "transformers", "openvino-genai", "gguf", "remote", "vllm", "python", "external", "elsewhere"]
"""``ours`` are textmill's runtimes, ``transformers`` and ``openvino-genai`` write text by those libraries, ``remote`` is a server elsewhere, ``vllm`` one that is
started, ``python`` an object of the operator's own code, ``external`` a process that speaks LocalAI's gRPC, ``elsewhere`` an engine of other software."""

NAME = re.compile(r"[A-Za-z0-9_.-]+")

_BUILD = re.compile(
    r"^(?:(?:cpu|metal|nvidia|rocm|hip|vulkan|intel|sycl|cuda\d*|l4t|arm64|darwin|x86)(?:-(?:sycl|l4t|f16|f32|\d+))*-)+"
)
_VARIANT = re.compile(
    r"(?:-(?:development|master|latest|cpu|cuda\d*|metal|vulkan|hipblas|rocm|sycl(?:_f16|_f32)?|intel|avx|avx2|avx512|fallback|grpc))+$"
)


@dataclass(frozen=True, slots=True)
class Backend:
    """What a name means. ``task`` is what every model of it does, ``type`` a class of transformers that it implies, ``runtime`` one of ours.

    ``instead`` is what to do where the engine is not a part of textmill, or not for this backend. ``writes`` is false of servers elsewhere
    that textmill has embed and rank only.
    """

    name: str
    engine: Engine
    task: str = ""
    type: str = ""
    runtime: str = ""
    instead: str = ""
    writes: bool = True


_TEXT_INSTEAD = (
    "for embeddings and reranking textmill runs the model itself; for text generation take a GGUF file of the model, or run {} as a "
    "server of its own"
)
_GPTQ_INSTEAD = "it is for GPTQ and EXL2 weights; take the unquantised model or a GGUF file of it"
_GGML_INSTEAD = "it ran ggml files, the format before GGUF; take a GGUF file of the model"


def _elsewhere(name: str, instead: str) -> Backend:
    return Backend(name, "elsewhere", instead=instead)


_OWN_PROTOCOL = (
    "it has a protocol of its own, which this version of textmill does not speak; backend: remote speaks OpenAI's, which Anthropic has "
    "at base_url:https://api.anthropic.com/v1"
)
_SERVICES = {
    "palm": "Google has switched PaLM off; its successor is Gemini: take backend: gemini with the key in GEMINI_API_KEY",
    "gradient": "the service is gone; for open models take backend: together or backend: fireworks, or run them here without a backend",
    "anyscale": "its public endpoints are closed; for open models take backend: together or backend: fireworks, or run them here without a "
    "backend",
    "llmrails": "the service is not known to answer any more; take backend: openai, voyage or cohere. Where it does, take backend: remote with "
    "base_url:https://api.llmrails.com/v1, api_key_header:X-API-KEY, api_key_env and inputs_per_request:1",
    "sagemaker": "its endpoints want requests that AWS's keys have signed, which textmill does not make; take backend: remote with a gateway "
    "of OpenAI's protocol in front of the endpoint, or run the model in textmill, whose POST /invocations and GET /ping make it a container "
    "for SageMaker",
}
"""What to do instead of services that are gone, or that ask for what textmill does not have."""
_LIBRARIES = {
    "fastembed": "it is a library that runs ONNX models, which textmill does itself: take the model's repository with backend: onnx",
    "langchain": "it is a wrapper around other engines; take the backend of the model inside",
    "custom": "it is a class of one's own in LlamaIndex; take backend: python for an object, backend: remote for a server of one's own",
}
"""What to do instead of libraries that other software has for backends."""
_MEDIA_INSTEAD = "it is for images or sound, and textmill serves text"
_MEDIA = (
    *(
        "stablediffusion",
        "stablediffusion-ggml",
        "diffusers",
        "whisper",
        "faster-whisper",
        "piper",
        "bark",
        "bark-cpp",
        "coqui",
        "kokoro",
    ),
    *("silero-vad", "vall-e-x", "parler-tts", "musicgen", "transformers-musicgen", "chatterbox", "rfdetr", "tinydream"),
)

_KNOWN = (
    *(Backend(name, "gguf") for name in ("llama-cpp", "ik-llama-cpp", "turboquant", "bonsai", "ds4", "rwkv")),
    Backend("transformers", "ours"),
    Backend("sentencetransformers", "ours", type="SentenceTransformer"),
    Backend("bert-embeddings", "ours", task="embed"),
    Backend("rerankers", "ours", task="rerank"),
    Backend("onnx", "ours", runtime="onnx"),
    Backend("openvino", "ours", runtime="openvino"),
    Backend("torch", "ours", runtime="torch"),
    Backend("mamba", "ours", type="Mamba"),
    *(
        _elsewhere(name, _TEXT_INSTEAD.format(called))
        for name, called in (
            *(("vllm-omni", "vLLM"), ("vllm-cpp", "vLLM"), ("sglang", "SGLang"), ("mlx", "MLX")),
            *(("mlx-vlm", "MLX"), ("mlx-distributed", "MLX"), ("tinygrad", "tinygrad"), ("petals", "Petals")),
        )
    ),
    *(_elsewhere(name, _GPTQ_INSTEAD) for name in ("autogptq", "exllama", "exllama2")),
    *(
        _elsewhere(name, _GGML_INSTEAD)
        for name in ("gpt4all", "gptj", "gpt2", "dolly", "mpt", "replit", "starcoder", "falcon", "gptneox", "bloomz")
    ),
    *(_elsewhere(name, _MEDIA_INSTEAD) for name in _MEDIA),
    Backend("vllm", "vllm"),
    Backend("python", "python"),
    *(Backend(name, "remote", writes="chat" in DOES[preset.dialect]) for name, preset in PRESETS.items()),
    Backend("anthropic", "remote", instead=_OWN_PROTOCOL),
    *(Backend(name, "remote", instead=instead, writes=False) for name, instead in _SERVICES.items()),
    *(_elsewhere(name, instead) for name, instead in _LIBRARIES.items()),
)
_ALIASES = {
    **dict.fromkeys(
        ("llama", "go-llama", "llama-ggml", "llama-stable", "llama.cpp", "llamacpp", "gguf", "ggml"), "llama-cpp"
    ),
    **dict.fromkeys(("llama-grammar", "llama-cpp-embeddings"), "llama-cpp"),
    **dict.fromkeys(("ik-llama", "ik_llama", "ik_llama_cpp"), "ik-llama-cpp"),
    **dict.fromkeys(("bert", "bert.cpp", "bert-cpp"), "bert-embeddings"),
    **dict.fromkeys(
        ("sentence-transformers", "sentence_transformers", "huggingface-embeddings", "huggingface"),
        "sentencetransformers",
    ),
    **dict.fromkeys(("auto-gptq", "gptq"), "autogptq"),
    **dict.fromkeys(("exllamav2", "exllama-2"), "exllama2"),
    **dict.fromkeys(("reranker", "cross-encoder", "crossencoder"), "rerankers"),
    **dict.fromkeys(("gpt4all-llama", "gpt4all-mpt", "gpt4all-j"), "gpt4all"),
    **dict.fromkeys(("langchain-huggingface", "hf-inference"), "huggingface-inference"),
    **dict.fromkeys(("openai-compatible", "openai_compatible"), "remote"),
    **dict.fromkeys(("text-embeddings-inference",), "tei"),
    **dict.fromkeys(("azure-openai", "azure_openai"), "azure"),
    **dict.fromkeys(("fireworks-ai",), "fireworks"),
    **dict.fromkeys(("google", "google-gemini"), "gemini"),
    **dict.fromkeys(("google-palm",), "palm"),
    **dict.fromkeys(("jinaai", "jina-ai"), "jina"),
    **dict.fromkeys(("mistralai",), "mistral"),
    **dict.fromkeys(("together-ai", "togetherai"), "together"),
    **dict.fromkeys(("voyageai", "voyage-ai"), "voyage"),
    **dict.fromkeys(("ov",), "openvino"),
    **dict.fromkeys(("onnxruntime", "ort"), "onnx"),
    **dict.fromkeys(("pytorch",), "torch"),
    **dict.fromkeys(("rwkv.cpp", "rwkv-cpp"), "rwkv"),
}
BACKENDS: Mapping[str, Backend] = MappingProxyType({backend.name: backend for backend in _KNOWN})
"""Every backend by its usual name."""
NAMES = (*BACKENDS, *_ALIASES)
"""Every name that a model file may have for one, without those of builds."""

GENERATION = "it writes text, which this version of textmill does not do yet; it embeds, ranks and classifies"
"""Said of models that write and whose form or backend cannot do so here."""


def names_of(backend: Backend) -> tuple[str, ...]:
    """Every name of a backend, the usual one first."""
    return (backend.name, *(name for name, usual in _ALIASES.items() if usual == backend.name))


@dataclass(frozen=True, slots=True)
class Unknown:
    """A name that means no backend, with the nearest one that does, or an empty text."""

    name: str
    nearest: str = field(default="")


def find_backend(name: str) -> Backend | Unknown:
    """What a backend's name means, in any case and with what stands for a build around it."""
    word = name.strip().lower()
    for spelling in (word, _VARIANT.sub("", word), _BUILD.sub("", word), _VARIANT.sub("", _BUILD.sub("", word))):
        known = BACKENDS.get(_ALIASES.get(spelling, spelling))
        if known is not None:
            return known
    near = difflib.get_close_matches(word, NAMES, n=1)
    return Unknown(name, near[0] if near else "")


def outside(name: str, known: Backend | Unknown) -> Backend:
    """A process of that name; where textmill knows a backend by it, models are for the same."""
    return (
        Backend(name, "external")
        if isinstance(known, Unknown)
        else replace(known, name=name, engine="external", instead="")
    )


def missing(backend: Backend) -> str | None:
    """Why no model of the backend can be served, or None: which engine is needed, and what to do."""
    if backend.engine == "elsewhere":
        return f"the backend is no part of textmill; {backend.instead}"
    return backend.instead or None
