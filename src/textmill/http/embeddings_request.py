"""What a request for embeddings says, in the words of OpenAI, LocalAI and Jina: its inputs, and how they are embedded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from textmill.contract import EmbedOptions, Input, Kind, ModelInfo, TokenPooling
from textmill.errors import EmptyInput, InvalidInput
from textmill.http.backend import BackendName
from textmill.http.conversation import Message, conversation
from textmill.http.encodings import Encoding
from textmill.http.failures import WrongShape
from textmill.http.inputs import Inputs, TokenId, as_batch, form_of, inputs_schema, refuse_empty
from textmill.http.overflow import OnOverflow, Overlap, Window, policy
from textmill.http.purpose import InputType, Task, purpose_of
from textmill.http.schema import exactly
from textmill.http.settings import HttpSettings
from textmill.telemetry.tei import Form


class TextObject(Struct, frozen=True):
    """An input as Jina has it: an object with a text; further keys are ignored."""

    text: str | None = None
    image: Annotated[object, Meta(description="Refused: only texts are embedded.")] = None


Encodings = Encoding | list[Encoding]
_Given = str | TextObject | list[str | TokenId | list[TokenId] | TextObject]
_TEXT_OBJECT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}


class EmbeddingsRequest(Struct, frozen=True):
    """What to embed. Null is the same as absent in every optional field; unknown fields are ignored."""

    input: Annotated[
        _Given | None,
        Meta(
            description="A text, a list of texts, the token ids of one text, or a list that mixes texts and lists of ids. "
            'A text may be `{"text": …}`, as Jina has it. Ids are the model\'s own, unless the server says otherwise. Texts that are too '
            "long are cut unless the server does not; in a list empty texts are embedded. Only with `messages` it may be absent, and must be.",
            extra_json_schema=inputs_schema(empty_texts=True, also=_TEXT_OBJECT),
        ),
    ] = None
    model: Annotated[
        str | None,
        Meta(
            description="A name of `/v1/models`; absent means the default model. Behind it `:query` or `:document` may say what the texts are."
        ),
    ] = None
    encoding_format: Annotated[
        Encodings | None,
        Meta(
            description="`float` (the default, unless the model's file says otherwise), `base64`: little-endian float32, or as `embedding_type`."
        ),
    ] = None
    dimensions: Annotated[
        Annotated[int, Meta(extra_json_schema=exactly({"type": "integer", "minimum": 1}))] | None,
        Meta(description="Keep that many leading values, then normalise (Matryoshka)."),
    ] = None
    user: Annotated[object, Meta(description="Accepted and ignored.")] = None
    prompt_name: Annotated[
        str | None,
        Meta(
            description="Not in OpenAI's API: one of the model's own prompts, such as `query`. Send it as `extra_body`."
        ),
    ] = None
    prompt: Annotated[
        str | None,
        Meta(
            description="Not in OpenAI's API: put in front of each text; an empty one switches the default prompt off."
        ),
    ] = None
    input_type: InputType = None
    task: Task = None
    late_chunking: Annotated[
        bool | None,
        Meta(
            description="Jina's: the inputs are the chunks of one document, and each is pooled from the states of the whole."
        ),
    ] = None
    embedding_type: Annotated[
        Encodings | None,
        Meta(
            description="Jina's: `float`, `base64`, `binary` (eight values to an int8) or `ubinary` (to a uint8); of a list of these "
            "each vector is an object with all of them. It counts more than `encoding_format`."
        ),
    ] = None
    encoding_type: Annotated[Encodings | None, Meta(description="As `embedding_type`; LlamaIndex calls it so.")] = None
    normalized: Annotated[
        bool | None, Meta(description="Jina's: `false` gives vectors as they are pooled, of any length.")
    ] = None
    truncate: Annotated[
        bool | None, Meta(description="Jina's: cut texts that are too long, or refuse them with `false`.")
    ] = None
    on_overflow: OnOverflow = None
    chunk_tokens: Window = None
    chunk_overlap: Overlap = None
    messages: Annotated[
        list[Message] | None,
        Meta(
            description="LocalAI's: a conversation in place of `input`; it is embedded as one text, a line `role: content` a message."
        ),
    ] = None
    pooling: Annotated[
        Literal["", "backend", "mean", "last", "decayed_mean"] | None,
        Meta(
            description="LocalAI's: pool the states of tokens so in place of the model's own way, which is `backend`. In "
            "`decayed_mean` a state counts half as much as one that stands a half-life nearer to the end."
        ),
    ] = None
    pooling_half_life_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="For `decayed_mean`; 256, unless the model's file says otherwise."),
    ] = None
    modality: Annotated[
        Literal["text", "image", "audio"] | None,
        Meta(
            description="Infinity's: `text`; images and sounds are refused. Beside it `dimensions` may be 0, which is all.",
            extra_json_schema=exactly({"enum": ["text", None]}),
        ),
    ] = None
    output_dimension: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="Voyage's and Mistral's word for `dimensions`.")
    ] = None
    output_dtype: Annotated[
        str | None,
        Meta(
            description="Voyage's and Mistral's: `float`; for bits there is `embedding_type`.",
            extra_json_schema=exactly({"enum": ["float", None]}),
        ),
    ] = None
    truncation: Annotated[bool | None, Meta(description="Voyage's word for `truncate`.")] = None
    backend: BackendName = None
    model_base_name: Annotated[object, Meta(description="Accepted and ignored.")] = None


_POOLINGS: Mapping[str, TokenPooling | None] = {
    "": None,
    "backend": "own",
    "mean": "mean",
    "last": "last",
    "decayed_mean": "decayed_mean",
}


def options_of(request: EmbeddingsRequest, about: ModelInfo, side: Kind | None, settings: HttpSettings) -> EmbedOptions:
    """How the model embeds; ``side`` is what its name in the request says. A prompt of the request counts more than what it is for.

    Raises InvalidInput for options that are unknown or contradict each other.
    """
    purpose = purpose_of(request.input_type, request.task, side)
    name, kind = request.prompt_name, None
    if purpose is not None and request.prompt is None and name is None:
        name, kind = purpose.options(about.prompts)
    cut = request.truncation if request.truncate is None else request.truncate
    truncate, chunking = policy(
        request.on_overflow,
        request.chunk_tokens,
        request.chunk_overlap,
        truncate=settings.auto_truncate if cut is None else cut,
    )
    return EmbedOptions(
        prompt=request.prompt,
        prompt_name=name,
        kind=kind,
        dimensions=_dimensions(request),
        normalize=request.normalized,
        truncate=truncate,
        chunking=chunking,
        pooling=_POOLINGS[request.pooling or ""],
        half_life=request.pooling_half_life_tokens,
    )


def _dimensions(request: EmbeddingsRequest) -> int | None:
    """How many values are wanted; None for all, which Infinity's clients say by 0. Raises WrongShape for less than one."""
    wanted = request.output_dimension if request.dimensions is None else request.dimensions
    if wanted == 0 and request.modality is not None:
        return None
    if wanted is not None and wanted < 1:
        msg = "dimensions: expected int >= 1"
        raise WrongShape(msg, param="dimensions")
    return wanted


def encodings_of(request: EmbeddingsRequest, about: ModelInfo) -> Encodings:
    """The form of the vectors, or several. Jina's fields come first: OpenAI's client always sends its own.

    Raises WrongShape for an empty list, InvalidInput for bytes.
    """
    if request.output_dtype not in (None, "float"):
        msg = f"output_dtype is {request.output_dtype[:40]!r}, and only float is given by it; for bits send embedding_type, binary or ubinary"
        raise InvalidInput(msg, param="output_dtype")
    for field in ("embedding_type", "encoding_type", "encoding_format"):
        wanted: Encodings | None = getattr(request, field)
        if wanted == []:
            msg = f"'{field}' is an empty list; name at least one form"
            raise WrongShape(msg, param=field)
        if wanted is not None:
            return wanted
    return about.defaults.encoding


def inputs_of(request: EmbeddingsRequest, settings: HttpSettings, *, empty: bool = False) -> list[Input]:
    """What a request wants embedded; ``empty`` says that a text by itself may be empty.

    Raises EmptyInput for nothing, for empty ids, and for a text by itself that is empty; WrongShape for what is no text;
    InvalidInput for images and sounds.
    """
    if request.modality not in (None, "text"):
        msg = f"'modality' is {request.modality}, and only texts are embedded here; leave it out, or send texts"
        raise InvalidInput(msg, param="modality")
    if request.messages is not None and request.input is None:
        return [conversation(request.messages)]
    given = _given(request)
    if given == []:
        msg = "'input' is an empty list; there is nothing to compute"
        raise EmptyInput(msg, param="input", index=0)
    inputs = as_batch(given, "input", settings.max_inputs)
    refuse_empty(inputs, "input", texts=settings.as_tei or (isinstance(given, str) and not empty))
    return inputs


def form_of_request(request: EmbeddingsRequest) -> Form:
    """Whether a request gives one input by itself, or a list of them."""
    return form_of(_given(request), "input")


def _given(request: EmbeddingsRequest) -> Inputs:
    """The input, or one text where there are messages. Raises WrongShape for both, for neither, and for what is no text."""
    if request.input is None:
        if request.messages is None:
            msg = "the field 'input' is missing"
            raise WrongShape(msg, param="input")
        return ""
    if request.messages is not None:
        msg = "give either 'input' or 'messages', not both"
        raise WrongShape(msg, param="messages")
    return _plain(request.input)


def _plain(given: _Given) -> Inputs:
    """The inputs with each object as its text. A list without objects is given back as it is: it may be long."""
    if isinstance(given, str):
        return given
    if isinstance(given, TextObject):
        return _text(given, "input")
    if TextObject not in set(map(type, given)):
        return _without_objects(given)
    return [
        _text(item, f"input[{index}]") if isinstance(item, TextObject) else item for index, item in enumerate(given)
    ]


def _without_objects(given: Sequence[str | int | list[int] | TextObject]) -> list[str | int | list[int]]:
    assert isinstance(given, list)  # noqa: S101 - as msgspec makes them
    return given


def _text(given: TextObject, where: str) -> str:
    if given.image is not None:
        msg = f"{where} has an image; only texts are embedded here: send texts, or objects with a 'text'"
        raise WrongShape(msg, param="input")
    if given.text is None:
        msg = f"{where} is an object without a 'text'; only texts are embedded here"
        raise WrongShape(msg, param="input")
    return given.text
