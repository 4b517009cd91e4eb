"""Bodies: bytes off the wire, within a limit, and what is wrong with them in one sentence."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from types import NoneType
from typing import Generic, TypeVar

import msgspec
from starlette.types import Receive, Scope

from textmill.http.failures import BodyTooLarge, ClientLeft, NotJson, NotJsonType, WrongShape

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_AT = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)
_FIELD = re.compile(r"\$\.(\w+)")
_IDS = re.compile(r"inputs?(\[\.{3}\]|\[\d+\])+$")
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_JSON_TYPE = re.compile(rb"\s*application/(json|[^;\s]+\+json)\s*(;|$)", re.IGNORECASE)
_MISSING = re.compile(r"Object missing required field `(\w+)`")


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as it is known to be longer than ``limit`` bytes, or ClientLeft.

    The limit holds for chunked bodies too, which announce no length.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def check_content_type(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise NotJsonType unless the Content-Type is that of JSON."""
    given = next((value for name, value in headers if name == b"content-type"), None)
    if given is None or not _JSON_TYPE.match(given):
        said = "is missing" if given is None else f"is {given.decode('latin-1')}"
        msg = f"the Content-Type {said}; it must be application/json"
        raise NotJsonType(msg)


class BodyDecoder(Generic[T]):
    """Reads one struct from JSON.

    Of a key that occurs twice, the last counts; a ``strict`` decoder refuses the keys of the struct, and of structs in it, then,
    and reads only up to the end of the value. Raises NotJson or WrongShape with the path of the wrong field.
    """

    def __init__(self, struct: type[T], *, strict: bool = False) -> None:
        self._decoder = msgspec.json.Decoder(struct)
        self._strict = strict
        self._struct = struct
        self._keys = tuple(f'"{name}"'.encode() for name in _names_of(struct)) if strict else ()

    def decode(self, body: bytes) -> T:
        """The struct in a body; a byte order mark in front is skipped."""
        body = body.removeprefix(_BOM)
        if self._keys and any(body.count(key) > 1 for key in self._keys):
            _refuse_twice(body, self._struct)
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise wrong_shape(str(error)) from None
        except msgspec.DecodeError as error:
            trailing = _TRAILING.search(str(error)) if self._strict else None
            if trailing:
                return self.decode(body[: int(trailing[1]) - 1])
            raise NotJson(_not_json(str(error), body)) from None
        except UnicodeDecodeError:
            msg = "the body is not JSON: it holds bytes that are not UTF-8"
            raise NotJson(msg) from None
        except RecursionError:
            msg = "the body is nested too deeply"
            raise NotJson(msg) from None


def _fields_of(struct: type) -> dict[str, type]:
    """The keys of a struct, each with the struct that its value is, or with NoneType."""
    if not (isinstance(struct, type) and issubclass(struct, msgspec.Struct)):
        return {}
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)  # noqa: S101 - that of a struct
    return {field.encode_name: _struct_in(field.type) for field in info.fields}


def _struct_in(kind: msgspec.inspect.Type) -> type:
    """The struct of a type that is one, or may be one; else NoneType."""
    if isinstance(kind, msgspec.inspect.Metadata):
        return _struct_in(kind.type)
    members = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    return next((member.cls for member in members if isinstance(member, msgspec.inspect.StructType)), NoneType)


def _names_of(struct: type) -> set[str]:
    """The keys of a struct and of those in it."""
    fields = _fields_of(struct)
    return set(fields).union(*map(_names_of, fields.values()))


class _Pairs(dict[str, object]):
    """An object of JSON, and the keys that it has twice."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        self.twice = {name for name, times in Counter(name for name, _ in pairs).items() if times > 1}


def _refuse_twice(body: bytes, struct: type) -> None:
    """Raise WrongShape for a key that an object has twice where a struct is read. What is not JSON passes."""
    try:
        value, _ = json.JSONDecoder(object_pairs_hook=_Pairs).raw_decode(body.decode().lstrip())
    except (ValueError, RecursionError):
        return
    _refuse_keys(value, struct, "")


def _refuse_keys(value: object, struct: type, path: str) -> None:
    if not isinstance(value, _Pairs):
        return
    for name, within in _fields_of(struct).items():
        if name in value.twice:
            msg = f"the field '{path}{name}' occurs twice"
            raise WrongShape(msg, param=name)
        _refuse_keys(value.get(name), within, f"{path}{name}.")


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body is larger than {limit} bytes; send fewer texts a request, or raise the server's limit"
    )


def _not_json(what: str, body: bytes) -> str:
    if not body.strip():
        return "the body is empty; it must be a JSON object"
    if body.startswith(_GZIP):
        return "the body is compressed (gzip), and none is unpacked here; send it as it is, without Content-Encoding"
    if b"\\ud" in body.lower() and ("truncated" in what or "surrogate" in what):
        # msgspec reads past the string's end while it looks for the second half of the pair.
        return "the body is not JSON: a \\ud800 to \\udfff escape stands alone; such an escape needs its other half"
    return f"the body is not JSON: {what.removeprefix('JSON is malformed: ')}"


def wrong_shape(what: str, kind: str = "field") -> WrongShape:
    """Turn msgspec's words into ours: "Expected `int`, got `str` - at `$.input[0]`"."""
    match = _AT.match(what)
    text, path = (match["what"], match["path"]) if match else (what, None)
    field = _FIELD.match(path or "")
    missing = _MISSING.match(text)
    if missing:
        place = f" in {path.removeprefix('$.')}" if path and field else ""
        return WrongShape(f"the {kind} '{missing[1]}' is missing{place}", param=field[1] if field else missing[1])
    where = path.removeprefix("$.") if path else "the body"
    sentence = f"{where}: {text[0].lower()}{text[1:].replace('`', '')}"
    if "int >=" in sentence or "int <=" in sentence or "out of range" in sentence:
        sentence += _ids_hint(where)
    return WrongShape(sentence, param=field[1] if field else None)


def _ids_hint(where: str) -> str:
    if not _IDS.match(where):
        return ""
    return (
        "; token ids must be the model's own. LangChain sends OpenAI's ids unless OpenAIEmbeddings has "
        "check_embedding_ctx_length=False"
    )
