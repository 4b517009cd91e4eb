"""What the addresses of models mean: hub files and repositories, GitHub, http, files, OCI and Ollama registries."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from textmill.errors import InvalidInput
from textmill.gallery.access import HUB, Access, host_and_port, shown

_SEGMENT = re.compile(r"[A-Za-z0-9][\w.-]*")
_REFERENCE = re.compile(
    r"(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_REGISTRIES = ("quay.io/", "ghcr.io/", "docker.io/")
_HUB_PREFIXES = ("huggingface://", "hf://", "hf.co/", "huggingface.co/")
_FILE_PARTS = 3
_FORMS = (
    "huggingface://owner/repo/file, owner/repo, owner/repo/file, github:owner/repo/file@branch, https://…, file:///…, "
    "ollama://name:tag, oci://registry/repository:tag"
)


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file in a repository of the Hugging Face hub."""

    repo: str
    path: str
    revision: str = "main"


@dataclass(frozen=True, slots=True)
class Repository:
    """A whole repository of the Hugging Face hub."""

    repo: str
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Url:
    """A file of the web."""

    url: str


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class Image:
    """An artefact in an OCI registry; ``reference`` is a tag or a digest, ``ollama`` says that its model layer is wanted."""

    registry: str
    repository: str
    reference: str
    ollama: bool = False


Uri = HubFile | Repository | Url | LocalFile | Image


def parse(text: str, access: Access) -> Uri:
    """What an address means; raises InvalidInput, with the forms there are, for what is none of them.

    Links to files of huggingface.co are hub files: they are fetched from the endpoint that the operator has named.
    """
    text = text.strip()
    hub = next((prefix for prefix in _HUB_PREFIXES if text.startswith(prefix)), None)
    if hub is not None:
        return _hub(text.removeprefix(hub), text)
    scheme, separator, rest = text.partition("://")
    if separator:
        return _with_scheme(scheme.lower(), rest, text, access)
    if text.startswith("github:"):
        return _github(text.removeprefix("github:"), text, access)
    if text.startswith(_REGISTRIES):
        return _image(text, text)
    return _hub(text, text)


def url_of(uri: HubFile, access: Access) -> str:
    """Where the hub serves a file."""
    return f"{access.endpoint.rstrip('/')}/{uri.repo}/resolve/{quote(uri.revision, safe='')}/{quote(uri.path)}"


def canonical(uri: Uri) -> str:
    """One spelling for all addresses of the same thing, without mirrors, and without what may be secret in a URL."""
    match uri:
        case HubFile(repo=repo, path=path, revision=revision):
            return f"huggingface://{repo}/{path}@{revision}"
        case Repository(repo=repo, revision=revision):
            return f"huggingface://{repo}@{revision or 'main'}"
        case Url(url=url):
            bare, query, rest = url.partition("?")
            return f"{bare}?{hashlib.sha256(rest.encode()).hexdigest()[:8]}" if query else bare
        case LocalFile(path=path):
            return path.as_uri()
        case Image(registry=registry, repository=repository, reference=reference):
            return f"{registry}/{repository}:{reference}"


def file_name(uri: Uri) -> str:
    """The last name in an address, as the name of a file in the models folder."""
    match uri:
        case HubFile(path=path):
            return path.rpartition("/")[2]
        case Url(url=url):
            return unquote(urlsplit(url).path).rpartition("/")[2]
        case LocalFile(path=path):
            return path.name
        case Repository(repo=repo):
            return repo.rpartition("/")[2]
        case Image(repository=repository, reference=reference, ollama=ollama):
            stem = repository.removeprefix("library/").replace("/", "-")
            tag = reference.partition(":")[2][:12] if reference.startswith("sha256:") else reference
            return f"{stem}-{tag}.gguf" if ollama else f"{stem}-{tag}"


def _with_scheme(scheme: str, rest: str, text: str, access: Access) -> Uri:
    match scheme:
        case "http" | "https":
            return _web(text, access)
        case "file":
            return _local(text)
        case "github":
            return _github(rest, text, access)
        case "oci":
            return _image(rest, text)
        case "ollama":
            return _ollama(rest, text, access)
    msg = f"{shown(text)!r} has a scheme that textmill does not fetch; it takes {_FORMS}"
    raise InvalidInput(msg, param="url")


def _hub(rest: str, text: str) -> HubFile | Repository:
    path, _, revision = rest.partition("@")
    parts = path.split("/")
    if len(parts) < _FILE_PARTS - 1 or not all(parts) or not all(map(_SEGMENT.fullmatch, parts[:2])) or ".." in parts:
        msg = f"{shown(text)!r} is no address of a model; textmill takes {_FORMS}"
        raise InvalidInput(msg, param="url")
    repo = "/".join(parts[:2])
    if len(parts) < _FILE_PARTS:
        return Repository(repo, revision or None)
    return HubFile(repo, "/".join(parts[2:]), revision or "main")


def _github(rest: str, text: str, access: Access) -> Url:
    path, _, branch = rest.partition("@")
    parts = path.split("/")
    if len(parts) < _FILE_PARTS or not all(parts) or ".." in parts:
        msg = f"{shown(text)!r} is no file on GitHub; write github:owner/repo/path/to/file@branch"
        raise InvalidInput(msg, param="url")
    where = "/".join((*parts[:2], branch or "main", *parts[2:]))
    return Url(f"{access.github.rstrip('/')}/{quote(where)}")


def _web(text: str, access: Access) -> HubFile | Url:
    if not host_and_port(text):
        msg = f"{shown(text)!r} is no complete URL"
        raise InvalidInput(msg, param="url")
    parts = urlsplit(text)
    if parts.username or parts.password:
        msg = "a URL with a user name or password in it is not taken: it would end up in files and listings"
        raise InvalidInput(msg, param="url")
    if host_and_port(text) in (host_and_port(HUB), host_and_port(access.endpoint)):
        match [unquote(part) for part in parts.path.strip("/").split("/")]:
            case [owner, repo, "resolve" | "blob" | "raw", revision, *path] if path and ".." not in path:
                return HubFile(f"{owner}/{repo}", "/".join(path), revision)
    return Url(text)


def _local(text: str) -> LocalFile:
    parts = urlsplit(text)
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or not path.startswith("/") or "\x00" in path:
        msg = f"{shown(text)!r} is no file of this machine; write file:///path/to/file"
        raise InvalidInput(msg, param="url")
    return LocalFile(Path(path))


def _image(rest: str, text: str) -> Image:
    registry, _, name = rest.partition("/")
    found = _REFERENCE.fullmatch(name)
    if found is None or not re.fullmatch(r"[\w.-]+(:\d+)?", registry):
        msg = f"{shown(text)!r} is no image in a registry; write oci://registry/repository:tag"
        raise InvalidInput(msg, param="url")
    repository = found["repository"]
    if registry == "docker.io":
        registry, repository = "registry-1.docker.io", repository if "/" in repository else f"library/{repository}"
    scheme = "http" if registry.partition(":")[0] in ("localhost", "127.0.0.1") else "https"
    return Image(f"{scheme}://{registry}", repository, found["digest"] or found["tag"] or "latest")


def _ollama(rest: str, text: str, access: Access) -> Image:
    name, _, tag = rest.partition(":")
    found = _REFERENCE.fullmatch(f"{name.lower()}:{tag or 'latest'}")
    if found is None:
        msg = f"{shown(text)!r} is no model of Ollama's registry; write ollama://name:tag"
        raise InvalidInput(msg, param="url")
    repository = found["repository"]
    repository = repository if "/" in repository else f"library/{repository}"
    return Image(access.ollama.rstrip("/"), repository, found["tag"] or "latest", ollama=True)
