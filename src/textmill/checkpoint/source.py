"""The JSON files of a model's folder, opened once: what the kinds of model are told apart by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from textmill.arch import opaque
from textmill.arch.config import parse_config
from textmill.arch.families import architecture
from textmill.checkpoint import static as static_tables
from textmill.checkpoint.artefacts import Artefact, choose, is_asked_for
from textmill.checkpoint.jsonfile import JsonFile
from textmill.checkpoint.modules import MODULES, Module, class_name, read_modules, read_router, with_dense
from textmill.errors import ModelBroken

_TRANSFORMER_CONFIGS = tuple(
    f"sentence_{family}_config.json"
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What the user says about a model because its files may not.

    ``task`` is a verb; ``pooling`` a way to pool tokens, by the name that heads have for it, or ``splade``. ``backend`` and
    ``file`` choose among what a repository ships; see `textmill.checkpoint.artefacts`. ``dense_path`` is the folder of the
    Dense module to run in place of the only one in modules.json, ``max_seq_length`` how many tokens an input has at most.
    """

    task: str | None = None
    pooling: str | None = None
    backend: str = "auto"
    file: str | None = None
    dense_path: str | None = None
    max_seq_length: int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A model's folder, read.

    ``modules`` are those of modules.json, none for a bare transformers folder; where a Router sends queries elsewhere, they
    are the documents', and ``query_modules`` the queries'. ``inside`` is the transformer's own folder,
    with ``settings`` (sentence_bert_config.json), ``config`` and ``tokenizer`` (tokenizer_config.json) of it; ``model`` is
    config_sentence_transformers.json. ``architecture`` is the module for the config, ``parsed`` its Config; both are
    of `textmill.arch.opaque` where an ``artefact`` is run.
    """

    folder: Path
    inside: Path
    modules: Sequence[Module]
    query_modules: Sequence[Module]
    settings: JsonFile
    config: JsonFile
    tokenizer: JsonFile
    model: JsonFile
    architecture: ModuleType
    parsed: Any
    artefact: Artefact | None
    ask: Ask

    @property
    def trained_as(self) -> str:
        """The first class name of config.json's architectures, such as BertForSequenceClassification; empty where none."""
        names = self.config.get("architectures", list, [])
        return str(names[0]) if names else ""


def open_source(folder: Path, ask: Ask) -> Source:
    """Read the files that say what a model is.

    Raises ModelBroken, naming the file, for what is missing, ill-typed, or not something that textmill runs.
    """
    modules, query_modules = _modules(folder)
    if ask.dense_path is not None:
        modules = with_dense(modules, folder, ask.dense_path)
    inside = folder / modules[0].path if modules else folder
    _refuse_adapter(inside / "adapter_config.json")
    paths = [inside / name for name in _TRANSFORMER_CONFIGS]
    settings = JsonFile.read_if_there(next((path for path in paths if path.is_file()), paths[0]))
    static = bool(modules) and class_name(modules[0], folder) == static_tables.MODULE
    if static and is_asked_for(ask.backend, ask.file):
        asked = f"--backend {ask.backend}" if ask.file is None else f"--file {ask.file}"
        msg = (
            f"{inside} is a table of static embeddings, of which textmill runs the safetensors only; leave {asked} out"
        )
        raise ModelBroken(msg)
    config = static_tables.read_config(inside) if static else JsonFile.read(inside / "config.json")
    # sentence-transformers lets its own file override config.json.
    overrides = {**settings.get("config_args", dict, {}), **settings.get("config_kwargs", dict, {})}
    config = JsonFile(config.path, {**config.data, **overrides})
    artefact = choose(inside, backend=ask.backend, file=ask.file)
    module, parsed = _understood(config, artefact)
    model = JsonFile.read_if_there(folder / "config_sentence_transformers.json") if modules else JsonFile(folder, {})
    return Source(
        folder=folder,
        inside=inside,
        modules=modules,
        query_modules=query_modules,
        settings=settings,
        config=config,
        tokenizer=JsonFile.read_if_there(inside / "tokenizer_config.json"),
        model=model,
        architecture=module,
        parsed=parsed,
        artefact=artefact,
        ask=ask,
    )


def _refuse_adapter(file: Path) -> None:
    """Raise ModelBroken for an adapter of PEFT: transformers would add it to the weights, or to those of another model."""
    if file.is_file():
        msg = f"{file} is of a PEFT adapter, which textmill does not apply; merge it into its base model and save that"
        raise ModelBroken(msg)


def _understood(config: JsonFile, artefact: Artefact | None) -> tuple[ModuleType, Any]:
    """The architecture of a config.json and its Config; architectures know no folders, so their messages get the path here."""
    try:
        if artefact:
            return opaque, opaque.read_config(config.data)
        module = architecture(config.data)
        return module, parse_config(module.Config, config.data)
    except ModelBroken as error:
        said = str(error)
        name = config.path.name
        told = f"{config.path}{said.removeprefix(name)}" if said.startswith(name) else f"{config.path}: {said}"
        raise ModelBroken(told) from error


def _modules(folder: Path) -> tuple[list[Module], list[Module]]:
    """The entries of modules.json, the first being a Transformer, and those for queries where a Router has others.

    None for a bare transformers folder.
    """
    if not folder.is_dir():
        msg = f"the model's folder {folder} is missing"
        raise ModelBroken(msg)
    if not (folder / MODULES).is_file():
        return static_tables.model2vec_modules(folder), []
    modules, query_modules = read_modules(folder), list[Module]()
    if class_name(modules[0], folder) == "Router":
        routes = read_router(folder, modules[0])
        if set(routes) != {"query", "document"} or not routes["document"]:
            msg = f"{folder / MODULES} routes by {', '.join(routes)}; textmill runs routers with query and document"
            raise ModelBroken(msg)
        modules, query_modules = [*routes["document"], *modules[1:]], routes["query"]
    if class_name(modules[0], folder) not in ("Transformer", "MLMTransformer", static_tables.MODULE):
        msg = (
            f"{folder / MODULES} begins with {modules[0].kind}; "
            f"textmill runs models that begin with a Transformer or a {static_tables.MODULE}"
        )
        raise ModelBroken(msg)
    return modules, query_modules
