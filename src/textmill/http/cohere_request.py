"""What a request for embeddings says in Cohere's dialect: its texts, and how they are embedded."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from textmill.contract import EmbedOptions, Kind, ModelInfo, Side
from textmill.errors import EmptyInput, InvalidInput
from textmill.http.failures import WrongShape
from textmill.http.inputs import check_count, refuse_empty
from textmill.http.schema import exactly
from textmill.http.service import Service
from textmill.tasks.sides import named

EmbeddingType = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]
_NONE: dict[str, object] = {"anyOf": [{"type": "null"}, {"type": "array", "maxItems": 0}]}
_KINDS: dict[str, Kind] = {"search_query": "query", "search_document": "document"}
_PURPOSES: dict[str, tuple[str, ...]] = {
    "classification": ("classification",),
    "clustering": ("clustering", "separation"),
}
"""What models call their prompts for a purpose; `separation` is jina-embeddings-v3's."""
_SIDES: dict[str, Side | None] = {"START": "left", "END": "right"}


class EmbedPart(Struct, frozen=True):
    """A part of an input: of `type` text, with its `text`."""

    type: Annotated[str, Meta(description="`text`; images are refused.", extra_json_schema=exactly({"const": "text"}))]
    text: Annotated[str | None, Meta(extra_json_schema=exactly({"type": "string"}))] = None


class EmbedInput(Struct, frozen=True):
    """An input of parts, which are one text, a line each."""

    content: Annotated[list[EmbedPart], Meta(description="At least one part.", extra_json_schema={"minItems": 1})]


class CohereEmbedRequest(Struct, frozen=True):
    """What to embed, as `texts` or as `inputs`. Null is the same as absent in every field; unknown fields are ignored."""

    texts: Annotated[
        list[str] | None,
        Meta(
            description="The texts, at least one; an empty one is embedded too.",
            extra_json_schema=exactly({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}),
        ),
    ] = None
    inputs: Annotated[list[EmbedInput] | None, Meta(description="In place of `texts`: inputs of parts.")] = None
    images: Annotated[
        object, Meta(description="Refused: only texts are embedded here.", extra_json_schema=exactly(_NONE))
    ] = None
    model: Annotated[str | None, Meta(description="A name of `/v1/models`; absent means the default model.")] = None
    input_type: Annotated[
        Literal["search_document", "search_query", "classification", "clustering", "image"] | None,
        Meta(
            description="Which of the model's prompts goes in front of the texts: that for queries, that for documents, or the one "
            "of that name. A model that has none of it uses its default prompt, as it does where this is absent.",
            extra_json_schema=exactly(
                {"enum": ["search_document", "search_query", "classification", "clustering", None]}
            ),
        ),
    ] = None
    embedding_types: Annotated[
        list[EmbeddingType] | None,
        Meta(
            description="How the vectors are written, in one way or several: `float`, the default; `int8` and `uint8`, in steps of "
            "8/(127√d) for d dimensions; `binary` and `ubinary`, a bit for each value, eight in a byte; `base64`, of "
            "little-endian float32."
        ),
    ] = None
    output_dimension: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Keep that many leading values, then normalise (Matryoshka)."),
    ] = None
    truncate: Annotated[
        Literal["NONE", "START", "END"] | None,
        Meta(
            description="Of texts that are too long, cut off the start or the end, or refuse them (`NONE`); absent means the server's "
            "way, mostly `END`."
        ),
    ] = None
    max_tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Taken where it is as much as the model reads or more; texts are cut nowhere else."),
    ] = None
    priority: Annotated[object, Meta(description="Accepted and ignored.")] = None


def options_of(service: Service, request: CohereEmbedRequest, about: ModelInfo) -> EmbedOptions:
    """What a request asks of the model. Raises InvalidInput for images."""
    given = request.input_type
    if given == "image":
        msg = "'input_type' is image, and only texts are embedded here; send one of search_document, search_query, classification, clustering"
        raise InvalidInput(msg, param="input_type")
    kind = _KINDS.get(given or "")
    return EmbedOptions(
        kind=kind,
        prompt_name=named(about.prompts, *_PURPOSES.get(given or "", ())),
        dimensions=request.output_dimension,
        truncate=service.settings.auto_truncate if request.truncate is None else request.truncate != "NONE",
        truncate_side=_SIDES.get(request.truncate or ""),
    )


def check_tokens(about: ModelInfo, wanted: int | None) -> None:
    """Raise InvalidInput for texts that shall be cut where the model would not cut them."""
    if wanted is not None and wanted < about.max_tokens:
        msg = (
            f"'max_tokens' is {wanted}, and {about.name} reads {about.max_tokens} tokens of a text; texts are cut nowhere else, so "
            "leave it out, or send shorter texts"
        )
        raise InvalidInput(msg, param="max_tokens")


def texts_of(service: Service, request: CohereEmbedRequest) -> list[str]:
    """The texts of a request. Raises WrongShape for none and for two kinds of them, EmptyInput for nothing, InvalidInput for images."""
    if request.images not in (None, []):
        msg = "'images' has images; only texts are embedded here"
        raise InvalidInput(msg, param="images")
    if request.texts is not None and request.inputs is not None:
        msg = "give either 'texts' or 'inputs', not both"
        raise WrongShape(msg, param="inputs")
    field = "texts" if request.inputs is None else "inputs"
    if request.texts is None and request.inputs is None:
        msg = "the field 'texts' is missing"
        raise WrongShape(msg, param="texts")
    check_count(field, len(request.texts or request.inputs or ()), service.settings.max_inputs)
    texts = request.texts or [_joined(item, index) for index, item in enumerate(request.inputs or ())]
    if not texts:
        msg = f"'{field}' is an empty list; there is nothing to embed"
        raise EmptyInput(msg, param=field)
    if service.settings.as_tei:
        refuse_empty(texts, field)
    return texts


def _joined(item: EmbedInput, index: int) -> str:
    """The text of an input. Raises EmptyInput for one without parts."""
    if not item.content:
        msg = f"inputs[{index}].content is an empty list; there is nothing to embed"
        raise EmptyInput(msg, param="inputs", index=index)
    return "\n".join(_text(part, f"inputs[{index}].content[{place}]") for place, part in enumerate(item.content))


def _text(part: EmbedPart, where: str) -> str:
    """The text of a part. Raises InvalidInput for one that is none."""
    if part.type in ("image_url", "image"):
        msg = f"{where} is an image; only texts are embedded here"
        raise InvalidInput(msg, param="inputs")
    if part.type != "text":
        msg = f"{where}.type is {part.type!r}; it must be text"
        raise InvalidInput(msg, param="inputs")
    if part.text is None:
        msg = f"{where} has no 'text'"
        raise InvalidInput(msg, param="inputs")
    return part.text
