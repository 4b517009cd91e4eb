"""The entries of ``options`` in a model file, ``KEY:VALUE`` texts of the backend: which there are, and what they say."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from textmill.folder.state import ACTS, GGUF, IDLE

_GGUF = f"comes with {GGUF}"


@dataclass(frozen=True, slots=True)
class BackendOption:
    """An option: its ``names``, the usual one first, its state as fields have one, and what it means."""

    names: tuple[str, ...]
    state: str
    means: str


OPTIONS = (
    BackendOption(("pooling", "pooling_type"), ACTS, "As `parameters.pooling`; the two must agree"),
    BackendOption(
        ("embd_normalize",),
        ACTS,
        "2 scales vectors to length one, -1 leaves them, 0 makes the largest value 32,760, any other number is the p of a norm; "
        "a request's `normalize` comes first",
    ),
    BackendOption(("use_jinja", "jinja"), _GGUF, "Take the model's own chat template"),
    BackendOption(("context_shift",), _GGUF, "Slide the window when it is full"),
    BackendOption(("cache_ram",), _GGUF, "MiB of prompts kept in memory; -1 for any number"),
    BackendOption(("parallel", "n_parallel"), _GGUF, "Requests computed together"),
    BackendOption(("grpc_servers", "rpc_servers"), _GGUF, "Workers of llama.cpp, with commas between them"),
    BackendOption(("cont_batching", "continuous_batching"), _GGUF, "Let requests join a batch under way"),
    BackendOption(("n_ubatch", "ubatch"), _GGUF, "Tokens of a physical batch"),
    BackendOption(("cache_reuse", "n_cache_reuse"), _GGUF, "Least tokens of a prompt that are used again"),
    BackendOption(("slot_prompt_similarity",), _GGUF, "How alike prompts must be to share a slot"),
    BackendOption(("swa_full",), _GGUF, "Whole cache for sliding windows"),
    BackendOption(("warmup",), _GGUF, "Run once at load"),
    BackendOption(("kv_unified",), _GGUF, "One cache for all sequences"),
    BackendOption(("no_op_offload",), _GGUF, "Keep operations off the GPU"),
    BackendOption(("check_tensors",), _GGUF, "Look for values that are no numbers"),
    BackendOption(("direct_io",), _GGUF, "Read past the page cache"),
    BackendOption(("fit_params",), _GGUF, "Fit layers and context to memory"),
    BackendOption(("fit_target",), _GGUF, "MiB that stay free"),
    BackendOption(("fit_ctx",), _GGUF, "Least context"),
    BackendOption(("n_ctx_checkpoints",), _GGUF, "Checkpoints of the context"),
    BackendOption(("checkpoint_min_step",), _GGUF, "Tokens between them"),
    BackendOption(("cache_idle_slots",), _GGUF, "Keep the cache of idle slots"),
    BackendOption(("n_rs_seq",), _GGUF, "States of recurrent models"),
    BackendOption(("device", "devices"), _GGUF, "Devices to run on"),
    BackendOption(("split_mode",), _GGUF, "How GPUs share the weights"),
    BackendOption(("override_tensor",), _GGUF, "Where single tensors go"),
    BackendOption(("cpu_moe",), _GGUF, "Keep all experts off the GPU"),
    BackendOption(("n_cpu_moe",), _GGUF, "Layers whose experts stay off the GPU"),
    BackendOption(("threads_batch",), _GGUF, "Threads for prompts"),
    BackendOption(("verbosity",), IDLE, "The log's level is an option of the server"),
    BackendOption(("reasoning_format",), _GGUF, "Form of reasoning"),
    BackendOption(("enable_reasoning",), _GGUF, "Allow reasoning"),
    BackendOption(("reasoning_budget",), _GGUF, "Tokens of reasoning at most"),
    BackendOption(("prefill_assistant",), _GGUF, "Go on with the last message"),
    BackendOption(("tool_parser",), ACTS, "How vLLM finds calls of tools (`--tool-call-parser`)"),
    BackendOption(("reasoning_parser",), ACTS, "How vLLM finds reasoning"),
    BackendOption(
        ("base_url",),
        ACTS,
        "Of servers elsewhere: what stands in front of `/chat/completions`, such as `http://host:8000/v1`",
    ),
    BackendOption(("api_key_env",), ACTS, "Variable with their key, or with `_FILE` behind its name the file of it"),
    BackendOption(
        ("api_key_header",),
        ACTS,
        "Header that the key stands in by itself, such as `api-key`; by default it is a bearer's",
    ),
    BackendOption(
        ("server",),
        ACTS,
        "What they understand beside the protocol: openai, compatible, llama.cpp, vllm, mistral or ollama",
    ),
    BackendOption(("timeout",), ACTS, "Seconds that they may be silent, 600 by default"),
    BackendOption(("connect_timeout",), ACTS, "Seconds to reach them, 10 by default"),
    BackendOption(("retries",), ACTS, "Times that a request goes out again before anything was answered, 2 by default"),
    BackendOption(("retry_seconds",), ACTS, "Seconds that all waits for that may take, 20 by default"),
    BackendOption(("inputs_per_request",), ACTS, "Texts in one request for embeddings"),
    BackendOption(("max_cache_entries",), IDLE, "Of MLX"),
    BackendOption(("max_kv_size",), IDLE, "Of MLX"),
    BackendOption(("trust_remote_code",), IDLE, "textmill never runs code from a model's repository"),
)
FAMILIES = {"spec_": "Guessing ahead", "draft_": "Guessing ahead", "-": "Arguments of llama.cpp's server, or of vLLM"}
"""What whole groups of options begin with; they come with the GGUF engine."""
SWITCHES = ("cpu_moe", "use_jinja", "jinja")
"""Options that mean true where they stand without a value."""

_NAMES = {name: option.names[0] for option in OPTIONS for name in option.names}


def read_options(entries: Iterable[str]) -> tuple[Mapping[str, str], list[str]]:
    """The options by their usual names, the last of each; and a sentence for each entry that means nothing.

    A value is all that follows the first colon, so ``grpc_servers:host:50052`` keeps its port.
    """
    values: dict[str, str] = {}
    notes: list[str] = []
    for entry in entries:
        name, colon, value = (part.strip() for part in entry.partition(":"))
        if name.startswith(tuple(FAMILIES)):
            values[name] = value
        elif name not in _NAMES:
            near = difflib.get_close_matches(name, _NAMES, n=1)
            notes.append(f"no backend has an option {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
        elif not colon and name not in SWITCHES:
            notes.append(f"the option {name!r} has no value; write {name}:VALUE")
        else:
            values[_NAMES[name]] = value or "true"
    return MappingProxyType(values), notes
