"""Top-level fields of a model file about what computes: engine, precision, devices, memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from textmill.folder.prompts import AutoGptq, MediaLimits
from textmill.folder.state import GENERATION, GGUF, Section, acts, idle, later

Texts = tuple[str, ...]
DTypeName = Literal["", "auto", "half", "float16", "bfloat16", "float", "float32", "int8"]


class EngineFields(Section, frozen=True, kw_only=True):
    """Engine."""

    type: Annotated[
        str | None,
        acts(
            "Class of the transformers backend: SentenceTransformer and OVModelForFeatureExtraction (on OpenVINO) embed, "
            "AutoModelForTokenClassification classifies tokens, …ForCausalLM writes; of the rerankers backend the kind of reranker"
        ),
    ] = None
    f16: Annotated[
        bool | None, acts("bfloat16 where `main_gpu` names a CUDA device; on a CPU auto takes what is fast")
    ] = None
    dtype: Annotated[DTypeName | None, acts("Precision, with vLLM's names: half is float16, float is float32")] = None
    quantization: Annotated[
        str | None,
        acts("bnb_8bit and xpu_8bit make it int8 on a CPU; with vLLM its --quantization"),
    ] = None
    threads: Annotated[Annotated[int, Meta(ge=0)] | None, acts("CPU threads; 0 for the default")] = None
    context_size: Annotated[
        Annotated[int, Meta(ge=-1)] | None, acts("Tokens of an input at most; -1 or 0 for what the model takes")
    ] = None
    max_model_len: Annotated[
        Annotated[int, Meta(ge=-1)] | None, acts("The same as context_size, which comes first")
    ] = None
    main_gpu: Annotated[
        str | None, acts("Device: cuda, cuda.1 or cuda:1 (on PyTorch), or a device of OpenVINO such as CPU or GPU.0")
    ] = None
    options: Annotated[Texts | None, acts("Options of the backend as KEY:VALUE; the table below has them")] = None
    trust_remote_code: Annotated[bool | None, idle("textmill never runs code from a model's repository")] = None
    model_base_name: Annotated[str | None, later(GENERATION, "As in `parameters`")] = None
    autogptq: Annotated[AutoGptq | None, later(GENERATION, "GPTQ")] = None
    engine_args: Annotated[Mapping[str, Any] | None, acts("Flags of vLLM by their names, with _ or -")] = None
    load_format: Annotated[str | None, acts("Form of the weights, for vLLM")] = None
    gpu_memory_utilization: Annotated[float | None, acts("Share of a GPU's memory, for vLLM")] = None
    enforce_eager: Annotated[bool | None, acts("No CUDA graphs, for vLLM")] = None
    swap_space: Annotated[int | None, acts("GiB of swap a GPU, for vLLM")] = None
    tensor_parallel_size: Annotated[int | None, acts("GPUs that share the weights, for vLLM")] = None
    disable_log_stats: Annotated[bool | None, acts("No statistics in vLLM's log")] = None
    limit_mm_per_prompt: Annotated[MediaLimits | None, idle("Images, videos and sounds a prompt")] = None
    overrides: Annotated[Texts | None, later(GGUF, "Metadata of the GGUF file as KEY=TYPE:VALUE")] = None
    gpu_layers: Annotated[int | None, later(GGUF, "Layers on the GPU")] = None
    tensor_split: Annotated[str | None, later(GGUF, "Shares of several GPUs, such as 0.6,0.4")] = None
    mmap: Annotated[bool | None, later(GGUF, "Map the file instead of reading it")] = None
    mmlock: Annotated[bool | None, later(GGUF, "Keep it from being swapped out")] = None
    no_kv_offloading: Annotated[bool | None, later(GGUF, "Keep the cache of keys and values off the GPU")] = None
    flash_attention: Annotated[str | None, later(GGUF, "on, off or auto")] = None
    cache_type_k: Annotated[str | None, later(GGUF, "Precision of cached keys")] = None
    cache_type_v: Annotated[str | None, later(GGUF, "Precision of cached values")] = None
    rope_scaling: Annotated[str | None, later(GGUF, "none, linear or yarn")] = None
    yarn_ext_factor: Annotated[float | None, later(GGUF, "YaRN: mix of extrapolation")] = None
    yarn_attn_factor: Annotated[float | None, later(GGUF, "YaRN: scale of attention")] = None
    yarn_beta_fast: Annotated[float | None, later(GGUF, "YaRN: low correction")] = None
    yarn_beta_slow: Annotated[float | None, later(GGUF, "YaRN: high correction")] = None
    draft_model: Annotated[str | None, later(GGUF, "Small model that guesses ahead, below the models folder")] = None
    n_draft: Annotated[int | None, later(GGUF, "Tokens that it guesses")] = None
    lora_adapter: Annotated[str | None, later(GGUF, "LoRA adapter, below the models folder")] = None
    lora_base: Annotated[str | None, later(GGUF, "Model that the adapter is for")] = None
    lora_scale: Annotated[float | None, later(GGUF, "Weight of the adapter")] = None
    lora_adapters: Annotated[Texts | None, later(GGUF, "LoRA adapters")] = None
    lora_scales: Annotated[tuple[float, ...] | None, later(GGUF, "Their weights")] = None
    prompt_cache_all: Annotated[bool | None, later(GGUF, "Keep what was computed of a prompt")] = None
    prompt_cache_path: Annotated[str | None, idle("llama.cpp's server keeps prompts in memory")] = None
    prompt_cache_ro: Annotated[bool | None, idle("As prompt_cache_path")] = None
    low_vram: Annotated[bool | None, idle("llama.cpp dropped it")] = None
    numa: Annotated[bool | None, idle("Unread by LocalAI, too")] = None
    ngqa: Annotated[int | None, idle("Of ggml files")] = None
    rms_norm_eps: Annotated[float | None, idle("Of ggml files")] = None
    no_mulmatq: Annotated[bool | None, idle("llama.cpp dropped it")] = None
