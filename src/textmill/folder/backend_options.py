"""The entries of ``options`` in a model file, ``KEY:VALUE`` texts of the backend: which there are, and what they say."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from textmill.folder.state import ACTS, IDLE


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
    BackendOption(("use_jinja", "jinja"), ACTS, "Take the model's own chat template; on by default"),
    BackendOption(
        ("context_shift",), ACTS, "Slide the window when it is full, in place of ending the answer; off by default"
    ),
    BackendOption(("cache_ram",), ACTS, "MiB of prompts kept beside the context; 1024 by default, -1 for any number"),
    BackendOption(
        ("parallel", "n_parallel"),
        ACTS,
        "Requests computed together; by default 4, or fewer where their caches would take more than 1 GiB",
    ),
    BackendOption(
        ("grpc_servers", "rpc_servers"),
        ACTS,
        "Workers of llama.cpp as HOST:PORT, with commas between them; needs a build of xllamacpp that has its RPC backend",
    ),
    BackendOption(("cont_batching", "continuous_batching"), ACTS, "Let requests join a batch under way; on by default"),
    BackendOption(("n_ubatch", "ubatch"), ACTS, "Tokens of a physical batch; 512 by default"),
    BackendOption(
        ("cache_reuse", "n_cache_reuse"),
        ACTS,
        "Least tokens of a prompt's middle that are used again at another place; 0, which is none, by default",
    ),
    BackendOption(("slot_prompt_similarity",), ACTS, "How alike prompts must be to share a slot; 0.1 by default"),
    BackendOption(("swa_full",), ACTS, "Whole cache for sliding windows"),
    BackendOption(("warmup",), ACTS, "Run once at load"),
    BackendOption(
        ("kv_unified",),
        ACTS,
        "One context that all requests share: less memory, but all fail when they need more together; off by default",
    ),
    BackendOption(("no_op_offload",), ACTS, "Keep operations off the GPU"),
    BackendOption(("check_tensors",), ACTS, "Look for values that are no numbers"),
    BackendOption(("direct_io",), ACTS, "Read past the page cache"),
    BackendOption(("fit_params",), ACTS, "Fit layers and context to memory"),
    BackendOption(("fit_target",), ACTS, "MiB that stay free"),
    BackendOption(("fit_ctx",), ACTS, "Least context"),
    BackendOption(("n_ctx_checkpoints",), ACTS, "Checkpoints of the context"),
    BackendOption(("checkpoint_min_step",), ACTS, "Tokens between them"),
    BackendOption(("cache_idle_slots",), ACTS, "Keep the cache of idle slots"),
    BackendOption(("n_rs_seq",), IDLE, "States of recurrent models; the binding of llama.cpp has no parameter for it"),
    BackendOption(
        ("device", "devices"),
        IDLE,
        "Devices to run on; the binding of llama.cpp has no parameter for it, main_gpu and split_mode choose",
    ),
    BackendOption(("split_mode",), ACTS, "How GPUs share the weights"),
    BackendOption(("override_tensor",), ACTS, "Where single tensors go"),
    BackendOption(("cpu_moe",), ACTS, "Keep all experts off the GPU"),
    BackendOption(("n_cpu_moe",), ACTS, "Layers whose experts stay off the GPU"),
    BackendOption(("threads_batch",), ACTS, "Threads for prompts"),
    BackendOption(
        ("verbosity",), ACTS, "What llama.cpp writes to the log of level debug: 1 errors, 2 warnings, 3 more, up to 5"
    ),
    BackendOption(
        ("reasoning_format",), ACTS, "Form of reasoning: deepseek (by default), deepseek-legacy, auto or none"
    ),
    BackendOption(("enable_reasoning",), ACTS, "Whether templates are asked for reasoning: on, off or auto"),
    BackendOption(("reasoning_budget",), ACTS, "Tokens of reasoning at most; -1, which is any number, by default"),
    BackendOption(("prefill_assistant",), ACTS, "Go on with the last message"),
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
    BackendOption(
        ("bytes_per_request",),
        ACTS,
        "Bytes of texts in one request for embeddings; 0 for any number, a longer text goes alone",
    ),
    BackendOption(("documents_per_request",), ACTS, "Texts in one request for ranking, 1000 by default"),
    BackendOption(("requests_at_once",), ACTS, "Requests for embeddings and ranking under way at once, 4 by default"),
    BackendOption(
        ("api_key_scheme",), ACTS, "Word in front of their key in the header Authorization, Bearer by default"
    ),
    BackendOption(("api_version",), ACTS, "Of Azure: the version of its protocol, 2024-10-21 by default"),
    BackendOption(("input_field",), ACTS, "Field that texts to embed go in"),
    BackendOption(
        ("dimensions_field",), ACTS, "Field that asks for fewer dimensions; cut has vectors cut here, refuse refuses"
    ),
    BackendOption(("encoding_field",), ACTS, "Field that asks for base64, encoding_format by default"),
    BackendOption(("base64",), ACTS, "Whether vectors are asked for as base64: true or false"),
    BackendOption(("role_field",), ACTS, "Field that says what texts are for, such as input_type; none for none"),
    BackendOption(("role_default",), ACTS, "Role of texts where a request says none"),
    BackendOption(("max_cache_entries",), IDLE, "Of MLX"),
    BackendOption(("max_kv_size",), IDLE, "Of MLX"),
    BackendOption(("trust_remote_code",), IDLE, "textmill never runs code from a model's repository"),
)
_GGUF = "acts for GGUF files"
_REMOTE = "acts for servers elsewhere"
FAMILIES = (
    BackendOption(("spec_",), _GGUF, "Guessing ahead; [those that act](llamacpp.md#guessing-ahead)"),
    BackendOption(("draft_",), _GGUF, "As `spec_`"),
    BackendOption(("-",), _GGUF, "Arguments of llama.cpp's server; [those that act](llamacpp.md#arguments)"),
    BackendOption(
        ("role_",), _REMOTE, "With a role's name: what goes in `role_field`, such as `role_query:search_query`"
    ),
    BackendOption(
        ("suffix_",), _REMOTE, "With a role's name: what goes behind the model's, such as `suffix_query:-query`"
    ),
    BackendOption(
        ("prompt_",), _REMOTE, 'With a role\'s name: what goes in front of each text, such as `prompt_query:"query: "`'
    ),
)
"""What whole groups of options begin with; docs/llamacpp.md and docs/remote.md have those that act."""
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
        if name not in _NAMES and name.startswith(tuple(family.names[0] for family in FAMILIES)):
            values[name] = value
        elif name not in _NAMES:
            near = difflib.get_close_matches(name, _NAMES, n=1)
            notes.append(f"no backend has an option {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
        elif not colon and name not in SWITCHES:
            notes.append(f"the option {name!r} has no value; write {name}:VALUE")
        else:
            values[_NAMES[name]] = value or "true"
    return MappingProxyType(values), notes
