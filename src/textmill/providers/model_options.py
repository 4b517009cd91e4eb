"""What LoadModel is told: the fields of a model file under the names of LocalAI's protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textmill.errors import ConfigInvalid
from textmill.folder.fields import Fields
from textmill.folder.model import ModelFile
from textmill.folder.parameters import Parameters
from textmill.folder.prompts import AutoGptq, MediaLimits
from textmill.providers.messages import ModelOptions

CONTEXT_SIZE, BATCH, ALL_LAYERS = 4096, 512, 99_999_999
"""What LocalAI takes where a model file does not say."""

_PLAIN: Mapping[str, str] = {
    "F16Memory": "f16",
    "MLock": "mmlock",
    "LowVRAM": "low_vram",
    "Embeddings": "embeddings",
    "NUMA": "numa",
    "MainGPU": "main_gpu",
    "TensorSplit": "tensor_split",
    "RMSNormEps": "rms_norm_eps",
    "NGQA": "ngqa",
    "PipelineType": "pipeline_type",
    "CUDA": "cuda",
    "NoMulMatQ": "no_mulmatq",
    "Quantization": "quantization",
    "LoraScale": "lora_scale",
    "RopeScaling": "rope_scaling",
    "YarnExtFactor": "yarn_ext_factor",
    "YarnAttnFactor": "yarn_attn_factor",
    "YarnBetaFast": "yarn_beta_fast",
    "YarnBetaSlow": "yarn_beta_slow",
    "GPUMemoryUtilization": "gpu_memory_utilization",
    "TrustRemoteCode": "trust_remote_code",
    "EnforceEager": "enforce_eager",
    "SwapSpace": "swap_space",
    "TensorParallelSize": "tensor_parallel_size",
    "NoKVOffload": "no_kv_offloading",
    "LoadFormat": "load_format",
    "LoraScales": "lora_scales",
    "Options": "options",
    "CacheTypeKey": "cache_type_k",
    "CacheTypeValue": "cache_type_v",
    "DisableLogStatus": "disable_log_stats",
    "DType": "dtype",
    "Overrides": "overrides",
}
"""Fields of the message by those of a model file that they are as they stand."""
_PATHS: Mapping[str, str] = {
    "LoraBase": "lora_base",
    "LoraAdapter": "lora_adapter",
    "DraftModel": "draft_model",
    "MMProj": "mmproj",
}
_SAMPLING: Mapping[str, str] = {
    "Seed": "seed",
    "RopeFreqBase": "rope_freq_base",
    "RopeFreqScale": "rope_freq_scale",
    "Tokenizer": "tokenizer",
}


def model_options(file: ModelFile, root: Path, threads: int, *, implied_type: str = "") -> Any:
    """The message for a model of the models folder ``root``; ``threads`` are those of the server, ``implied_type`` that of its backend.

    Raises ConfigInvalid for a value that the protocol cannot carry.
    """
    fields, stated = file.fields, file.fields.parameters or Parameters()
    named = _named(file, root)
    ranks = bool(fields.reranking) or "rerank" in file.capabilities
    context = CONTEXT_SIZE if fields.context_size is None else max(0, fields.context_size)
    whole = context if fields.embeddings or ranks or "embeddings" in file.capabilities else BATCH
    message = ModelOptions()
    _fill(message, {name: getattr(fields, field) for name, field in _PLAIN.items()})
    _fill(message, {name: getattr(stated, field) for name, field in _SAMPLING.items()})
    _fill(message, {name: _below(getattr(fields, field), root) for name, field in _PATHS.items()})
    _fill(
        message,
        {
            "Model": named,
            "ModelFile": str(file.location.path or root / named),
            "ModelPath": str(root),
            "ContextSize": context,
            "MaxModelLen": fields.max_model_len,
            "NBatch": stated.batch or whole or BATCH,
            "Threads": fields.threads or threads,
            "NGPULayers": ALL_LAYERS if fields.gpu_layers is None else fields.gpu_layers,
            "MMap": fields.mmap is not False,
            "FlashAttention": fields.flash_attention or "auto",
            "Type": fields.type or implied_type,
            "Reranking": ranks,
            "LoraAdapters": [_below(path, root) for path in fields.lora_adapters or ()],
            "EngineArgs": json.dumps(dict(fields.engine_args)) if fields.engine_args else None,
        },
    )
    _fill(message, _of_old_versions(fields, stated) | _media(fields.limit_mm_per_prompt or MediaLimits()))
    return message


def _named(file: ModelFile, root: Path) -> str:
    """What the file calls its model; what is at a URI goes by the file that it is in the folder."""
    path, stated = file.location.path, file.fields.parameters
    if path is not None and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return (stated.model if stated is not None else None) or file.fields.model or file.model


def _below(path: str | None, root: Path) -> str | None:
    return str(root / path) if path else None


def _of_old_versions(fields: Fields, stated: Parameters) -> dict[str, object]:
    gptq = fields.autogptq or AutoGptq()
    return {
        "ModelBaseName": stated.model_base_name or fields.model_base_name or gptq.model_base_name,
        "Device": gptq.device,
        "UseTriton": gptq.triton,
        "UseFastTokenizer": gptq.use_fast_tokenizer,
    }


def _media(limits: MediaLimits) -> dict[str, object]:
    return {
        "LimitImagePerPrompt": limits.image,
        "LimitVideoPerPrompt": limits.video,
        "LimitAudioPerPrompt": limits.audio,
    }


def _fill(message: Any, values: Mapping[str, object]) -> None:
    """Set fields of the message; None is what a file does not say."""
    for name, value in values.items():
        if value is None:
            continue
        try:
            if isinstance(value, list | tuple):
                getattr(message, name).extend(value)
            else:
                setattr(message, name, value)
        except (TypeError, ValueError) as error:
            msg = f"{name} is {value!r}, which LocalAI's protocol cannot carry: {error}"
            raise ConfigInvalid(msg) from error
