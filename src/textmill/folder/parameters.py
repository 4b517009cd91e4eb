"""What stands below ``parameters`` in a model file: the model, and the sampling that requests start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta

from textmill.folder.state import GENERATION, GGUF, Section, acts, idle, later

PoolingName = Literal["", "backend", "mean", "cls", "last", "none", "rank", "decayed_mean"]
Count = Annotated[int, Meta(ge=0)]


class Parameters(Section, frozen=True, kw_only=True):
    """`parameters`."""

    model: Annotated[
        str | None, acts("File or folder in the models folder, id on the hub, or URI; also taken at the top level")
    ] = None
    model_base_name: Annotated[
        str | None, later(GENERATION, "Name of the weights file without its ending, for GPTQ")
    ] = None
    batch: Annotated[Count | None, acts("Tokens in a batch at most (`max_batch_tokens`)")] = None
    pooling: Annotated[
        PoolingName | None,
        acts(
            "How tokens become one vector: mean, cls, last, decayed_mean; none is the model's own, rank makes a reranker"
        ),
    ] = None
    pooling_half_life_tokens: Annotated[Count | None, acts("Half-life of decayed_mean, in tokens")] = None
    encoding_format: Annotated[str | None, acts("Form of vectors where a request names none: float or base64")] = None
    temperature: Annotated[float | None, later(GENERATION, "Sampling temperature")] = None
    top_p: Annotated[float | None, later(GENERATION, "Nucleus sampling")] = None
    top_k: Annotated[int | None, later(GENERATION, "Most likely tokens that are sampled from")] = None
    min_p: Annotated[float | None, later(GENERATION, "Least probability beside that of the likeliest token")] = None
    typical_p: Annotated[float | None, later(GENERATION, "Locally typical sampling")] = None
    tfz: Annotated[float | None, idle("Tail-free sampling, which llama.cpp dropped")] = None
    seed: Annotated[int | None, later(GENERATION, "Seed of sampling; -1 takes a new one")] = None
    max_tokens: Annotated[int | None, later(GENERATION, "Tokens of an answer at most; 0 for no limit")] = None
    n: Annotated[int | None, later(GENERATION, "Answers to a request")] = None
    ignore_eos: Annotated[bool | None, later(GENERATION, "Go on after the end-of-text token")] = None
    repeat_penalty: Annotated[float | None, later(GENERATION, "Penalty of repeated tokens")] = None
    repeat_last_n: Annotated[int | None, later(GENERATION, "Tokens that the repetition penalty looks back")] = None
    frequency_penalty: Annotated[float | None, later(GENERATION, "Penalty by how often a token occurred")] = None
    presence_penalty: Annotated[float | None, later(GENERATION, "Penalty of tokens that occurred")] = None
    n_keep: Annotated[int | None, later(GGUF, "Tokens of the prompt that are kept when the window slides")] = None
    keep: Annotated[int | None, later(GGUF, "The same as n_keep")] = None
    echo: Annotated[bool | None, later(GENERATION, "Repeat the prompt before the answer")] = None
    logprobs: Annotated[int | bool | None, later(GENERATION, "Answer with log-probabilities")] = None
    top_logprobs: Annotated[int | None, later(GENERATION, "Alternatives a token")] = None
    logit_bias: Annotated[Mapping[str, float] | None, later(GENERATION, "What is added to logits, by token id")] = None
    negative_prompt: Annotated[str | None, later(GENERATION, "Prompt for classifier-free guidance")] = None
    negative_prompt_scale: Annotated[float | None, later(GENERATION, "Weight of that guidance")] = None
    rope_freq_base: Annotated[float | None, later(GGUF, "Base of rotary positions")] = None
    rope_freq_scale: Annotated[float | None, later(GGUF, "Scale of rotary positions")] = None
    tokenizer: Annotated[
        str | None, later(GENERATION, "Tokenizer file beside RWKV weights; by default FILE.tokenizer.json")
    ] = None
    language: Annotated[str | None, idle("Language of audio")] = None
