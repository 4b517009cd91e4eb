"""What llama.cpp is told of a model: the parameters of its binding that textmill sets, with their types."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import field

CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
"""Precisions of cached keys and values that llama.cpp has."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Attributes of xllamacpp's CommonParams, each under its dotted name; one that is unset is as llama.cpp has it.

    Members of its enumerations are there by their names.
    """

    model: str = field(name="model.path")
    sockets: tuple[str, ...] = field(name="hostnames")
    context: int = field(name="n_ctx")
    parallel: int = field(name="n_parallel")
    threads: int = field(name="cpuparams.n_threads")
    threads_batch: int = field(name="cpuparams_batch.n_threads")
    port: int = 0
    alias: tuple[str, ...] = field(name="model_alias", default=())
    batch: int = field(name="n_batch", default=2048)
    ubatch: int = field(name="n_ubatch", default=512)
    kv_unified: bool = False
    verbosity: int = 3
    ui: bool = True
    http_threads: int = field(name="n_threads_http", default=-1)
    cont_batching: bool = True
    warmup: bool = True
    # embeddings and reranking
    embedding: bool = False
    pooling: str = field(name="pooling_type", default="LLAMA_POOLING_TYPE_UNSPECIFIED")
    # the cache of keys and values
    cache_prompt: bool = True
    cache_ram: int = field(name="cache_ram_mib", default=8192)
    cache_type_k: str = "GGML_TYPE_F16"
    cache_type_v: str = "GGML_TYPE_F16"
    cache_reuse: int = field(name="n_cache_reuse", default=0)
    cache_idle_slots: bool = True
    context_shift: bool = field(name="ctx_shift", default=False)
    context_checkpoints: int = field(name="n_ctx_checkpoints", default=32)
    checkpoint_min_step: int = 8192
    slot_prompt_similarity: float = 0.1
    keep: int = field(name="n_keep", default=0)
    swa_full: bool = False
    # where and how it computes
    gpu_layers: int = field(name="n_gpu_layers", default=-1)
    main_gpu: int = 0
    split_mode: str = "LLAMA_SPLIT_MODE_LAYER"
    tensor_split: tuple[float, ...] = ()
    override_tensor: str = field(name="tensor_buft_overrides", default="")
    flash_attention: str = field(name="flash_attn_type", default="LLAMA_FLASH_ATTN_TYPE_AUTO")
    load_mode: str = "LLAMA_LOAD_MODE_AUTO"
    no_kv_offload: bool = False
    no_op_offload: bool = False
    no_extra_buffers: bool = field(name="no_extra_bufts", default=False)
    no_host: bool = False
    check_tensors: bool = False
    fit_params: bool = True
    fit_target: tuple[int, ...] = field(name="fit_params_target", default=())
    fit_context: int = field(name="fit_params_min_ctx", default=4096)
    numa: str = "GGML_NUMA_STRATEGY_DISABLED"
    poll: int = field(name="cpuparams.poll", default=50)
    # positions
    rope_scaling: str = field(name="rope_scaling_type", default="LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED")
    rope_freq_base: float = 0.0
    rope_freq_scale: float = 0.0
    yarn_original_context: int = field(name="yarn_orig_ctx", default=0)
    yarn_ext_factor: float = -1.0
    yarn_attn_factor: float = -1.0
    yarn_beta_fast: float = -1.0
    yarn_beta_slow: float = -1.0
    # conversations
    jinja: bool = field(name="use_jinja", default=True)
    chat_template: str = ""
    template_variables: Mapping[str, str] = field(name="default_template_kwargs", default_factory=dict)
    reasoning_format: str = "COMMON_REASONING_FORMAT_DEEPSEEK"
    reasoning: int = field(name="enable_reasoning", default=-1)
    reasoning_budget: int = field(name="sampling.reasoning_budget_tokens", default=-1)
    prefill_assistant: bool = True
    # guessing ahead
    guesses: tuple[str, ...] = field(name="speculative.types", default=())
    draft_model: str = field(name="speculative.draft.mparams.path", default="")
    draft_max: int = field(name="speculative.draft.n_max", default=3)
    draft_min: int = field(name="speculative.draft.n_min", default=0)
    draft_p_min: float = field(name="speculative.draft.p_min", default=0.0)
    draft_p_split: float = field(name="speculative.draft.p_split", default=0.1)
    draft_gpu_layers: int = field(name="speculative.draft.n_gpu_layers", default=-1)
    draft_devices: str = field(name="speculative.draft.devices", default="")
    draft_cache_type_k: str = field(name="speculative.draft.cache_type_k", default="GGML_TYPE_F16")
    draft_cache_type_v: str = field(name="speculative.draft.cache_type_v", default="GGML_TYPE_F16")
    draft_threads: int = field(name="speculative.draft.cpuparams.n_threads", default=-1)
    draft_threads_batch: int = field(name="speculative.draft.cpuparams_batch.n_threads", default=-1)
    draft_override_tensor: str = field(name="speculative.draft.tensor_buft_overrides", default="")
    ngram_n_match: int = field(name="speculative.ngram_mod.n_match", default=24)
    ngram_n_max: int = field(name="speculative.ngram_mod.n_max", default=64)
    ngram_n_min: int = field(name="speculative.ngram_mod.n_min", default=48)
    ngram_size_n: int = field(name="speculative.ngram_simple.size_n", default=12)
    ngram_size_m: int = field(name="speculative.ngram_simple.size_m", default=48)
    ngram_min_hits: int = field(name="speculative.ngram_simple.min_hits", default=1)


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """All that the process of a model is told: its settings, LoRA adapters with their scales, and workers, with commas between them."""

    settings: Settings
    lora: tuple[tuple[str, float], ...] = ()
    rpc: str = ""

    def at(self, socket: Path) -> Launch:
        """The same, listening on that socket."""
        settings = msgspec.structs.replace(self.settings, sockets=(str(socket),))
        return msgspec.structs.replace(self, settings=settings)
