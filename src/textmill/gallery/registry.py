"""OCI registries: a tag becomes a manifest, the manifest one layer, the layer a URL with its digest (OCI distribution spec)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlencode

import msgspec

from textmill.errors import InvalidInput, ModelBroken, ModelNotFound
from textmill.gallery.stop import Stop
from textmill.gallery.uri import Image
from textmill.gallery.web import Small, Web

_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
_OLLAMA_MODEL = "application/vnd.ollama.image.model"
_TITLE = "org.opencontainers.image.title"
_LIMIT = 4 << 20
_UNAUTHORISED = 401


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer that is a file: ``title`` is its name where the manifest says it."""

    url: str
    sha256: str
    size: int
    title: str | None
    headers: dict[str, str] = field(repr=False)


class _Layer(msgspec.Struct, frozen=True):
    digest: Annotated[str, msgspec.Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
    size: int = 0
    mediaType: str = ""  # noqa: N815 - the registry's name
    annotations: dict[str, str] | None = None
    platform: dict[str, object] | None = None


class _Manifest(msgspec.Struct, frozen=True):
    layers: tuple[_Layer, ...] = ()
    manifests: tuple[_Layer, ...] = ()


def locate(image: Image, web: Web, stop: Stop) -> Blob:
    """The one layer of an image that is a model's file.

    Raises ModelNotFound where the registry has no such image, ModelBroken where the image has no such layer or several.
    """
    headers: dict[str, str] = {}
    manifest = _manifest(image, image.reference, headers, web, stop)
    if manifest.manifests:
        chosen = _for_linux(manifest.manifests)
        manifest = _manifest(image, chosen.digest, headers, web, stop)
    layer = _model_layer(manifest.layers, image)
    return Blob(
        f"{image.registry}/v2/{image.repository}/blobs/{layer.digest}",
        layer.digest.removeprefix("sha256:"),
        layer.size,
        (layer.annotations or {}).get(_TITLE),
        headers,
    )


def _manifest(image: Image, reference: str, headers: dict[str, str], web: Web, stop: Stop) -> _Manifest:
    """A manifest; puts the token that it took into ``headers``."""
    url = f"{image.registry}/v2/{image.repository}/manifests/{reference}"
    accept = {"Accept": ", ".join((*_MANIFESTS, *_INDEXES))}
    got = web.get(url, limit=_LIMIT, stop=stop, headers={**accept, **headers}, accepted=frozenset({_UNAUTHORISED}))
    if got.status == _UNAUTHORISED:
        headers["Authorization"] = f"Bearer {_token(got, image, web, stop)}"
        got = web.get(url, limit=_LIMIT, stop=stop, headers={**accept, **headers})
    if reference.startswith("sha256:") and hashlib.sha256(got.body).hexdigest() != reference.removeprefix("sha256:"):
        msg = f"{image.registry} sends another manifest of {image.repository} than {reference}"
        raise ModelBroken(msg)
    try:
        return msgspec.json.decode(got.body, type=_Manifest)
    except msgspec.DecodeError as error:
        msg = f"the manifest {url} is none that textmill can read: {error}"
        raise ModelBroken(msg) from error


def _token(refused: Small, image: Image, web: Web, stop: Stop) -> str:
    """An anonymous token from where the registry says (the docs of Docker's distribution, token authentication)."""
    challenge = refused.headers.get("www-authenticate", "")
    fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    if not challenge.lower().startswith("bearer ") or "realm" not in fields:
        msg = f"{image.registry} does not let us read {image.repository} without credentials"
        raise ModelNotFound(msg)
    asked = {"scope": fields.get("scope") or f"repository:{image.repository}:pull"}
    if "service" in fields:
        asked["service"] = fields["service"]
    answer = web.get(f"{fields['realm']}?{urlencode(asked)}", limit=_LIMIT, stop=stop)
    try:
        given = msgspec.json.decode(answer.body, type=dict[str, object])
    except msgspec.DecodeError:
        given = {}
    token = given.get("token") or given.get("access_token")
    if not isinstance(token, str):
        msg = f"{image.registry} gives no token for {image.repository}; is it private?"
        raise ModelNotFound(msg)
    return token


def _for_linux(manifests: Sequence[_Layer]) -> _Layer:
    """The manifest for this kind of machine, else the first: models are the same on all."""
    fitting = (each for each in manifests if (each.platform or {}).get("architecture") == "amd64")
    return next(fitting, manifests[0])


def _model_layer(layers: Sequence[_Layer], image: Image) -> _Layer:
    name = f"{image.repository}:{image.reference}"
    if image.ollama:
        found = [layer for layer in layers if layer.mediaType == _OLLAMA_MODEL]
    else:
        found = [layer for layer in layers if _TITLE in (layer.annotations or {})] or list(layers)
    if len(found) != 1:
        titles = ", ".join((layer.annotations or {}).get(_TITLE, layer.digest[:19]) for layer in found) or "none"
        msg = f"{name} should have one layer that is a model, and has {len(found)} ({titles})"
        raise ModelBroken(msg)
    if "tar" in found[0].mediaType and _TITLE not in (found[0].annotations or {}):
        msg = f"{name} is an archive of a file system, which textmill does not unpack; ask for an artefact with the model as its layer"
        raise InvalidInput(msg, param="url")
    return found[0]
