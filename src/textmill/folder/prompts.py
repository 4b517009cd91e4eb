"""Sections of a model file about prompts and answers: ``template``, ``reasoning``, ``compression``, ``limits`` and other small ones."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from textmill.folder.state import GALLERY, Section, acts, idle, later

Texts = tuple[str, ...]


class Template(Section, frozen=True, kw_only=True):
    """`template`."""

    chat: Annotated[str | None, acts("Around a conversation; a text, or the name of a .tmpl file")] = None
    chat_message: Annotated[str | None, acts("Around a message")] = None
    completion: Annotated[str | None, acts("Around a prompt")] = None
    edit: Annotated[str | None, acts("Around an instruction and a text")] = None
    function: Annotated[str | None, acts("Around a conversation with tools")] = None
    multimodal: Annotated[str | None, idle("Images")] = None
    use_tokenizer_template: Annotated[bool | None, acts("Take the model's own chat template")] = None
    join_chat_messages_by_character: Annotated[str | None, acts("Between messages; a line break")] = None
    reply_prefix: Annotated[str | None, acts("Before the answer")] = None


class TagPair(Section, frozen=True, kw_only=True):
    """What stands around reasoning."""

    start: Annotated[str | None, idle("The marks that models have are known")] = None
    end: Annotated[str | None, idle("The marks that models have are known")] = None


class Reasoning(Section, frozen=True, kw_only=True):
    """`reasoning`."""

    disable: Annotated[bool | None, acts("Leave answers as they are")] = None
    strip_reasoning_only: Annotated[bool | None, acts("Drop reasoning instead of giving it apart")] = None
    disable_reasoning_tag_prefill: Annotated[
        bool | None, acts("Do not take a tag for open that the prompt ends with")
    ] = None
    thinking_start_tokens: Annotated[Texts | None, idle("The marks that models have are known")] = None
    tag_pairs: Annotated[tuple[TagPair, ...] | None, idle("The marks that models have are known")] = None


class Compression(Section, frozen=True, kw_only=True):
    """`compression`."""

    enabled: Annotated[bool | None, idle("Long conversations are refused, not summed up")] = None
    trigger_at_ratio: Annotated[float | None, idle("Long conversations are refused, not summed up")] = None
    keep_tail_tokens: Annotated[int | None, idle("Long conversations are refused, not summed up")] = None
    max_summary_tokens: Annotated[int | None, idle("Long conversations are refused, not summed up")] = None
    compressor_model: Annotated[str | None, idle("Long conversations are refused, not summed up")] = None
    on_post_compression_overflow: Annotated[str | None, idle("Long conversations are refused, not summed up")] = None


class Limits(Section, frozen=True, kw_only=True):
    """`limits`."""

    max_concurrent: Annotated[
        Annotated[int, Meta(ge=0)] | None, acts("Requests to the model at once, others get 429; 0 for any number")
    ] = None
    retry_after_seconds: Annotated[Annotated[int, Meta(ge=0)] | None, acts("What Retry-After says beyond that")] = None


class Grpc(Section, frozen=True, kw_only=True):
    """`grpc`."""

    attempts: Annotated[
        Annotated[int, Meta(ge=0)] | None, acts("Tries to reach a backend's process, 20 where nothing is said")
    ] = None
    attempts_sleep_time: Annotated[
        Annotated[int, Meta(ge=0)] | None, acts("Seconds between them, 2 where nothing is said")
    ] = None


class DownloadFile(Section, frozen=True, kw_only=True):
    """An entry of `download_files`."""

    filename: Annotated[str | None, acts("Path below the models folder")] = None
    sha256: Annotated[str | None, acts("Checksum of the file")] = None
    uri: Annotated[str | None, acts("Where it comes from")] = None


class ArtifactSource(Section, frozen=True, kw_only=True):
    """Where an artifact comes from."""

    type: Annotated[str | None, later(GALLERY, "huggingface")] = None
    repo: Annotated[str | None, acts("Id on the hub")] = None
    revision: Annotated[str | None, acts("Commit, tag or branch")] = None


class Artifact(Section, frozen=True, kw_only=True):
    """An entry of `artifacts`."""

    name: Annotated[str | None, later(GALLERY, "Name of the artifact")] = None
    target: Annotated[str | None, later(GALLERY, "Field that its path goes to")] = None
    source: Annotated[ArtifactSource | None, acts("Where it comes from")] = None


class AutoGptq(Section, frozen=True, kw_only=True):
    """`autogptq`."""

    model_base_name: Annotated[str | None, idle("GPTQ weights are read by transformers")] = None
    device: Annotated[str | None, idle("GPTQ weights are read by transformers")] = None
    triton: Annotated[bool | None, idle("GPTQ weights are read by transformers")] = None
    use_fast_tokenizer: Annotated[bool | None, idle("GPTQ weights are read by transformers")] = None


class MediaLimits(Section, frozen=True, kw_only=True):
    """`limit_mm_per_prompt`."""

    image: Annotated[int | None, idle("Images")] = None
    video: Annotated[int | None, idle("Video")] = None
    audio: Annotated[int | None, idle("Sound")] = None
