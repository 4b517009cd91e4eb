"""What stands below ``parameters`` in a model file: the model, and the sampling that requests start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from textmill.folder.state import Section, acts, idle

PoolingName = Literal["", "backend", "mean", "cls", "last", "none", "rank", "decayed_mean"]
Count = Annotated[int, Meta(ge=0)]


class Parameters(Section, frozen=True, kw_only=True):
    """`parameters`."""

    model: Annotated[
        str | None, acts("File or folder in the models folder, id on the hub, or URI; also taken at the top level")
    ] = None
    model_base_name: Annotated[str | None, idle("GPTQ weights are found by their folder")] = None
    batch: Annotated[
        Count | None, acts("Tokens in a batch at most (`max_batch_tokens`; of a GGUF file's model 2,048 by default)")
    ] = None
    pooling: Annotated[
        PoolingName | None,
        acts(
            "How tokens become one vector: mean, cls, last, decayed_mean; none is the model's own, rank makes a reranker"
        ),
    ] = None
    pooling_half_life_tokens: Annotated[Count | None, acts("Half-life of decayed_mean, in tokens")] = None
    encoding_format: Annotated[str | None, acts("Form of vectors where a request names none: float or base64")] = None
    temperature: Annotated[float | None, acts("Sampling temperature")] = None
    top_p: Annotated[float | None, acts("Nucleus sampling")] = None
    top_k: Annotated[int | None, acts("Most likely tokens that are sampled from")] = None
    min_p: Annotated[float | None, acts("Least probability beside that of the likeliest token")] = None
    typical_p: Annotated[float | None, acts("Locally typical sampling")] = None
    tfz: Annotated[float | None, idle("Tail-free sampling, which llama.cpp dropped")] = None
    seed: Annotated[int | None, acts("Seed of sampling; -1 takes a new one")] = None
    max_tokens: Annotated[int | None, acts("Tokens of an answer at most; 0 for no limit")] = None
    n: Annotated[int | None, idle("Asked for by requests")] = None
    ignore_eos: Annotated[bool | None, acts("Go on after the end-of-text token")] = None
    repeat_penalty: Annotated[float | None, acts("Penalty of repeated tokens")] = None
    repeat_last_n: Annotated[int | None, acts("Tokens that the repetition penalty looks back")] = None
    frequency_penalty: Annotated[float | None, acts("Penalty by how often a token occurred")] = None
    presence_penalty: Annotated[float | None, acts("Penalty of tokens that occurred")] = None
    n_keep: Annotated[int | None, acts("GGUF: tokens of the prompt that are kept when the window slides")] = None
    keep: Annotated[int | None, acts("The same as n_keep, which comes first")] = None
    echo: Annotated[bool | None, idle("Asked for by requests")] = None
    logprobs: Annotated[int | bool | None, idle("Asked for by requests")] = None
    top_logprobs: Annotated[int | None, idle("Asked for by requests")] = None
    logit_bias: Annotated[Mapping[str, float] | None, acts("What is added to logits, by token id")] = None
    negative_prompt: Annotated[str | None, idle("Classifier-free guidance, which no engine has")] = None
    negative_prompt_scale: Annotated[float | None, idle("Classifier-free guidance, which no engine has")] = None
    rope_freq_base: Annotated[float | None, acts("GGUF: base of rotary positions")] = None
    rope_freq_scale: Annotated[float | None, acts("GGUF: scale of rotary positions")] = None
    tokenizer: Annotated[str | None, idle("RWKV's own engine, which is no part of textmill")] = None
    language: Annotated[str | None, idle("Language of audio")] = None
