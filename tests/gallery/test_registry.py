from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from textmill.errors import InvalidInput, ModelBroken, ModelNotFound
from textmill.gallery.registry import Blob, locate
from textmill.gallery.stop import Stop
from textmill.gallery.uri import Image
from textmill.gallery.web import Web
from textmill.testing.fileserver import Fault, FileServer

WEIGHTS = b"GGUF" + b"x" * 100
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()
TITLE = "org.opencontainers.image.title"
INDEX = "application/vnd.oci.image.index.v1+json"
TAR = "application/vnd.oci.image.layer.v1.tar+gzip"


def layer(kind: str = "application/octet-stream", title: str | None = None, data: bytes = WEIGHTS) -> dict[str, Any]:
    made = {"digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data), "mediaType": kind}
    return made if title is None else {**made, "annotations": {TITLE: title}}


def serve(server: FileServer, reference: str, *layers: dict[str, Any]) -> bytes:
    data = json.dumps({"schemaVersion": 2, "layers": layers}).encode()
    server.files[f"/v2/o/r/manifests/{reference}"] = data
    return data


def found(server: FileServer, web: Web, reference: str = "v1", *, ollama: bool = False) -> Blob:
    return locate(Image(server.url(""), "o/r", reference, ollama), web, Stop())


def test_the_only_layer_is_the_model(server: FileServer, web: Web) -> None:
    serve(server, "v1", layer())

    assert found(server, web) == Blob(server.url(f"/v2/o/r/blobs/sha256:{SHA256}"), SHA256, len(WEIGHTS), None, {})


def test_a_titled_layer_is_the_model_and_has_its_name(server: FileServer, web: Web) -> None:
    serve(server, "v1", layer("application/json", data=b"{}"), layer(title="model.gguf"))

    assert (found(server, web).title, found(server, web).sha256) == ("model.gguf", SHA256)


def test_ollamas_model_layer_is_the_model(server: FileServer, web: Web) -> None:
    serve(
        server,
        "latest",
        layer("application/vnd.ollama.image.template", data=b"t"),
        layer("application/vnd.ollama.image.model"),
        layer("application/vnd.ollama.image.params", data=b"p"),
    )

    assert found(server, web, "latest", ollama=True).sha256 == SHA256


def test_of_an_index_the_manifest_for_this_kind_of_machine_is_taken(server: FileServer, web: Web) -> None:
    inner = serve(server, "inner", layer())
    digest = f"sha256:{hashlib.sha256(inner).hexdigest()}"
    server.files[f"/v2/o/r/manifests/{digest}"] = inner
    other = {"digest": f"sha256:{'0' * 64}", "platform": {"architecture": "s390x"}}
    ours = {"digest": digest, "platform": {"architecture": "amd64", "os": "linux"}}
    server.files["/v2/o/r/manifests/v1"] = json.dumps({"mediaType": INDEX, "manifests": [other, ours]}).encode()

    assert found(server, web).sha256 == SHA256


def test_an_anonymous_token_is_fetched_and_goes_with_the_blob(server: FileServer, web: Web) -> None:
    serve(server, "v1", layer())
    challenge = f'Bearer realm="{server.url("/token")}",service="reg",scope="repository:o/r:pull"'
    server.faults["/v2/o/r/manifests/v1"] = [Fault(status=401, headers={"WWW-Authenticate": challenge})]
    server.files["/token"] = b'{"token": "abc"}'

    blob = found(server, web)

    assert blob.headers == {"Authorization": "Bearer abc"}
    assert "abc" not in repr(blob)
    assert server.paths()[1] == "/token?scope=repository%3Ao%2Fr%3Apull&service=reg"
    assert server.asked[2].headers["authorization"] == "Bearer abc"


def test_a_token_is_not_fetched_from_a_private_address(server: FileServer, web: Web) -> None:
    challenge = 'Bearer realm="http://169.254.169.254/token"'
    server.always["/v2/o/r/manifests/v1"] = Fault(status=401, headers={"WWW-Authenticate": challenge})

    with pytest.raises(InvalidInput, match="link-local"):
        found(server, web)


@pytest.mark.parametrize("challenge", ["", 'Basic realm="x"', "Bearer"])
def test_a_registry_that_wants_credentials_is_told(server: FileServer, web: Web, challenge: str) -> None:
    server.always["/v2/o/r/manifests/v1"] = Fault(status=401, headers={"WWW-Authenticate": challenge})

    with pytest.raises(ModelNotFound, match="without credentials"):
        found(server, web)


@pytest.mark.parametrize("answer", [b"{}", b"text", b'{"token": 3}'])
def test_a_registry_that_gives_no_token_is_told(server: FileServer, web: Web, answer: bytes) -> None:
    challenge = f'Bearer realm="{server.url("/token")}"'
    server.always["/v2/o/r/manifests/v1"] = Fault(status=401, headers={"WWW-Authenticate": challenge})
    server.files["/token"] = answer

    with pytest.raises(ModelNotFound, match="no token"):
        found(server, web)


def test_an_unknown_image_is_told(server: FileServer, web: Web) -> None:
    with pytest.raises(ModelNotFound, match="does not exist"):
        found(server, web)


@pytest.mark.parametrize("layers", [(), (layer(title="a"), layer(title="b", data=b"2")), (layer(), layer(data=b"2"))])
def test_no_layer_or_several_are_told(server: FileServer, web: Web, layers: tuple[dict[str, Any], ...]) -> None:
    serve(server, "v1", *layers)

    with pytest.raises(ModelBroken, match=f"and has {len(layers)}"):
        found(server, web)


def test_an_archive_is_told(server: FileServer, web: Web) -> None:
    serve(server, "v1", layer(TAR))

    with pytest.raises(InvalidInput, match="does not unpack"):
        found(server, web)


@pytest.mark.parametrize("data", [b"text", b'{"layers": [{"digest": "sha256:../../x"}]}', b'{"layers": 3}', b"[]"])
def test_a_manifest_that_is_none_is_told(server: FileServer, web: Web, data: bytes) -> None:
    server.files["/v2/o/r/manifests/v1"] = data

    with pytest.raises(ModelBroken, match="is none that textmill can read"):
        found(server, web)


def test_a_manifest_that_is_not_that_of_its_digest_is_told(server: FileServer, web: Web) -> None:
    digest = f"sha256:{'a' * 64}"
    serve(server, digest, layer())

    with pytest.raises(ModelBroken, match="sends another manifest"):
        found(server, web, digest)
