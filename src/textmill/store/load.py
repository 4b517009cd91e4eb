"""The composition root: a model's name and options become a `Model` that is ready to answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from textmill.arch.heads import Output
from textmill.arch.program import build
from textmill.arch.shapes import Shape, check
from textmill.cache.cache import Cache
from textmill.checkpoint.hub import Location, resolve
from textmill.checkpoint.recipe import Recipe, load_tensors, read_recipe
from textmill.checkpoint.source import Ask
from textmill.checkpoint.static import rows_said
from textmill.checkpoint.tokenizer import Tokenizer
from textmill.config import ModelOptions, available_threads, cache_folder, hub_endpoint, model_options, network_fault
from textmill.contract import USUAL, BatchReport, EmbedDefaults
from textmill.engine.engine import Engine, Policy
from textmill.errors import ConfigInvalid
from textmill.runtimes.pages import Pages
from textmill.runtimes.runtime import BATCH_ROWS, Calibration, Runtime, Target, compile_file, compile_program
from textmill.store.caching import open_cache, recall_of
from textmill.store.calibration import calibration
from textmill.store.fingerprint import Fingerprinted, expect_fingerprint
from textmill.store.info import Served, describe
from textmill.store.model import Model
from textmill.store.verbs import Verbs, make_verbs
from textmill.store.wishes import bounded, prompted

DEFAULT_MODEL = "all-MiniLM-L6-v2"

TOKENIZATION_WORKERS = 2
"""Enough to keep one engine fed: each of them tokenises with all cores."""

Observer = Callable[[str, BatchReport], None]
"""Told of every batch of the model with that name."""


def load(model: str = DEFAULT_MODEL, **options: Any) -> Model:
    """Load a model and make it ready to answer.

    Args:
        model: a folder in the layout of sentence-transformers or transformers, a hub id such as ``BAAI/bge-small-en-v1.5``,
            or a name that an installed package carries, such as ``all-MiniLM-L6-v2``.
        options: the fields of `textmill.config.ModelOptions`: ``revision``, ``token``, ``offline``, ``backend``, ``file``, ``device``,
            ``dtype``, ``threads`` …; what is not given comes from the environment (``TEXTMILL_DTYPE`` …) or its default.

    Returns:
        A `Model`; close it, or use it as a context manager.

    Raises:
        ModelNotFound: nothing of that name is here, cached or on the hub.
        DownloadFailed: the hub, the network or the disk failed while it was fetched; trying again may help.
        ModelBroken: its files are missing, damaged or of a kind that textmill does not run.
        ConfigInvalid: an option is unknown or impossible.
        ExtraMissing: the backend's framework is not installed.
    """
    return load_model(model, model_options(options))


def load_model(
    model: str,
    options: ModelOptions,
    observe: Observer = lambda _name, _report: None,
    *,
    called: str | None = None,
    defaults: EmbedDefaults = USUAL,
    bar: type[Any] | None = None,
    cache: Cache | None = None,
) -> Model:
    """`load` with options that are checked already, and an observer of its batches; the model is ``called`` so, or by its own name.

    ``bar`` is a class like tqdm's that is told of the bytes of a download, None for huggingface_hub's own. The model shares the
    ``cache`` with others; without one it has its own, where the options want one.
    """
    location = locate(model, options, bar)
    name = called or location.name
    recipe = bounded(prompted(recipe_of(location, options), options), options)
    workers = options.tokenization_workers or TOKENIZATION_WORKERS
    pool = ThreadPoolExecutor(workers, thread_name_prefix=f"textmill-{name}-tokenize")
    with ExitStack() as undo:
        undo.callback(pool.shutdown, wait=False)
        # The tokenizer and the hash take as long as compiling and hold no lock meanwhile, so they run beside it.
        tokenizer = pool.submit(_tokenizer, recipe)
        digest = pool.submit(recipe.weights_sha256)
        runtime, widths = _compile(
            recipe, options, lambda: calibration(recipe, tokenizer.result(), digest.result(), cache_folder())
        )
        labels = _labels(recipe, widths)
        engine = _engine(runtime, name, options, observe)
        undo.callback(engine.close, 0.0)
        verbs = make_verbs(recipe, tokenizer.result(), widths, labels, defaults)
        _expect_task(options, verbs)
        _expect_states(defaults, widths)
        files = Fingerprinted(recipe, digest.result(), runtime.facts.dtype, defaults)
        info = describe(
            location,
            recipe,
            verbs.tasks,
            labels,
            widths.get("dense" if defaults.pooling == "own" else "tokens", 0),
            runtime.facts,
            fingerprint=str(files),
            around=tokenizer.result().around,
            served=Served(name, engine.policy.batch_tokens, engine.policy.batch_rows, workers),
            defaults=defaults,
        )
        expect_fingerprint(options.expect_fingerprint, info, files)
        engine.start()
        own = open_cache(options) if cache is None else None
        undo.pop_all()
    kept = cache or own
    return Model(info, verbs, engine, pool, recall=recall_of(kept, info) if kept else None, cache=own)


def weigh(model: str, options: ModelOptions, bar: type[Any] | None = None) -> int:
    """The bytes of a model's weights, which are brought to this machine if need be; blocks. Raises what `load` raises."""
    folder = locate(model, options, bar).folder
    if options.file is not None:
        chosen = folder / options.file
        return sum(path.stat().st_size for path in (chosen, chosen.with_suffix(".bin")) if path.is_file())
    kinds = ((".safetensors",), (".onnx",), (".xml", ".bin"))
    sizes = (sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in kind) for kind in kinds)
    return next((size for size in sizes if size), 0)


def locate(model: str, options: ModelOptions, bar: type[Any] | None = None) -> Location:
    """Where a model's files are, brought to this machine if need be; blocks. Raises what `load` raises."""
    fault = network_fault()
    return resolve(
        model,
        revision=options.revision,
        token=options.token,
        offline=options.offline,
        cache_dir=Path(options.cache_dir) if options.cache_dir else None,
        backend=options.backend,
        endpoint=None if fault else hub_endpoint(),
        file=options.file,
        bar=bar,
        fault=fault,
    )


def recipe_of(location: Location, options: ModelOptions) -> Recipe:
    """What the files of a model say of it, read as the options have them. Raises ModelBroken."""
    return read_recipe(location.folder, _ask(options))


def _ask(options: ModelOptions) -> Ask:
    return Ask(
        task=None if options.task == "auto" else options.task,
        pooling=None if options.pooling == "auto" else options.pooling.replace("-", ""),
        backend=options.backend,
        file=options.file,
        dense_path=options.dense_path,
        max_seq_length=options.max_seq_length,
    )


def _tokenizer(recipe: Recipe) -> Tokenizer:
    folder, vocabulary, static = recipe.transformer_folder, recipe.vocabulary, recipe.static
    table: dict[str, Any] = {"special": False, "blank": vocabulary - 1, "said": rows_said(folder)} if static else {}
    return Tokenizer(folder, vocabulary=vocabulary, lowercase=recipe.lowercase, max_tokens=recipe.max_tokens, **table)


def _expect_task(options: ModelOptions, verbs: Verbs) -> None:
    if options.task not in ("auto", *verbs.tasks):
        msg = f"task is {options.task!r}, but this model's files let it do {', '.join(verbs.tasks)} only"
        raise ConfigInvalid(msg)


def _expect_states(defaults: EmbedDefaults, widths: Mapping[Output, int]) -> None:
    if defaults.pooling != "own" and "tokens" not in widths:
        msg = f"pooling is {defaults.pooling!r}, but this model gives no states of tokens"
        raise ConfigInvalid(msg)


def _check_labels(recipe: Recipe, shapes: Mapping[Output, Shape]) -> None:
    """`_labels`, for messages that name the tensor."""
    shape = shapes.get("logits") or shapes.get("token_logits")
    if recipe.kind.classes is not None and shape is not None:
        recipe.kind.classes.named(shape.axes[-1], f"its {shape.source}")


def _labels(recipe: Recipe, widths: Mapping[Output, int]) -> tuple[str, ...]:
    """The names of the scores that the model's head makes; raises ModelBroken where config.json has more or fewer."""
    count = widths.get("logits") or widths.get("token_logits")
    return () if recipe.kind.classes is None or count is None else recipe.kind.classes.named(count, "the model's last")


def _engine(runtime: Runtime, name: str, options: ModelOptions, observe: Observer) -> Engine:
    tokens = min(runtime.facts.batch_tokens, options.max_batch_tokens or runtime.facts.batch_tokens)
    policy = Policy(
        batch_tokens=tokens,
        batch_rows=options.max_batch_requests or BATCH_ROWS,
        waiting_tokens=options.max_queue_tokens,
    )
    return Engine(runtime, policy, name=name, observe=lambda report: observe(name, report))


def _compile(
    recipe: Recipe, options: ModelOptions, calibrate: Callable[[], Calibration]
) -> tuple[Runtime, dict[Output, int]]:
    """The runtime of a recipe, and the width of each of its outputs."""
    target = Target(
        max_tokens=recipe.max_tokens,
        device=options.device,
        dtype=options.dtype,
        threads=options.threads or available_threads(),
        batch_tokens=None if options.fit_batches else options.max_batch_tokens,
        batch_rows=options.max_batch_requests or BATCH_ROWS,
        calibrate=calibrate,
    )
    tensors = load_tensors(recipe)
    if recipe.artefact is not None:
        return compile_file(recipe.artefact.path, recipe.outputs, tensors, target, vocabulary=recipe.vocabulary)
    program = build(recipe.config, tensors, recipe.outputs)
    with Pages(tensors.values()).dropped():  # every weight is looked at
        shapes = check(program)
    _check_labels(recipe, shapes)
    widths = {output: shape.axes[-1] for output, shape in shapes.items()}
    return compile_program("torch" if options.backend == "torch" else "openvino", program, target), widths
