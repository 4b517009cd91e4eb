"""The names of options and of llama-server's arguments, and the parameter that each sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textmill.providers.llamacpp.settings import CACHE_TYPES
from textmill.providers.llamacpp.values import (
    Reader,
    device,
    megabytes,
    number,
    one_of,
    several_of,
    shares,
    switch,
    text_of,
    unless,
    whole,
)

MOST_SLOTS = 256
"""Sequences that a context of llama.cpp can have."""

CACHE_WORDS = {word: f"GGML_TYPE_{word.upper()}" for word in CACHE_TYPES}
_CACHE = one_of(CACHE_WORDS)
POOLING_WORDS = {word: f"LLAMA_POOLING_TYPE_{word.upper()}" for word in ("none", "mean", "cls", "last", "rank")}
POOLING = one_of(POOLING_WORDS)
_SPLIT = one_of({word: f"LLAMA_SPLIT_MODE_{word.upper()}" for word in ("none", "layer", "row", "tensor")})
_FLASH = one_of(
    {
        "auto": "LLAMA_FLASH_ATTN_TYPE_AUTO",
        **dict.fromkeys(("on", "true", "1", "enabled", "yes"), "LLAMA_FLASH_ATTN_TYPE_ENABLED"),
        **dict.fromkeys(("off", "false", "0", "disabled", "no"), "LLAMA_FLASH_ATTN_TYPE_DISABLED"),
    }
)
_ROPE = one_of({word: f"LLAMA_ROPE_SCALING_TYPE_{word.upper()}" for word in ("none", "linear", "yarn", "longrope")})
_REASONING = one_of(
    {
        word: f"COMMON_REASONING_FORMAT_{word.upper().replace('-', '_')}"
        for word in ("none", "auto", "deepseek", "deepseek-legacy")
    }
)
_THINKS = one_of(
    {**dict.fromkeys(("auto", "-1"), "-1"), "on": "1", "true": "1", "1": "1", "off": "0"} | {"false": "0", "0": "0"}
)
_GUESSES = several_of(
    {
        word: f"COMMON_SPECULATIVE_TYPE_{word.upper().replace('-', '_')}"
        for word in (
            *("none", "draft-simple", "draft-eagle3", "draft-mtp", "draft-dflash", "ngram-simple", "ngram-map-k"),
            *("ngram-map-k4v", "ngram-mod", "ngram-cache"),
        )
    }
)
_NUMA = one_of({word: f"GGML_NUMA_STRATEGY_{word.upper()}" for word in ("distribute", "isolate", "numactl")})


def _thinks(name: str, text: str) -> int:
    return int(str(_THINKS(name, text)))


@dataclass(frozen=True, slots=True)
class Sets:
    """The field of `Settings` that an option sets, and how its text is read."""

    field: str
    read: Reader


OPTIONS: Mapping[str, Sets] = {
    "use_jinja": Sets("jinja", switch),
    "context_shift": Sets("context_shift", switch),
    "cache_ram": Sets("cache_ram", whole(-1)),
    "parallel": Sets("parallel", whole(1, MOST_SLOTS)),
    "cont_batching": Sets("cont_batching", switch),
    "n_ubatch": Sets("ubatch", whole(1)),
    "cache_reuse": Sets("cache_reuse", whole(0)),
    "slot_prompt_similarity": Sets("slot_prompt_similarity", number(0.0, 1.0)),
    "swa_full": Sets("swa_full", switch),
    "warmup": Sets("warmup", switch),
    "kv_unified": Sets("kv_unified", switch),
    "no_op_offload": Sets("no_op_offload", switch),
    "check_tensors": Sets("check_tensors", switch),
    "fit_params": Sets("fit_params", switch),
    "fit_target": Sets("fit_target", megabytes),
    "fit_ctx": Sets("fit_context", whole(0)),
    "n_ctx_checkpoints": Sets("context_checkpoints", whole(0)),
    "checkpoint_min_step": Sets("checkpoint_min_step", whole(0)),
    "cache_idle_slots": Sets("cache_idle_slots", switch),
    "split_mode": Sets("split_mode", _SPLIT),
    "override_tensor": Sets("override_tensor", text_of),
    "threads_batch": Sets("threads_batch", whole(1, 512)),
    "verbosity": Sets("verbosity", whole(0, 5)),
    "reasoning_format": Sets("reasoning_format", _REASONING),
    "enable_reasoning": Sets("reasoning", _thinks),
    "reasoning_budget": Sets("reasoning_budget", whole(-1)),
    "prefill_assistant": Sets("prefill_assistant", switch),
    "spec_type": Sets("guesses", _GUESSES),
    "spec_n_max": Sets("draft_max", whole(0, 1024)),
    "spec_n_min": Sets("draft_min", whole(0, 1024)),
    "spec_p_min": Sets("draft_p_min", number(0.0, 1.0)),
    "spec_p_split": Sets("draft_p_split", number(0.0, 1.0)),
    "spec_ngram_n_match": Sets("ngram_n_match", whole(1)),
    "spec_ngram_n_max": Sets("ngram_n_max", whole(1)),
    "spec_ngram_n_min": Sets("ngram_n_min", whole(0)),
    "spec_ngram_size_n": Sets("ngram_size_n", whole(1)),
    "spec_ngram_size_m": Sets("ngram_size_m", whole(1)),
    "spec_ngram_min_hits": Sets("ngram_min_hits", whole(1)),
    "draft_max": Sets("draft_max", whole(0, 1024)),
    "draft_min": Sets("draft_min", whole(0, 1024)),
    "draft_p_min": Sets("draft_p_min", number(0.0, 1.0)),
    "draft_p_split": Sets("draft_p_split", number(0.0, 1.0)),
    "draft_gpu_layers": Sets("draft_gpu_layers", whole(-2)),
    "draft_device": Sets("draft_devices", text_of),
    "draft_devices": Sets("draft_devices", text_of),
    "draft_cache_type_k": Sets("draft_cache_type_k", _CACHE),
    "draft_cache_type_v": Sets("draft_cache_type_v", _CACHE),
    "draft_threads": Sets("draft_threads", whole(1, 512)),
    "draft_threads_batch": Sets("draft_threads_batch", whole(1, 512)),
    "draft_override_tensor": Sets("draft_override_tensor", text_of),
}
"""By the usual names of the entries of ``options``."""

FIELDS: Mapping[str, Sets] = {
    "gpu_layers": Sets("gpu_layers", whole(-2)),
    "main_gpu": Sets("main_gpu", device),
    "tensor_split": Sets("tensor_split", shares),
    "no_kv_offloading": Sets("no_kv_offload", switch),
    "flash_attention": Sets("flash_attention", _FLASH),
    "cache_type_k": Sets("cache_type_k", _CACHE),
    "cache_type_v": Sets("cache_type_v", _CACHE),
    "rope_scaling": Sets("rope_scaling", _ROPE),
    "yarn_ext_factor": Sets("yarn_ext_factor", number()),
    "yarn_attn_factor": Sets("yarn_attn_factor", number()),
    "yarn_beta_fast": Sets("yarn_beta_fast", number()),
    "yarn_beta_slow": Sets("yarn_beta_slow", number()),
    "prompt_cache_all": Sets("cache_prompt", switch),
    "n_draft": Sets("draft_max", whole(0, 1024)),
}
"""By the names of a model file's fields."""
PARAMETERS: Mapping[str, Sets] = {
    "rope_freq_base": Sets("rope_freq_base", number(0.0)),
    "rope_freq_scale": Sets("rope_freq_scale", number(0.0)),
    "keep": Sets("keep", whole(-1)),
    "n_keep": Sets("keep", whole(-1)),
}
"""By the names of the fields below `parameters`; the later of two comes first."""

_OF_ONE_NAME: Mapping[str, Sets] = {
    "ctx-size": Sets("context", whole(0)),
    "batch-size": Sets("batch", whole(1)),
    "ubatch-size": OPTIONS["n_ubatch"],
    "parallel": OPTIONS["parallel"],
    "threads": Sets("threads", whole(1, 512)),
    "threads-batch": OPTIONS["threads_batch"],
    "poll": Sets("poll", whole(0, 100)),
    "numa": Sets("numa", _NUMA),
    "gpu-layers": Sets("gpu_layers", whole(-2)),
    "main-gpu": Sets("main_gpu", device),
    "split-mode": OPTIONS["split_mode"],
    "tensor-split": Sets("tensor_split", shares),
    "override-tensor": OPTIONS["override_tensor"],
    "flash-attn": Sets("flash_attention", _FLASH),
    "cache-type-k": Sets("cache_type_k", _CACHE),
    "cache-type-v": Sets("cache_type_v", _CACHE),
    "cache-ram": OPTIONS["cache_ram"],
    "cache-reuse": OPTIONS["cache_reuse"],
    "keep": Sets("keep", whole(-1)),
    "ctx-checkpoints": OPTIONS["n_ctx_checkpoints"],
    "rope-scaling": Sets("rope_scaling", _ROPE),
    "rope-freq-base": Sets("rope_freq_base", number(0.0)),
    "rope-freq-scale": Sets("rope_freq_scale", number(0.0)),
    "yarn-orig-ctx": Sets("yarn_original_context", whole(0)),
    "yarn-ext-factor": Sets("yarn_ext_factor", number()),
    "yarn-attn-factor": Sets("yarn_attn_factor", number()),
    "yarn-beta-fast": Sets("yarn_beta_fast", number()),
    "yarn-beta-slow": Sets("yarn_beta_slow", number()),
    "slot-prompt-similarity": OPTIONS["slot_prompt_similarity"],
    "reasoning-format": OPTIONS["reasoning_format"],
    "reasoning": OPTIONS["enable_reasoning"],
    "reasoning-budget": OPTIONS["reasoning_budget"],
    "chat-template": Sets("chat_template", text_of),
    "pooling": Sets("pooling", POOLING),
    "fit": OPTIONS["fit_params"],
    "fit-target": OPTIONS["fit_target"],
    "fit-ctx": OPTIONS["fit_ctx"],
    "verbosity": OPTIONS["verbosity"],
    "spec-type": OPTIONS["spec_type"],
    "draft-max": OPTIONS["draft_max"],
    "draft-min": OPTIONS["draft_min"],
    "draft-p-min": OPTIONS["draft_p_min"],
    "gpu-layers-draft": OPTIONS["draft_gpu_layers"],
}
_SHORT = {
    "c": "ctx-size",
    "b": "batch-size",
    "ub": "ubatch-size",
    "np": "parallel",
    "t": "threads",
    "tb": "threads-batch",
    "ngl": "gpu-layers",
    "n-gpu-layers": "gpu-layers",
    "mg": "main-gpu",
    "sm": "split-mode",
    "ts": "tensor-split",
    "ot": "override-tensor",
    "fa": "flash-attn",
    "ctk": "cache-type-k",
    "ctv": "cache-type-v",
    "cram": "cache-ram",
    "sps": "slot-prompt-similarity",
    "lv": "verbosity",
    "log-verbosity": "verbosity",
    "ngld": "gpu-layers-draft",
    "draft": "draft-max",
    "draft-n": "draft-max",
    "draft-n-min": "draft-min",
    "swa-checkpoints": "ctx-checkpoints",
    "rea": "reasoning",
}
_SWITCHES: Mapping[str, Sets] = {
    "jinja": Sets("jinja", switch),
    "no-jinja": Sets("jinja", unless),
    "context-shift": Sets("context_shift", switch),
    "no-context-shift": Sets("context_shift", unless),
    "cont-batching": Sets("cont_batching", switch),
    "no-cont-batching": Sets("cont_batching", unless),
    "swa-full": Sets("swa_full", switch),
    "warmup": Sets("warmup", switch),
    "no-warmup": Sets("warmup", unless),
    "kv-unified": Sets("kv_unified", switch),
    "no-kv-unified": Sets("kv_unified", unless),
    "kv-offload": Sets("no_kv_offload", unless),
    "no-kv-offload": Sets("no_kv_offload", switch),
    "op-offload": Sets("no_op_offload", unless),
    "no-op-offload": Sets("no_op_offload", switch),
    "check-tensors": Sets("check_tensors", switch),
    "cache-prompt": Sets("cache_prompt", switch),
    "no-cache-prompt": Sets("cache_prompt", unless),
    "repack": Sets("no_extra_buffers", unless),
    "no-repack": Sets("no_extra_buffers", switch),
    "no-host": Sets("no_host", switch),
    "no-prefill-assistant": Sets("prefill_assistant", unless),
}
ARGUMENTS: Mapping[str, Sets] = {
    **_OF_ONE_NAME,
    **{short: _OF_ONE_NAME[name] for short, name in _SHORT.items()},
    **_SWITCHES,
}
"""By the names of llama-server's arguments without the dashes."""
FLAGS = frozenset(_SWITCHES)
"""Arguments that mean yes where they stand without a value."""
ELSEWHERE = frozenset({"pooling", "embd_normalize", "grpc_servers", "cpu_moe", "n_cpu_moe", "direct_io"})
"""Options that are read by themselves."""
WITHOUT = {
    "device": "the binding of llama.cpp that textmill uses has no parameter for it; main_gpu, split_mode and tensor_split choose devices",
    "n_rs_seq": "the binding of llama.cpp that textmill uses has no parameter for it",
}
"""Options that change nothing, and why."""
