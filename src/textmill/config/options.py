"""Every option, once: its name, type, limits, default and help. Flags, environment and YAML are views of these structs.

``extra`` says of an option that it is a ``secret`` or a ``guard`` (see `Option`), which ``group`` of the help it and those behind it are in, and its ``short``
flag.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from textmill.config.option import hidden, options_of

Count = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65535)]
# An empty key would let everyone in who sends none; it comes from an unset variable in a script.
Word = Annotated[str, Meta(min_length=1)]
Route = Annotated[str, Meta(pattern="^/")]


GALLERY_OPTIONS = (
    *("models_path", "galleries", "download_host", "token", "offline", "cache_dir", "config"),
    *("models_config_file", "external_grpc_backends", "python_models"),
)
"""Those of `ServeOptions` that the commands about installed models take."""


class _Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A struct whose secrets do not show when it is printed or logged."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        values = [(option, getattr(self, option.name)) for option in options_of(type(self))]
        return [(option.name, hidden(value) if option.secret else value) for option, value in values]


class ModelOptions(_Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model is found and run; the keywords of `textmill.load`."""

    revision: Annotated[
        str | None, Meta(description="Commit, tag or branch of a model on the hub.", extra={"group": "Model"})
    ] = None
    token: Annotated[
        str | None, Meta(description="Access token for the hub; also HF_TOKEN.", extra={"secret": True})
    ] = None
    offline: Annotated[bool, Meta(description="Use files on this machine only; also HF_HUB_OFFLINE.")] = False
    cache_dir: Annotated[
        str | None, Meta(description="Folder of the hub's cache; also HF_HUB_CACHE or HF_HOME (its folder hub).")
    ] = None
    task: Annotated[
        Literal["auto", "embed", "embed_sparse", "embed_multi", "classify", "classify_tokens", "rerank"],
        Meta(description="What to use the model for; auto goes by its files."),
    ] = "auto"
    pooling: Annotated[
        Literal["auto", "cls", "mean", "last-token", "splade"],
        Meta(description="How tokens become one vector; auto goes by the model's files."),
    ] = "auto"
    default_prompt_name: Annotated[
        Word | None, Meta(description="The model's own prompt for texts whose request names none.")
    ] = None
    default_prompt: Annotated[
        str | None,
        Meta(
            description="What stands before texts whose request names no prompt; an empty one switches the model's off."
        ),
    ] = None
    dense_path: Annotated[
        Word | None, Meta(description="Folder of the Dense module to use in place of that in modules.json.")
    ] = None
    max_seq_length: Annotated[
        Count | None,
        Meta(
            description="Tokens of an input at most, special tokens included, in place of what the model's files say; "
            "more than they say only where its table of positions has them."
        ),
    ] = None
    max_input_length: Annotated[
        Count | None,
        Meta(description="Tokens of an input at most, special tokens included; by default what the model takes."),
    ] = None
    backend: Annotated[
        Literal["auto", "openvino", "onnx", "torch"],
        Meta(
            description="What computes: openvino or torch from the safetensors, onnx from a file that the repository ships; "
            "auto takes openvino, and a file where there are no safetensors.",
            extra={"group": "Precision and batching"},
        ),
    ] = "auto"
    file: Annotated[
        Word | None,
        Meta(description="An .onnx or OpenVINO .xml file of the repository to run, such as onnx/model_O4.onnx."),
    ] = None
    device: Annotated[Word, Meta(description="Device of the backend.")] = "cpu"
    dtype: Annotated[
        Literal["auto", "float32", "bfloat16", "float16", "int8"],
        Meta(
            description="Precision; auto takes bfloat16 where the CPU has it natively, else float32. int8 quantises at load, by "
            "built-in texts, and keeps the result."
        ),
    ] = "auto"
    threads: Annotated[
        Count | None, Meta(description="CPU threads; by default as many as affinity and the cgroup's quota allow.")
    ] = None
    tokenization_workers: Annotated[
        Count | None, Meta(description="Threads that tokenise beside what computes; 2 by default.")
    ] = None
    max_batch_tokens: Annotated[
        Count | None, Meta(description="Tokens in a batch, padding included; by default the backend's own choice.")
    ] = None
    fit_batches: Annotated[
        bool,
        Meta(description="Make batches smaller than --max-batch-tokens where that is as fast; textmill tei does."),
    ] = False
    max_batch_requests: Annotated[Count | None, Meta(description="Rows in a batch; 64 by default.")] = None
    max_queue_tokens: Annotated[
        Count, Meta(description="Tokens that may wait before requests are refused as too many.")
    ] = 1 << 20
    cache_memory: Annotated[
        int,
        Meta(
            description="Megabytes of memory for what was computed, so that it is not computed again; 0 keeps nothing there.",
            ge=0,
            extra={"group": "Cache and fingerprint"},
        ),
    ] = 0
    cache_path: Annotated[
        Word | None,
        Meta(
            description="File that keeps what was computed over restarts; other processes may use it at the same time."
        ),
    ] = None
    cache_size: Annotated[Count, Meta(description="Megabytes that the file of --cache-path may have.")] = 1024
    expect_fingerprint: Annotated[
        tuple[Word, ...],
        Meta(
            description="Fingerprint that models must have to be loaded, or NAME=FINGERPRINT for the one of that name; give several "
            "for several."
        ),
    ] = ()


class ServeOptions(ModelOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `textmill serve` takes beside the options of its models."""

    models: Annotated[
        tuple[Word, ...],
        Meta(description="Models to serve, the default first.", extra={"group": "Server"}),
    ] = ()
    # Whoever reaches the port may use the machine, so the way in from outside is opened on purpose, not by default.
    host: Annotated[Word, Meta(description="Address to listen on; 0.0.0.0 for all, as in a container.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(description="Port to listen on; 0 takes a free one.", ge=0, le=65535, extra={"short": "-p"})
    ] = 8080
    grpc_port: Annotated[
        Port | None, Meta(description="Port for gRPC beside HTTP; 0 takes a free one, none by default.")
    ] = None
    prometheus_port: Annotated[
        Port | None,
        Meta(description="Port that serves the metrics alone; they are on the main port too."),
    ] = None
    served_model_name: Annotated[
        Word | None, Meta(description="What the first model is called, in place of its own name.")
    ] = None
    api_key: Annotated[
        tuple[Word, ...],
        Meta(
            description="Key that requests must carry as a bearer token; give several to change them without a gap.",
            extra={"secret": True, "guard": True},
        ),
    ] = ()
    api_key_file: Annotated[
        Word | None,
        Meta(description="File of such keys, one a line; lines that begin with # are remarks.", extra={"guard": True}),
    ] = None
    admin_key: Annotated[
        tuple[Word, ...],
        Meta(
            description="Key that is needed to load, unload, install and delete models; without it every API key will do.",
            extra={"secret": True, "guard": True},
        ),
    ] = ()
    admin_key_file: Annotated[
        Word | None,
        Meta(description="File of such keys, one a line; lines that begin with # are remarks.", extra={"guard": True}),
    ] = None
    allow_insecure_public_bind: Annotated[
        bool,
        Meta(description="Let everyone who reaches the port install and delete models where there is no key at all."),
    ] = False
    cors_origin: Annotated[tuple[Word, ...], Meta(description="Origin that browsers may call from, or * for any.")] = ()
    # docker stop kills after ten seconds.
    drain_seconds: Annotated[
        int, Meta(description="How long requests under way may take after SIGTERM, in seconds.", ge=0)
    ] = 8
    tei_compat: Annotated[
        Literal["1.6", "1.9"],
        Meta(description="The version of Text Embeddings Inference whose statuses and defaults its routes have."),
    ] = "1.9"
    root_task: Annotated[
        Literal["auto", "similarity"],
        Meta(description="What POST / and POST /invocations do with a model of embeddings; auto embeds."),
    ] = "auto"
    token_input: Annotated[
        Literal["model", "cl100k"],
        Meta(
            description="Whose token ids requests for embeddings in OpenAI's dialect may have in place of texts: the model's own, or "
            "OpenAI's cl100k_base, as LangChain sends them, which become texts again (needs textmill[tiktoken])."
        ),
    ] = "model"  # noqa: S105 - no password
    predict_route: Annotated[
        Route | None,
        Meta(description="Another path of POST /vertex, as Vertex AI chooses one; also AIP_PREDICT_ROUTE."),
    ] = None
    health_route: Annotated[
        Route | None, Meta(description="Another path of GET /health, as Vertex AI chooses one; also AIP_HEALTH_ROUTE.")
    ] = None
    config: Annotated[
        str | None, Meta(description="YAML file of options; flags and the environment come before it.")
    ] = None
    models_path: Annotated[
        Word,
        Meta(
            description="Folder of model files (LocalAI's YAML), model folders and weights that are loaded when a request "
            "names them.",
            extra={"group": "Models folder"},
        ),
    ] = "models"
    load: Annotated[tuple[Word, ...], Meta(description="Model of the folder to load at the start.")] = ()
    galleries: Annotated[
        tuple[Word, ...],
        Meta(
            description="Gallery as NAME=ADDRESS; the same name again is another address of it, none is no gallery at all. Also "
            "LocalAI's JSON list.",
            extra={"group": "Galleries and downloads"},
        ),
    ] = (
        "localai=https://index.localai.io/models",
        "localai=github:mudler/LocalAI/gallery/index.yaml@master",
    )
    download_host: Annotated[
        tuple[Word, ...],
        Meta(description="Host, or host:port, that may be downloaded from although its address is private."),
    ] = ()
    auto_download: Annotated[
        bool, Meta(description="Download a model of the hub, owner/repo or owner/repo/file, when a request names it.")
    ] = False
    disable_gallery_endpoint: Annotated[
        bool, Meta(description="Answer no request that lists, installs or deletes models.")
    ] = False
    models_config_file: Annotated[
        Word | None,
        Meta(description="YAML file elsewhere with a list of model files; their weights are in the folder."),
    ] = None
    external_grpc_backends: Annotated[
        tuple[Word, ...],
        Meta(
            description="Backend of LocalAI's to use for model files that name it: NAME:HOST:PORT where one listens, or NAME:FILE to "
            "start the file, a .py or an executable, for each model."
        ),
    ] = ()
    python_models: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")], ...],
        Meta(
            description="Module of Python, or package, that model files may name an object of as their model (backend: python); its "
            "code runs in the server. None by default."
        ),
    ] = ()
    llamacpp_parallel: Annotated[
        Count | None,
        Meta(
            description="Requests that a GGUF model computes together, where its file does not say; by default 4, or fewer where "
            "their caches would take more than 1 GiB."
        ),
    ] = None
    llamacpp_grpc_servers: Annotated[
        Word | None,
        Meta(
            description="Workers of llama.cpp's RPC as HOST:PORT, with commas between them, for GGUF models whose file names none."
        ),
    ] = None
    preload: Annotated[
        tuple[Word, ...],
        Meta(
            description="Model to install before the server answers, by its name in a gallery or its address, where it is "
            "missing; also a JSON object with id or url, name, overrides and files."
        ),
    ] = ()
    max_loaded_models: Annotated[
        Count | None, Meta(description="Models loaded at once; the least recently used leaves for another.")
    ] = None
    memory_limit: Annotated[
        Count | None,
        Meta(
            description="Megabytes that the process and those that it starts may use; models leave, or are not loaded, to keep below."
        ),
    ] = None
    idle_unload_seconds: Annotated[
        Count | None, Meta(description="Seconds without a request after which a model of the folder leaves.")
    ] = None
    auto_truncate: Annotated[
        bool,
        Meta(
            description="Cut texts that are too long where a request does not say; --no-auto-truncate refuses them.",
            extra={"group": "Limits"},
        ),
    ] = True
    max_client_batch_size: Annotated[
        Count | None,
        Meta(description="Inputs a request; by default 32,768, which are computed in batches like any others."),
    ] = None
    max_concurrent_requests: Annotated[
        Count | None,
        Meta(description="Requests under way at once before more are refused; by default only tokens count."),
    ] = None
    grpc_max_parallel_stream_requests: Annotated[
        Count, Meta(description="Messages of a gRPC stream that are computed at once.")
    ] = 1024
    body_limit: Annotated[Count, Meta(description="Largest request body in bytes.")] = 32 << 20
    metrics: Annotated[bool, Meta(description="Serve /metrics on the main port.")] = True
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Least severe messages to log.", extra={"group": "Logs and traces"}),
    ] = "info"
    log_format: Annotated[Literal["text", "json"], Meta(description="Form of the log on standard error.")] = "text"
    disable_spans: Annotated[bool, Meta(description="Leave trace ids out of the log's JSON lines.")] = False
    log_requests: Annotated[
        bool, Meta(description="A line in the log for each request that computes, with its times.")
    ] = False
    otlp_endpoint: Annotated[
        Word | None,
        Meta(description="Where traces are sent: http://host:4317 (gRPC), or http://host:4318/v1/traces (HTTP)."),
    ] = None
    otlp_service_name: Annotated[Word, Meta(description="The service's name in traces.")] = "textmill"
    trace_sample: Annotated[
        float, Meta(description="Share of traces that are kept, of those that begin here.", ge=0, le=1)
    ] = 1.0

    def for_model(self) -> ModelOptions:
        """The part that a model gets."""
        return ModelOptions(**{option.name: getattr(self, option.name) for option in options_of(ModelOptions)})
