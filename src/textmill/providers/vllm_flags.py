"""The flags of ``vllm serve`` that a model file may give, with what each may be: none has code run, or files read elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from textmill.folder.location import HUB_ID, Refused, inside

_NUMBER_OR_WORD = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?[kKmMgGtT]?|[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", re.ASCII)
"""No path, and no name of a Python object: neither a slash nor a dot between letters."""
_OPERATION = re.compile(r"[+-]?[a-z0-9_]{1,63}", re.ASCII)
_NAME = re.compile(r"[\w][\w.-]{0,95}", re.ASCII)
_REVISION = re.compile(r"\w[\w./-]{0,95}", re.ASCII)
_EXECUTORS = ("ray", "mp", "uni", "external_launcher")

Check = Callable[[Any, Path], Any]
"""What a value becomes, with the models folder; raises NotAllowed."""


class NotAllowed(Exception):
    """What a model file may not say to vLLM; the message is a clause that follows a name and a colon."""


def plain(value: Any, _: Path) -> Any:
    """A number, a word, true or false."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and _NUMBER_OR_WORD.fullmatch(value):
        return value
    msg = "it can be a number or a word of letters, digits, - and _"
    raise NotAllowed(msg)


def numbers(value: Any, _: Path) -> list[int]:
    """Whole numbers, or one of them, which YAML and options may have as text."""
    given = value if isinstance(value, list | tuple) else [value]
    found = [str(each) for each in given]
    if not found or any(not each.isascii() or not each.isdigit() for each in found):
        msg = "it can be a list of whole numbers"
        raise NotAllowed(msg)
    return [int(each) for each in found]


def model(value: Any, root: Path) -> str:
    """A file or a folder below the models folder, as its whole path, or a repository of the hub."""
    if not isinstance(value, str) or not value:
        msg = "it can be a path below the models folder, or a repository such as owner/name"
        raise NotAllowed(msg)
    try:
        path = inside(value, root)
        there = path.exists()
    except (Refused, OSError) as error:
        raise NotAllowed(str(error)) from None
    if there:
        return str(path)
    if not HUB_ID.fullmatch(value):
        msg = f"there is no {value} in the models folder"
        raise NotAllowed(msg)
    if Path(value).exists():  # vLLM has the working folder of this process, and looks there first
        msg = f"vLLM would take {value} from the folder in which textmill was started, and not from the hub"
        raise NotAllowed(msg)
    return value


def path(value: Any, root: Path) -> str:
    """As `model`, and no repository."""
    found = model(value, root)
    if not Path(found).is_absolute():
        msg = f"there is no {found} in the models folder"
        raise NotAllowed(msg)
    return found


def _generation(value: Any, root: Path) -> str:
    return str(value) if value in ("auto", "vllm") else model(value, root)


def _executor(value: Any, _: Path) -> str:
    return _matching(value, re.compile("|".join(_EXECUTORS)), f"it can be {', '.join(_EXECUTORS)}")


def _revision(value: Any, _: Path) -> str:
    return _matching(value, _REVISION, "it can be a branch, a tag or a commit")


def _name(value: Any, _: Path) -> str:
    return _matching(value, _NAME, "it can be a name of letters, digits, _, - and .")


def _matching(value: Any, pattern: re.Pattern[str], otherwise: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise NotAllowed(otherwise)
    return value


def _operations(value: Any, _: Path) -> list[str]:
    otherwise = "it can be a list of operations, such as +rms_norm"
    if not isinstance(value, list | tuple):
        raise NotAllowed(otherwise)
    return [_matching(each, _OPERATION, otherwise) for each in value]


def _open(value: Any, root: Path) -> Any:
    """A table of any keys, whose values are plain, or lists and tables of such; for what is numbers to vLLM."""
    if isinstance(value, list | tuple):
        return [_open(each, root) for each in value]
    if not isinstance(value, Mapping):
        return plain(value, root)
    return {_name(key, root): _open(each, root) for key, each in value.items()}


def _switches(value: Any, _: Path) -> Any:
    """A table of switches and numbers."""
    if not isinstance(value, Mapping) or not all(isinstance(each, bool | int | float) for each in value.values()):
        msg = "it can be a table of true, false and numbers"
        raise NotAllowed(msg)
    return {_name(key, Path()): each for key, each in value.items()}


def _table(keys: Mapping[str, Check]) -> Check:
    def check(value: Any, root: Path) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            msg = f"it can be a table with {', '.join(sorted(keys))}"
            raise NotAllowed(msg)
        made = {}
        for key, each in value.items():
            if key not in keys:
                msg = f"of its keys a model file may give {', '.join(sorted(keys))}, and not {str(key)[:60]}"
                raise NotAllowed(msg)
            try:
                made[key] = keys[key](each, root)
            except NotAllowed as wrong:
                msg = f"{key}: {wrong}"
                raise NotAllowed(msg) from None
        return made

    return check


def _plain(words: str) -> dict[str, Check]:
    return dict.fromkeys(words.split(), plain)


PLAIN: frozenset[str] = frozenset(
    [
        "async-scheduling",
        "attention-backend",
        "block-size",
        "calculate-kv-scales",
        "chat-template-content-format",
        "config-format",
        "convert",
        "cpu-offload-gb",
        "data-parallel-size",
        "dbo-decode-token-threshold",
        "dbo-prefill-token-threshold",
        "decode-context-parallel-size",
        "disable-cascade-attn",
        "disable-chunked-mm-input",
        "disable-custom-all-reduce",
        "disable-hybrid-kv-cache-manager",
        "disable-log-stats",
        "disable-mm-preprocessor-cache",
        "disable-sliding-window",
        "dtype",
        "enable-auto-tool-choice",
        "enable-chunked-prefill",
        "enable-dbo",
        "enable-eplb",
        "enable-expert-parallel",
        "enable-lora",
        "enable-prefix-caching",
        "enable-prompt-tokens-details",
        "enforce-eager",
        "exclude-tools-when-tool-choice-none",
        "expert-placement-strategy",
        "fully-sharded-loras",
        "gpu-memory-utilization",
        "guided-decoding-backend",
        "guided-decoding-disable-additional-properties",
        "guided-decoding-disable-any-whitespace",
        "guided-decoding-disable-fallback",
        "kv-cache-dtype",
        "kv-cache-memory-bytes",
        "kv-sharing-fast-prefill",
        "language-model-only",
        "logprobs-mode",
        "long-prefill-token-threshold",
        "lora-dtype",
        "mamba-block-size",
        "mamba-cache-dtype",
        "mamba-ssm-cache-dtype",
        "max-cpu-loras",
        "max-cudagraph-capture-size",
        "max-logprobs",
        "max-long-partial-prefills",
        "max-lora-rank",
        "max-loras",
        "max-model-len",
        "max-num-batched-tokens",
        "max-num-partial-prefills",
        "max-num-seqs",
        "max-parallel-loading-workers",
        "max-seq-len-to-capture",
        "mm-encoder-tp-mode",
        "mm-processor-cache-gb",
        "mm-processor-cache-type",
        "model-impl",
        "num-gpu-blocks-override",
        "num-lookahead-slots",
        "num-redundant-experts",
        "optimization-level",
        "pipeline-parallel-size",
        "preemption-mode",
        "prefix-caching-hash-algo",
        "quantization",
        "reasoning-parser",
        "response-role",
        "return-tokens-as-token-ids",
        "rope-theta",
        "runner",
        "safetensors-load-strategy",
        "scheduling-policy",
        "seed",
        "skip-mm-profiling",
        "stream-interval",
        "swap-space",
        "task",
        "tensor-parallel-size",
        "tokenizer-mode",
        "tool-call-parser",
        "use-tqdm-on-load",
    ]
)
"""Flags whose value is a number or a word, or that are switches."""

SINGLE: Mapping[str, Check] = MappingProxyType(
    {
        **dict.fromkeys(PLAIN, plain),
        "chat-template": path,
        "tokenizer": model,
        "tokenizer-revision": _revision,
        "hf-config-path": model,
        "generation-config": _generation,
        "distributed-executor-backend": _executor,
    }
)
"""Flags of one value."""

_LORA = _table({"name": _name, "path": model, "base_model_name": _name})


def loras(value: Any, root: Path) -> list[dict[str, Any]]:
    """Adapters of low rank, as tables."""
    return [_LORA(each, root) for each in (value if isinstance(value, list | tuple) else [value])]


MANY: Mapping[str, Check] = MappingProxyType(
    {"lora-modules": loras, "cuda-graph-sizes": numbers, "cudagraph-capture-sizes": numbers}
)
"""Flags of several values, each an argument of its own."""

TABLES: Mapping[str, Check] = MappingProxyType(
    {
        "speculative-config": _table(
            {
                **_plain(
                    "method num_speculative_tokens draft_tensor_parallel_size quantization max_model_len enforce_eager "
                    "disable_by_batch_size disable_padded_drafter_batch prompt_lookup_max prompt_lookup_min "
                    "suffix_decoding_max_tree_depth suffix_decoding_max_cached_requests suffix_decoding_max_spec_factor "
                    "suffix_decoding_min_token_prob"
                ),
                "model": model,
                "revision": _revision,
            }
        ),
        "structured-outputs-config": _table(
            _plain(
                "backend disable_fallback disable_any_whitespace disable_additional_properties reasoning_parser "
                "enable_in_reasoning"
            )
        ),
        "compilation-config": _table(
            {
                **_plain(
                    "level mode use_inductor use_cudagraph cudagraph_mode cudagraph_num_of_warmups full_cuda_graph "
                    "cudagraph_specialize_lora max_cudagraph_capture_size"
                ),
                "cudagraph_capture_sizes": numbers,
                "compile_sizes": numbers,
                "custom_ops": _operations,
                "pass_config": _switches,
            }
        ),
        "eplb-config": _table(_plain("window_size step_interval num_redundant_experts log_balancedness")),
        "hf-overrides": _table(
            {
                **_plain("rope_theta max_position_embeddings sliding_window"),
                "rope_scaling": _open,
                "rope_parameters": _open,
            }
        ),
        "rope-scaling": _open,
        "limit-mm-per-prompt": _switches,
        "override-generation-config": _table(
            _plain("temperature top_p top_k min_p repetition_penalty max_new_tokens do_sample")
        ),
    }
)
"""Flags whose value is a table, JSON on the command line; a key of it may follow the flag behind a dot."""
