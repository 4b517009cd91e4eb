"""Top-level fields of a model file about what computes: engine, precision, devices, memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta

from textmill.folder.prompts import AutoGptq, MediaLimits
from textmill.folder.state import Section, acts, idle

Texts = tuple[str, ...]
DTypeName = Literal["", "auto", "half", "float16", "bfloat16", "float", "float32", "int8"]


class EngineFields(Section, frozen=True, kw_only=True):
    """Engine."""

    type: Annotated[
        str | None,
        acts(
            "Class of the transformers backend: SentenceTransformer and OVModelForFeatureExtraction (on OpenVINO) embed, "
            "AutoModelForTokenClassification classifies tokens, …ForCausalLM writes, OVModelForCausalLM on OpenVINO GenAI; of the rerankers backend the kind of reranker"
        ),
    ] = None
    f16: Annotated[
        bool | None,
        acts(
            "bfloat16 for models of transformers that write, and where `main_gpu` names a CUDA device; on a CPU auto takes what is fast; float16 for OpenVINO GenAI on a GPU"
        ),
    ] = None
    dtype: Annotated[DTypeName | None, acts("Precision, with vLLM's names: half is float16, float is float32")] = None
    quantization: Annotated[
        str | None,
        acts(
            "bnb_8bit and xpu_8bit make an encoder int8 on a CPU; bnb_8bit and bnb_4bit quantise models of transformers that write; "
            "with vLLM its --quantization"
        ),
    ] = None
    threads: Annotated[Annotated[int, Meta(ge=0)] | None, acts("CPU threads; 0 for the default")] = None
    context_size: Annotated[
        Annotated[int, Meta(ge=-1)] | None,
        acts(
            "Tokens of an input at most, of a GGUF file's model those of its context; -1 or 0 for what the model takes"
        ),
    ] = None
    max_model_len: Annotated[
        Annotated[int, Meta(ge=-1)] | None, acts("The same as context_size, which comes first")
    ] = None
    main_gpu: Annotated[
        str | None,
        acts(
            "Device: cuda, cuda.1 or cuda:1 (on PyTorch), or a device of OpenVINO such as CPU or GPU.0, with OpenVINO GenAI also AUTO and AUTO:-CPU; of a GGUF file's model the GPU's number"
        ),
    ] = None
    options: Annotated[Texts | None, acts("Options of the backend as KEY:VALUE; the table below has them")] = None
    trust_remote_code: Annotated[bool | None, idle("textmill never runs code from a model's repository")] = None
    model_base_name: Annotated[str | None, idle("As in `parameters`")] = None
    autogptq: Annotated[AutoGptq | None, idle("GPTQ weights are read by transformers")] = None
    engine_args: Annotated[Mapping[str, Any] | None, acts("Flags of vLLM by their names, with _ or -")] = None
    load_format: Annotated[str | None, acts("Form of the weights, for vLLM")] = None
    gpu_memory_utilization: Annotated[float | None, acts("Share of a GPU's memory, for vLLM")] = None
    enforce_eager: Annotated[bool | None, acts("No CUDA graphs, for vLLM")] = None
    swap_space: Annotated[int | None, acts("GiB of swap a GPU, for vLLM")] = None
    tensor_parallel_size: Annotated[int | None, acts("GPUs that share the weights, for vLLM")] = None
    disable_log_stats: Annotated[bool | None, acts("No statistics in vLLM's log")] = None
    limit_mm_per_prompt: Annotated[MediaLimits | None, idle("Images, videos and sounds a prompt")] = None
    overrides: Annotated[
        Texts | None,
        idle("Metadata of the GGUF file as KEY=TYPE:VALUE; the binding of llama.cpp has no parameter for it"),
    ] = None
    gpu_layers: Annotated[int | None, acts("GGUF: layers on the GPU; all that fit by default, 0 none")] = None
    tensor_split: Annotated[str | None, acts("GGUF: shares of several GPUs, such as 0.6,0.4")] = None
    mmap: Annotated[bool | None, acts("GGUF: map the file instead of reading it; llama.cpp chooses by default")] = None
    mmlock: Annotated[bool | None, acts("GGUF: keep it from being swapped out")] = None
    no_kv_offloading: Annotated[bool | None, acts("GGUF: keep the cache of keys and values off the GPU")] = None
    flash_attention: Annotated[str | None, acts("GGUF: on, off or auto")] = None
    cache_type_k: Annotated[
        str | None,
        acts(
            "GGUF: precision of cached keys: f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0 or q5_1; OpenVINO GenAI: f32, f16, bf16, q8_0 or q4_0"
        ),
    ] = None
    cache_type_v: Annotated[str | None, acts("GGUF: precision of cached values, as cache_type_k")] = None
    rope_scaling: Annotated[str | None, acts("GGUF: none, linear, yarn or longrope")] = None
    yarn_ext_factor: Annotated[float | None, acts("YaRN: mix of extrapolation")] = None
    yarn_attn_factor: Annotated[float | None, acts("YaRN: scale of attention")] = None
    yarn_beta_fast: Annotated[float | None, acts("YaRN: low correction")] = None
    yarn_beta_slow: Annotated[float | None, acts("YaRN: high correction")] = None
    draft_model: Annotated[str | None, acts("GGUF: small model that guesses ahead, below the models folder")] = None
    n_draft: Annotated[int | None, acts("GGUF: tokens that it guesses at most")] = None
    lora_adapter: Annotated[str | None, acts("GGUF: LoRA adapter, below the models folder")] = None
    lora_base: Annotated[str | None, idle("llama.cpp applies adapters to the model itself")] = None
    lora_scale: Annotated[float | None, acts("GGUF: weight of the adapter; 1 by default")] = None
    lora_adapters: Annotated[Texts | None, acts("GGUF: LoRA adapters, below the models folder")] = None
    lora_scales: Annotated[tuple[float, ...] | None, acts("GGUF: their weights; 1 for those that have none")] = None
    prompt_cache_all: Annotated[bool | None, acts("GGUF: use again what was computed of a prompt; true by default")] = (
        None
    )
    prompt_cache_path: Annotated[str | None, idle("llama.cpp's server keeps prompts in memory")] = None
    prompt_cache_ro: Annotated[bool | None, idle("As prompt_cache_path")] = None
    low_vram: Annotated[bool | None, idle("llama.cpp dropped it")] = None
    numa: Annotated[bool | None, idle("Unread by LocalAI, too")] = None
    ngqa: Annotated[int | None, idle("Of ggml files")] = None
    rms_norm_eps: Annotated[float | None, idle("Of ggml files")] = None
    no_mulmatq: Annotated[bool | None, idle("llama.cpp dropped it")] = None
