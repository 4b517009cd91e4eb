"""From the folder of a model to its runtime, its tokenizer and its chat template, as transformers reads them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch  # noqa: TID253 - one of the files that own the framework
import transformers  # noqa: TID253 - as above
from safetensors import SafetensorError

from textmill.contract import Sampling
from textmill.errors import ConfigInvalid, ExtraMissing, ModelBroken
from textmill.runtimes.causal import CausalRuntime
from textmill.runtimes.causal_grammar import Grammars
from textmill.runtimes.causal_words import TokenizerWords
from textmill.runtimes.torch_device import find
from textmill.runtimes.writing import WriterFacts

_log = logging.getLogger("textmill")

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_BITS = {"bnb_8bit": "load_in_8bit", "bnb_4bit": "load_in_4bit"}
_UNLIMITED = 1 << 20
"""From so many tokens on a tokenizer's limit means that it has none."""
_CONTEXT = 4096
"""What LocalAI takes where neither the model nor its file says how much it takes."""
_PACKAGES = {
    "gptq": ("gptqmodel", "optimum", "accelerate"),
    "awq": ("gptqmodel", "accelerate"),
    "bitsandbytes": ("bitsandbytes", "accelerate"),
}
"""What quantised weights need, by their method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterTarget:
    """Where and how to run. ``context`` None is the model's own, ``quantization`` one of bnb_8bit and bnb_4bit, or empty."""

    device: str = "cpu"
    dtype: str = "auto"
    threads: int | None = None
    context: int | None = None
    quantization: str = ""


def open_writer(folder: Path, target: WriterTarget) -> tuple[CausalRuntime, TokenizerWords]:
    """The model in a folder, ready to write, and its tokenizer; blocks. Code of the folder is never run, pickles are never opened.

    ``dtype`` auto is bfloat16 where the device computes with it natively, else float32. ``threads`` count for the whole process. Raises
    ModelBroken, ConfigInvalid for a device, dtype or quantization that is not there, ExtraMissing for a package.
    """
    if target.quantization and target.quantization not in _BITS:
        msg = f"quantization is {target.quantization!r}; models of transformers can be quantised as they load by {', '.join(_BITS)}"
        raise ConfigInvalid(msg)
    device = find(target.device)
    dtype = _dtype(target.dtype, device)
    if target.threads is not None:
        torch.set_num_threads(target.threads)
    transformers.logging.disable_progress_bar()  # the server's log is no terminal
    with _explained(folder):
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = _model(folder, target, dtype, device, getattr(config, "quantization_config", None))
    inner = config.get_text_config()
    words = TokenizerWords(tokenizer)
    vocabulary = max(int(inner.vocab_size), len(tokenizer))
    facts = WriterFacts(
        architecture=type(model).__name__,
        device=str(device),
        dtype=target.quantization or str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        context=_context(inner, tokenizer, target.context),
        vocabulary=int(inner.vocab_size),
        ends=_ends(model, tokenizer, int(inner.vocab_size)),
        sampling=_sampling(model.generation_config),
    )
    grammars = Grammars(tokenizer.backend_tokenizer.to_str(), vocabulary, facts.ends)
    return CausalRuntime(model, facts, grammars, facts.context), words


def _model(folder: Path, target: WriterTarget, dtype: torch.dtype, device: torch.device, packed: Any) -> Any:
    options: dict[str, Any] = {"dtype": dtype, "use_safetensors": True, "local_files_only": True}
    method = (
        ""
        if packed is None
        else str(packed.get("quant_method", "") if isinstance(packed, dict) else packed.quant_method)
    )
    if target.quantization and not method:
        method = "bitsandbytes"
        _need(folder, method)  # before its config asks for it
        options["quantization_config"] = _bits(target.quantization, dtype)
    if method:
        _need(folder, method)
        options["device_map"] = {"": str(device)}
    model, told = transformers.AutoModelForCausalLM.from_pretrained(
        folder, trust_remote_code=False, output_loading_info=True, **options
    )
    missing = sorted(told["missing_keys"])
    if missing:
        msg = f"{folder} lacks weights of {type(model).__name__}: {', '.join(missing[:3])}"
        raise ModelBroken(msg)
    model.eval()
    return model if method else model.to(device)


def _need(folder: Path, method: str) -> None:
    """Raise ExtraMissing where a package is not installed that weights of the method need."""
    missing = [name for name in _PACKAGES.get(method, ("accelerate",)) if find_spec(name) is None]
    if missing:
        msg = (
            f"{folder.name} is quantised by {method}, which needs {', '.join(missing)}: pip install {' '.join(missing)}"
        )
        raise ExtraMissing(msg)


def _bits(name: str, dtype: torch.dtype) -> Any:
    key = _BITS[name]
    return transformers.BitsAndBytesConfig(**{key: True}, bnb_4bit_compute_dtype=dtype)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn what transformers raises about a folder into our errors."""
    try:
        yield
    except ImportError as error:
        how = f": pip install {error.name}" if error.name else ""
        msg = f"{folder.name} needs a package that is not installed{how} ({_line(error)})"
        raise ExtraMissing(msg) from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        msg = f"transformers does not load {folder}: {_line(error)}"
        raise ModelBroken(msg) from error


def _line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        name = "bfloat16" if _has_bfloat16(device) else "float32" if device.type == "cpu" else "float16"
    if name not in _DTYPES:
        msg = f"dtype is {name!r}, which models of transformers do not run in; they have {', '.join(_DTYPES)}"
        raise ConfigInvalid(msg)
    return _DTYPES[name]


def _has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16 by itself."""
    if device.type == "cuda":
        return bool(torch.cuda.get_device_capability(device) >= (8, 0))
    abilities: Mapping[str, Any] = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return device.type == "cpu" and any(abilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _context(config: Any, tokenizer: Any, wanted: int | None) -> int:
    own = next((int(value) for name in _LIMITS if (value := getattr(config, name, None))), 0)
    if not own and tokenizer.model_max_length < _UNLIMITED:
        own = int(tokenizer.model_max_length)
    if own and wanted and wanted > own:
        _log.warning("context_size is %d, and the model takes %d tokens; that is taken", wanted, own)
    return min(own or wanted or _CONTEXT, wanted or own or _CONTEXT)


_LIMITS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")


def _ends(model: Any, tokenizer: Any, vocabulary: int) -> frozenset[int]:
    """The tokens that end a text, as the model's files have them."""
    found: set[int] = set()
    for each in (
        model.generation_config.eos_token_id,
        model.config.get_text_config().eos_token_id,
        tokenizer.eos_token_id,
    ):
        found |= {int(each)} if isinstance(each, int) else {int(id_) for id_ in each or ()}
    return frozenset(id_ for id_ in found if 0 <= id_ < vocabulary)


def _sampling(stated: Any) -> Sampling:
    """What generation_config.json says of sampling."""
    repeat = getattr(stated, "repetition_penalty", None)
    if not getattr(stated, "do_sample", None):
        return Sampling(repeat_penalty=repeat)
    return Sampling(
        temperature=stated.temperature,
        top_p=stated.top_p,
        top_k=stated.top_k,
        min_p=stated.min_p,
        typical_p=stated.typical_p,
        repeat_penalty=repeat,
    )
