"""The count of texts that fit their schemas must count those that do, and no others."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from bench.crowd_cases import CHAT, COMPLETE
from bench.schema_cases import SCHEMAS
from bench.schemas import KINDS, Asked, judged, main, requests

FITS = '{"a": "b", "n": 3, "ok": true}'
DONE = b"data: [DONE]\n\n"


def asked(path: str = CHAT, kind: str = "object", *, streamed: bool = False) -> Asked:
    return next(
        each for each in requests(path, 2 * len(KINDS), 1.5, 9) if (each.kind, each.streamed) == (kind, streamed)
    )


def whole(text: str, path: str = CHAT, reason: str = "stop") -> bytes:
    said: dict[str, Any] = {"message": {"content": text}} if path == CHAT else {"text": text}
    return json.dumps({"choices": [{**said, "finish_reason": reason}]}).encode()


def streamed(text: str, path: str = CHAT) -> bytes:
    choices: list[dict[str, Any]] = [
        {**({"delta": {"content": sign}} if path == CHAT else {"text": sign}), "finish_reason": None} for sign in text
    ]
    choices.append({**({"delta": {}} if path == CHAT else {"text": ""}), "finish_reason": "stop"})
    return b"".join(b"data: %b\n\n" % json.dumps({"choices": [each]}).encode() for each in choices) + DONE


@pytest.mark.parametrize("path", [CHAT, COMPLETE])
def test_texts_that_fit_pass_whole_and_streamed(path: str) -> None:
    assert not judged(asked(path), 200, whole(FITS, path))
    assert not judged(asked(path, streamed=True), 200, streamed(FITS, path))


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (whole(FITS[:-1]), "does not parse"),
        (whole(""), "does not parse"),
        (whole('{"a": "b", "n": NaN, "ok": true}'), "NaN is no JSON"),
        (whole('{"a": "b", "n": 121, "ok": true}'), "does not fit, 121 is greater"),
        (whole('{"a": "b", "n": 3}'), "does not fit, 'ok' is a required"),
        (whole(FITS, reason="length"), "ended by length"),
        (b'{"error": {"message": "no"}}', "no answer of that shape"),
    ],
)
def test_anything_else_is_told(body: bytes, sentence: str) -> None:
    assert re.search(sentence, judged(asked(), 200, body))


def test_a_refusal_and_broken_streams_are_told() -> None:
    assert "status 400" in judged(asked(), 400, b'{"error": {"message": "no"}}')
    assert "without an end" in judged(asked(streamed=True), 200, streamed(FITS).removesuffix(DONE))
    error = b'data: {"error": {"message": "no"}}\n\n'
    assert "no answer of that shape" in judged(asked(streamed=True), 200, error + DONE)


def test_formats_are_checked() -> None:
    right = {"date": "2026-11-27", "time": "10:00:00Z", "date-time": "2026-11-27T10:00:00Z", "ipv4": "1.2.3.4"}
    right |= {"uuid": "969f5abb-7bda-5ab7-eaca-77d782522ae4", "email": "a@b.org"}
    for name in ("date", "time", "date-time", "uuid", "ipv4"):
        wrong = json.dumps(right | {name: right[name] + "x"})
        assert "does not fit" in judged(asked(kind="formats"), 200, whole(wrong)), name
    assert not judged(asked(kind="formats"), 200, whole(json.dumps(right)))


def test_every_schema_is_one_and_is_asked_for_in_both_ways() -> None:
    made = list(requests(CHAT, 2 * len(KINDS), 1.5, 9))
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert {(each.kind, each.streamed) for each in made} == {(kind, way) for kind in KINDS for way in (False, True)}
    assert len({json.loads(each.case.body)["seed"] for each in made}) == len(made)


@pytest.mark.parametrize(("tokens", "code"), [("3000", 0), ("1", 1)], ids=["to the end", "cut off"])
def test_a_server_is_asked_and_the_exit_code_tells(capsys: pytest.CaptureFixture[str], tokens: str, code: int) -> None:
    assert main(["--requests", "4", "--tokens", tokens]) == code
    said = capsys.readouterr().out
    assert f"{0 if code else 8} of 8 parse and fit; 4 were streams" in said
    assert ("ended by length" in said) == bool(code)
