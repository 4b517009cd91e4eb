"""What `textmill models` tells of models, as plain values for tables and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from textmill.gallery.logged import human

if TYPE_CHECKING:
    from textmill.folder.model import Folder, ModelFile
    from textmill.gallery.gallery import Available

Row = dict[str, Any]
_SHORT = 60


def model_rows(folder: Folder, cache_dir: str | None) -> list[Row]:
    """The models, aliases and broken entries of a folder, by name."""
    rows = [_row(model, cache_dir) for model in folder.files if model.listed]
    rows += [
        {"name": alias.name, "does": [], "engine": "", "size": "", "state": f"another name of {alias.target}"}
        for alias in folder.aliases
    ]
    known = {row["name"] for row in rows}
    for problem in folder.problems:
        if problem.level == "error" and problem.model and problem.model not in known:
            known.add(problem.model)
            rows.append({"name": problem.model, "does": [], "engine": "", "size": "", "state": "broken"})
    return sorted(rows, key=lambda row: str(row["name"]))


def entry_rows(entries: Sequence[Available]) -> list[Row]:
    """The entries of galleries."""
    return [
        {
            "name": each.entry.name,
            "gallery": each.entry.gallery.name if each.entry.gallery else "",
            "backend": each.entry.backend,
            "size": each.entry.size,
            "installed": "yes" if each.installed else "",
            "description": _short(each.entry.description),
        }
        for each in entries
    ]


def details(folder: Folder, name: str, model: ModelFile | None, cache_dir: str | None) -> Row:
    """All that is known of a model, without what it does not have."""
    from textmill.folder.described import without_effect  # noqa: PLC0415 - not for lists

    problems = [str(problem) for problem in folder.problems if problem.model == (model.name if model else name)]
    if model is None:
        return {"name": name, "state": "broken", "problems": problems}
    place = f"{model.file}:{model.line}" if model.line else str(model.file)
    facts: Row = {
        **_row(model, cache_dir),
        "aliases": [alias.name for alias in folder.aliases if alias.target == model.name],
        "file": place,
        "model": model.model,
        "backend": model.backend,
        "reasons": list(model.reasons),
        "options": [f"{key}: {value}" for key, value in model.options.items()],
        "weights": _facts(model),
        "fields that do nothing yet": [f"{each.key}: {each.state}" for each in without_effect(model.fields)],
        "problems": problems,
    }
    return {key: value for key, value in facts.items() if value not in ("", [])}


def _row(model: ModelFile, cache_dir: str | None) -> Row:
    size = sum(stamp.size for stamp in model.stamps)
    return {
        "name": model.name,
        "does": list(model.capabilities),
        "engine": model.engine,
        "size": human(size) if size else "",
        "state": _state(model, cache_dir),
    }


def _state(model: ModelFile, cache_dir: str | None) -> str:
    """Whether it can be served, in a few words or the sentence why not."""
    if model.disabled:
        return "disabled"
    if model.refusal is not None:
        return f"cannot be served: {model.refusal}"
    if model.location.path is not None:
        return "ready"
    from textmill.checkpoint.hub import is_carried  # noqa: PLC0415 - as below

    here = model.location.repo and (_is_cached(model, cache_dir) or is_carried(model.location.repo))
    return "ready" if here else "is downloaded when it is first used"


def _is_cached(model: ModelFile, cache_dir: str | None) -> bool:
    from textmill.checkpoint.cache import find_snapshot  # noqa: PLC0415 - reads much for a few models

    revision = model.options.get("revision")
    found = find_snapshot(
        model.location.repo, str(revision) if revision else None, Path(cache_dir) if cache_dir else None
    )
    return found is not None and not found.missing


def _facts(model: ModelFile) -> list[str]:
    """What the weights say of themselves."""
    if model.facts is None:
        return []
    values = {name: getattr(model.facts, name) for name in model.facts.__dataclass_fields__ if name != "gguf"}
    return [f"{name}: {msgspec.to_builtins(value)}" for name, value in values.items() if value]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHORT else f"{line[:_SHORT]}…"
