"""`textmill doctor`: what is here, what each model resolves to and why, and what to do about each problem."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from textmill.cli.externals import externals
from textmill.cli.flags import Grouped, flags, spellings
from textmill.config import ServeOptions, Serving, serve_options, without_users
from textmill.config.serving import TABLES
from textmill.errors import ConfigInvalid

if TYPE_CHECKING:
    from textmill.cli.diagnosis import Finding
    from textmill.cli.setup import Setup
    from textmill.folder.model import Folder, ModelFile

_GB = 10**9
_SECRETS = re.compile(
    r"""(?:\A|(?<==))(?!github:)[^\s"'=,(\[{/:@]+:(?!\d*(?:/|\Z))[^\s"'/][^"'\n]*@(?!sha256:)     # user:password@ without a scheme, to begin with
    | (?<![^\s"'=,(\[{])(?!github:)[^\s"'=,(\[{/:@]+:(?!//|\d*(?:/|\Z))[^\s"']*@(?!sha256:)  # the same elsewhere, which has no blanks
    | (?<=[^\s"?]{8})\?[^\s"']*=[^\s"']*                                                     # a query""",
    re.VERBOSE,
)


@click.command(cls=Grouped)
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@flags(ServeOptions, without=("models",))
@spellings(*TABLES)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
@click.pass_context
def doctor(ctx: click.Context, /, as_json: bool, **given: Any) -> None:  # noqa: FBT001 - click's way
    """Say what textmill finds on this machine, and what to do about each problem; with the flags of textmill serve.

    No model is loaded. The exit code is 1 where something keeps the server or one of its models from working.
    """
    # At the call, as all commands are imported for each.
    from textmill.cli.diagnosis import Finding, diagnose  # noqa: PLC0415
    from textmill.cli.setup import look  # noqa: PLC0415
    from textmill.cli.unset import unset_in  # noqa: PLC0415
    from textmill.folder.scan import scan  # noqa: PLC0415

    found: list[Finding] = []
    try:
        serving = serve_options(given)
    except ConfigInvalid as error:
        found.append(
            Finding("error", "settings", str(error), "textmill serve would not start; what follows has defaults")
        )
        serving = serve_options({"models_path": given["models_path"]}, {})
    setup = look(serving.options)
    options = serving.options
    try:
        external = externals(options)
    except ConfigInvalid as error:
        found.append(
            Finding("error", "settings", str(error), "textmill serve would not start; models are shown without it")
        )
        external = {}
    config_files = (Path(options.models_config_file),) if options.models_config_file else ()
    folder = scan(
        Path(options.models_path),
        external=external,
        config_files=config_files,
        others=options.models,
        python=options.python_models,
    )
    found += diagnose(setup, serving, folder, unset_in(folder))
    report = _without_secrets(report_of(setup, serving, folder, found))
    click.echo(json.dumps(report, ensure_ascii=False, indent=2) if as_json else "\n".join(lines_of(report)))
    if any(finding.level == "error" for finding in found):
        ctx.exit(1)


def report_of(setup: Setup, serving: Serving, folder: Folder, found: Sequence[Finding]) -> dict[str, Any]:
    """Everything as JSON takes it; secrets are hidden."""
    values = dict(serving.options.__rich_repr__())
    return {
        "textmill": setup.textmill,
        "python": setup.python,
        "platform": setup.platform,
        "cpu": {**asdict(setup.cpu), "threads": setup.threads},
        "memory": asdict(setup.memory),
        "packages": [asdict(package) for package in setup.packages],
        "missing_extras": dict(setup.missing),
        "cache": {**asdict(setup.cache), "folder": str(setup.cache.folder)},
        "network": dict(setup.network),
        "options": {name: {"value": values[name], "from": where} for name, where in sorted(serving.origins.items())},
        "models_folder": str(folder.path),
        "models": [_model(model) for model in folder.files if model.listed],
        "aliases": {alias.name: alias.target for alias in folder.aliases},
        "problems": [asdict(finding) for finding in found],
    }


def _without_secrets(value: Any) -> Any:
    """The same without users, passwords and queries in the URLs of its texts."""
    if isinstance(value, str):
        return _SECRETS.sub(lambda found: "***@" if found[0].endswith("@") else "?***", without_users(value))
    if isinstance(value, dict):
        return {key: _without_secrets(each) for key, each in value.items()}
    return [_without_secrets(each) for each in value] if isinstance(value, (list, tuple)) else value


def _model(model: ModelFile) -> dict[str, Any]:
    from textmill.cli.diagnosis import fields_without_effect  # noqa: PLC0415 - as above

    return {
        "name": model.name,
        "file": f"{model.file}:{model.line}" if model.line else str(model.file),
        "model": model.model,
        "engine": model.engine,
        "can": list(model.capabilities),
        "disabled": model.disabled,
        "refusal": model.refusal,
        "reasons": list(model.reasons),
        "without_effect": list(fields_without_effect(model)),
    }


def lines_of(report: Mapping[str, Any]) -> Iterator[str]:
    """The report for a person."""
    cpu, memory, cache = report["cpu"], report["memory"], report["cache"]
    yield f"textmill {report['textmill']}, Python {report['python']}, {report['platform']}"
    yield f"CPU        {cpu['model'] or 'unknown'}, {cpu['threads']} of {cpu['cores']} threads; {', '.join(cpu['features'])}"
    limit = f", limited to {_size(memory['limit'])}" if memory["limit"] else ""
    yield f"memory     {_size(memory['total'])}, {_size(memory['available'])} available{limit}"
    yield f"hub cache  {cache['folder']}: {cache['repositories']} models, {_size(cache['size'])}; {_size(cache['free'])} free"
    yield "network    " + (", ".join(f"{name}={value}" for name, value in report["network"].items()) or "nothing set")
    there = [f"{each['name']} {each['version']}" for each in report["packages"] if each["version"]]
    yield f"installed  {', '.join(there)}"
    for extra, command in report["missing_extras"].items():
        yield f"missing    {extra}: {command}"
    yield "\nOptions that something states (all others have their defaults)"
    for name, each in report["options"].items():
        yield f"  {name} = {each['value']!r}, from {each['from']}"
    yield f"\nModels in {report['models_folder']}" + ("" if report["models"] else ": none")
    for model in report["models"]:
        yield from _lines_of_model(model)
    for name, target in report["aliases"].items():
        yield f"  {name}: another name of {target}"
    yield "\nProblems" + ("" if report["problems"] else ": none")
    for finding in report["problems"]:
        yield f"  {finding['level']}: {finding['about']}: {finding['sentence']}"
        if finding["advice"]:
            yield f"      {finding['advice']}"


def _lines_of_model(model: Mapping[str, Any]) -> Iterator[str]:
    state = "switched off" if model["disabled"] else "cannot be served" if model["refusal"] else "can be served"
    yield f"  {model['name']}: {state}; {', '.join(model['can']) or 'nothing known of what it does'}"
    yield f"      {model['file']}"
    yield f"      {model['engine']}: {model['model']}"
    for reason in model["reasons"]:
        yield f"      - {reason}"
    for each in model["without_effect"]:
        yield f"      - {each}"


def _size(count: int | None) -> str:
    return "unknown" if count is None else f"{count / _GB:.1f} GB"
