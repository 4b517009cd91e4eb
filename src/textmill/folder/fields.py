"""Every field of a model file, typed, with what it means here; docs/model-files.md is made of these structs.

None is what a file does not say. The states of the fields are those of `textmill.folder.state`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from textmill.folder.fields_text import TextFields
from textmill.folder.parameters import Parameters
from textmill.folder.prompts import Artifact, DownloadFile, Grpc, Limits
from textmill.folder.state import acts, idle

Texts = tuple[str, ...]


class Fields(TextFields, frozen=True, kw_only=True):
    """The model."""

    name: Annotated[str | None, acts("What clients call the model; each entry needs one")] = None
    alias: Annotated[
        str | None, acts("Name of another model that answers in its place; other fields then mean nothing")
    ] = None
    backend: Annotated[str | None, acts("Engine, by any name that LocalAI has or had; by default the files decide")] = (
        None
    )
    model: Annotated[str | None, acts("The same as `parameters.model`")] = None
    parameters: Annotated[Parameters | None, acts("The model, and what requests start from")] = None
    embeddings: Annotated[bool | None, acts("The model embeds, whatever else it could do")] = None
    reranking: Annotated[bool | None, acts("The model ranks documents")] = None
    known_usecases: Annotated[
        Texts | None,
        acts(
            "What it is for, in place of what its files say: embeddings, rerank, classify, token_classify, chat, completion, "
            "edit, tokenize"
        ),
    ] = None
    textmill: Annotated[
        Mapping[str, Any] | None,
        acts(
            "Options of `textmill.load` by name, such as `default_prompt_name`; they come before all others. LocalAI ignores it"
        ),
    ] = None
    disabled: Annotated[bool | None, acts("Refuse requests for the model")] = None
    pinned: Annotated[bool | None, acts("Never unload it to make room")] = None
    concurrency_groups: Annotated[Texts | None, acts("Models of one group are never loaded together")] = None
    limits: Annotated[Limits | None, acts("Requests at once")] = None
    grpc: Annotated[Grpc | None, acts("How a backend of `--external-grpc-backends` is waited for")] = None
    download_files: Annotated[
        tuple[DownloadFile, ...] | None, acts("Files to fetch into the models folder before the model loads")
    ] = None
    artifacts: Annotated[
        tuple[Artifact, ...] | None, acts("Repositories of the hub; the first one is the model where no model is named")
    ] = None
    description: Annotated[str | None, idle("For people")] = None
    usage: Annotated[str | None, idle("For people")] = None
    known_input_modalities: Annotated[Texts | None, idle("Everything here is text")] = None
    known_output_modalities: Annotated[Texts | None, idle("As known_input_modalities")] = None
