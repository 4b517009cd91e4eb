"""Fetching a model from the Hugging Face hub, with errors a person can act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from textmill.checkpoint import artefacts
from textmill.checkpoint.cache import Snapshot, missing_files
from textmill.config import without_users
from textmill.errors import DownloadFailed, ModelBroken, ModelNotFound, TextmillError

TIMEOUT = 5.0
"""Seconds until a hub that does not answer counts as unreachable; huggingface_hub's own limit is none."""

CONFIGS = (
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_*_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "[0-9]*_*/*.json",
    "*_[0-9]_*/*.json",
    "router_config.json",
    "artifact.metadata",
    "adapter_config.json",
    "generation_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
)
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
HEADS = ("[0-9]*_*/model*.safetensors", "*_[0-9]_*/model*.safetensors", "*_linear.safetensors")


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the hub, and which of a repository's files are wanted.

    None means huggingface_hub's own default, which honours the HF_* variables; ``fault`` is what is wrong with these, so that nothing can be
    fetched. See `textmill.checkpoint.artefacts` for ``backend`` and ``file``. ``bar`` is a class like tqdm's that is told of the bytes, None for huggingface_hub's own.
    """

    token: str | None = None
    offline: bool = False
    cache_dir: Path | None = None
    endpoint: str | None = None
    backend: str = "auto"
    file: str | None = None
    bar: type[Any] | None = None
    fault: str = ""


def download(repo: str, revision: str | None, access: Access, hint: str) -> Snapshot:
    """Fetch the files of a repository that textmill needs into the cache.

    Raises ModelNotFound where the hub does not have it for us, or textmill is offline; DownloadFailed where the network, the hub or the disk
    fails; ModelBroken where the repository lacks files. The first two end in what to do, which may be ``hint``.
    """
    if access.fault and not access.offline:
        # Said before the library is imported, which does not come up with some of them.
        msg = f"{repo} is not in the cache, and cannot be fetched: {access.fault}"
        raise DownloadFailed(msg)
    # Imported here because it costs 0.2 s, and a model that is cached or installed does not need it.
    from huggingface_hub import HfApi, constants, snapshot_download  # noqa: PLC0415

    if access.offline or constants.HF_HUB_OFFLINE:
        msg = f"{repo} is not in the cache and textmill is offline. {hint}"
        raise ModelNotFound(msg)
    try:
        # Asked first because it is the one call that takes a time limit: without an answer to it, nothing else is tried.
        HfApi(endpoint=access.endpoint, token=access.token).model_info(repo, revision=revision, timeout=TIMEOUT)
        missing: tuple[str, ...] = ()
        for patterns in _patterns(access):
            found = Path(
                snapshot_download(
                    repo,
                    revision=revision,
                    cache_dir=access.cache_dir,
                    token=access.token,
                    endpoint=access.endpoint,
                    etag_timeout=TIMEOUT,
                    allow_patterns=list(patterns),
                    tqdm_class=access.bar,
                )
            )
            missing = tuple(missing_files(found, backend=access.backend, file=access.file))
            if not missing:
                break
    except failures() as error:
        raise explained(error, repo, revision, hint) from error
    if missing:
        graph = artefacts.is_asked_for(access.backend, access.file)
        raise ModelBroken(_without_graph(repo, missing) if graph else _lacking(repo, missing))
    return Snapshot(found, found.name, missing)


def _patterns(access: Access) -> list[tuple[str, ...]]:
    """What to fetch, step by step until nothing is missing.

    Weights come last: where they are in the cache, so are the files that say what to do with them.
    """
    graph = artefacts.patterns(access.backend, access.file)
    if artefacts.is_asked_for(access.backend, access.file):
        return [CONFIGS, (*HEADS, *graph)]
    return [CONFIGS, (*WEIGHTS, *HEADS), graph] if access.backend != "torch" else [CONFIGS, (*WEIGHTS, *HEADS)]


def failures() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises for a hub, a network or a disk that fails: of requests up to 0.x, of httpx since."""
    families: list[type[Exception]] = [OSError, ValueError]
    for library, name in (("httpx", "HTTPError"), ("httpx", "InvalidURL"), ("requests", "RequestException")):
        if find_spec(library) is not None:
            families.append(getattr(import_module(library), name))
    return tuple(families)


def explained(error: Exception, repo: str, revision: str | None, hint: str) -> TextmillError:
    """The error of a hub, a network or a disk that failed, with what to do."""
    # By name, because the classes' homes and ancestors differ between huggingface_hub's major versions.
    names = {cls.__name__ for cls in type(error).__mro__}
    if "GatedRepoError" in names:
        why = f"{repo} is gated: accept its terms at https://huggingface.co/{repo}, then run `hf auth login` and `hf download {repo}`."
    elif "RevisionNotFoundError" in names:
        why = f"{repo} has no revision {revision!r}; leave --revision out, or run `hf download {repo} --revision NAME` with one it has."
    elif "RepositoryNotFoundError" in names:
        why = (
            f"{repo} is not on the hub, or is private: check the spelling, or run `hf auth login` and `hf download {repo}`. "
            f"For a folder of your own, run `textmill serve ./{repo}`."
        )
    elif names & {"HFValidationError", "DisabledRepoError"}:
        why = f"the hub does not serve {repo!r}: {_first_line(error)}. {hint}"
    else:
        failed = f"{repo} is not in the cache, and fetching it from the hub failed ({_first_line(error)}). {hint}"
        return DownloadFailed(failed)
    return ModelNotFound(why)


def _first_line(error: Exception) -> str:
    return without_users(f"{type(error).__name__}: {error}").strip().splitlines()[0][:200].rstrip(".")


def _without_graph(repo: str, missing: Sequence[str]) -> str:
    return f"{repo} on the hub has no {', '.join(missing)}; leave --file and --backend out to run its safetensors"


def _lacking(repo: str, missing: Sequence[str]) -> str:
    name = repo.partition("/")[2]
    return (
        f"{repo} on the hub has no {', '.join(missing)}. Where sentence-transformers is installed, convert it with "
        f'`python -c "from sentence_transformers import SentenceTransformer as S; S({repo!r}).save_pretrained({name!r})"` '
        f"and run `textmill serve ./{name}`."
    )
