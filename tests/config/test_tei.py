"""Every flag and variable of Text Embeddings Inference, a row each: what it says, and what our option is then."""

from __future__ import annotations

import pytest

from textmill.config import TEI_DEFAULTS, ModelOptions, command_options, model_options, serve_options
from textmill.config.option import options_of
from textmill.config.options import ServeOptions
from textmill.config.spelling import Spelling
from textmill.config.tei import SPELLINGS
from textmill.errors import ConfigInvalid

ROWS: list[tuple[str, str, str, object]] = [
    ("model-id", "BAAI/bge-m3", "models", ("BAAI/bge-m3",)),
    ("revision", "refs/pr/1", "revision", "refs/pr/1"),
    ("tokenization-workers", "3", "tokenization_workers", 3),
    ("dtype", "float16", "dtype", "float16"),
    ("served-model-name", "mine", "served_model_name", "mine"),
    ("pooling", "last-token", "pooling", "last-token"),
    ("max-concurrent-requests", "9", "max_concurrent_requests", 9),
    ("max-batch-tokens", "2048", "max_batch_tokens", 2048),
    ("max-batch-requests", "4", "max_batch_requests", 4),
    ("max-client-batch-size", "64", "max_client_batch_size", 64),
    ("auto-truncate", "false", "auto_truncate", False),
    ("default-prompt-name", "query", "default_prompt_name", "query"),
    ("default-prompt", "query: ", "default_prompt", "query: "),
    ("dense-path", "2_Dense_768", "dense_path", "2_Dense_768"),
    ("hf-token", "hf_x", "token", "hf_x"),
    ("hf-api-token", "hf_x", "token", "hf_x"),
    ("hostname", "::1", "host", "::1"),
    ("AIP_HTTP_PORT", "8081", "port", 8081),
    ("port", "3001", "port", 3001),
    ("uds-path", "/tmp/socket", "", None),  # noqa: S108 - nothing is put there
    ("huggingface-hub-cache", "/data", "cache_dir", "/data"),
    ("payload-limit", "100", "body_limit", 100),
    ("api-key", "a,b", "api_key", ("a,b",)),
    ("json-output", "true", "log_format", "json"),
    ("disable-spans", "true", "disable_spans", True),
    ("otlp-endpoint", "http://collector:4317", "otlp_endpoint", "http://collector:4317"),
    ("otlp-service-name", "mill", "otlp_service_name", "mill"),
    ("prometheus-port", "9000", "prometheus_port", 9000),
    ("cors-allow-origin", "https://a.example", "cors_origin", ("https://a.example",)),
    ("LOG_LEVEL", "warn", "log_level", "warning"),
    ("TASK", "sentence-similarity", "root_task", "similarity"),
    ("GRPC_MAX_PARALLEL_STREAM_REQUESTS", "16", "grpc_max_parallel_stream_requests", 16),
    ("AIP_PREDICT_ROUTE", "/v1/predict", "predict_route", "/v1/predict"),
    ("AIP_HEALTH_ROUTE", "/v1/health", "health_route", "/v1/health"),
    ("USE_FLASH_ATTENTION", "true", "", None),
    ("TRUST_REMOTE_CODE", "true", "", None),
    ("DISABLE_TENSOR_CACHE", "true", "", None),
    ("PAD_SEQUENCE_TO_MULTIPLE_OF", "128", "", None),
    ("SEQ_LEN_EXPONENT_BASE", "2", "", None),
    ("MAX_WARMUP_SEQUENCE_LENGTH", "512", "", None),
    ("MAX_WARMUP_BATCH_SIZE", "8", "", None),
]
BY_NAME = {spelling.name: spelling for spelling in SPELLINGS}
PLAIN = serve_options({}, {}).options


def test_under_tei_a_model_is_called_as_it_was_given() -> None:
    given = {"model_id": ("BAAI/bge-small-en-v1.5",)}
    assert serve_options(given, {}, as_tei=True).options.served_model_name == "BAAI/bge-small-en-v1.5"
    assert serve_options(given, {}).options.served_model_name is None
    named = serve_options({**given, "served_model_name": "bge"}, {}, as_tei=True)
    assert named.options.served_model_name == "bge"
    old = serve_options({"tei_compat": "1.6"}, {}, as_tei=True)
    assert old.options.served_model_name == old.options.models[0]


def test_the_table_has_a_row_for_each() -> None:
    assert [row[0] for row in ROWS] == [spelling.name for spelling in SPELLINGS]


@pytest.mark.parametrize(("name", "text", "option", "value"), ROWS, ids=[row[0] for row in ROWS])
def test_each_variable_sets_its_option_and_is_named_in_the_log(
    name: str, text: str, option: str, value: object
) -> None:
    variable = name.replace("-", "_").upper()

    serving = serve_options({}, {variable: text})

    [said] = [sentence for _, sentence in serving.notes if "taken" in sentence]
    assert variable in said
    if option:
        assert getattr(serving.options, option) == value != getattr(PLAIN, option)
        assert "without effect" not in said
    else:
        assert serving.options == PLAIN
        assert "without effect" in said


FLAGS = [row for row in ROWS if BY_NAME[row[0]].flag]


@pytest.mark.parametrize(("name", "text", "option", "value"), FLAGS, ids=[row[0] for row in FLAGS])
def test_each_flag_sets_its_option(name: str, text: str, option: str, value: object) -> None:
    spelling = BY_NAME[name]
    given: object = True if name == "json-output" else text
    if name in ("model-id", "cors-allow-origin", "api-key"):
        given = (text,)

    serving = serve_options({spelling.parameter: given}, {})

    if option:
        assert getattr(serving.options, option) == value
    else:
        assert serving.notes == ((20, f"taken, but without effect in textmill: {spelling.flag}"),)


def test_flags_come_before_our_variables_before_teis_before_yaml(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("yaml") / "serve.yaml"
    file.write_text("port: 1\nbody_limit: 1\nmax_batch_tokens: 1\ndrain_seconds: 1\nthreads: 1\n")
    environ = {
        "TEXTMILL_CONFIG": str(file),
        "TEXTMILL_PORT": "3",
        "TEXTMILL_BODY_LIMIT": "3",
        "PORT": "2",
        "PAYLOAD_LIMIT": "2",
        "MAX_BATCH_TOKENS": "2",
    }

    options = serve_options({"port": "4"}, environ).options

    assert (options.port, options.body_limit, options.max_batch_tokens, options.threads) == (4, 3, 2, 1)


def test_a_flag_in_teis_spelling_comes_before_our_variable() -> None:
    assert (
        serve_options({"payload_limit": "9"}, {"TEXTMILL_BODY_LIMIT": "3", "PAYLOAD_LIMIT": "2"}).options.body_limit
        == 9
    )


@pytest.mark.parametrize("name", ["f3a9c1", "", "localhost"])
def test_a_host_name_that_is_no_address_does_not_matter(name: str) -> None:
    serving = serve_options({}, {"HOSTNAME": name})

    assert serving.options == PLAIN
    assert [level for level, _ in serving.notes] == [30] * bool(name)


def test_another_task_is_not_ours_to_take() -> None:
    assert serve_options({}, {"TASK": "feature-extraction"}) == serve_options({}, {})


def test_a_variable_that_something_else_overrides_may_hold_anything() -> None:
    serving = serve_options({"port": "9"}, {"PORT": "tcp://10.0.0.1:80", "DTYPE": "x", "TEXTMILL_DTYPE": "float32"})

    assert (serving.options.port, serving.options.dtype, serving.notes) == (9, "float32", ())


def test_vertex_means_its_own_port() -> None:
    assert serve_options({}, {"PORT": "80", "AIP_HTTP_PORT": "8080"}).options.port == 8080


@pytest.mark.parametrize("environ", [{"PORT": "99"}, {"MODEL_ID": "m", "DTYPE": "nonsense", "API_KEY": ""}])
def test_other_commands_and_load_do_not_look_at_them(environ: dict[str, str]) -> None:
    assert model_options({}, environ) == model_options({}, {})
    assert command_options(ModelOptions, {}, environ) == command_options(ModelOptions, {}, {})


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("trace", "debug"),
        ("DEBUG", "debug"),
        ("info,otel::tracing=trace", "info"),
        ("tokenizers=debug, error", "error"),
        ("off", "error"),
        ("2", "warning"),
        ("text_embeddings_router=debug", "info"),
        ("loud", "info"),
    ],
)
def test_of_a_list_of_levels_the_one_without_a_target_holds(text: str, level: str) -> None:
    assert serve_options({}, {"LOG_LEVEL": text}).options.log_level == level


@pytest.mark.parametrize(
    ("flags", "environ", "message"),
    [
        ({}, {"PORT": "x"}, "PORT has an impossible value 'x': Expected int"),
        ({}, {"PORT": "70000"}, "PORT has an impossible value '70000'"),
        ({}, {"POOLING": "max"}, "POOLING is 'max'; it can be auto or cls"),
        ({}, {"AUTO_TRUNCATE": "perhaps"}, "AUTO_TRUNCATE has an impossible value 'perhaps'"),
        ({}, {"JSON_OUTPUT": "perhaps"}, "JSON_OUTPUT is 'perhaps'; it can be true or false"),
        ({}, {"API_KEY": " "}, "API_KEY is set but empty"),
        ({}, {"API_KEY": ", ,"}, "API_KEY is given but has no key in it"),
        ({"payload_limit": "2MB"}, {}, "--payload-limit has an impossible value '2MB'"),
        ({"hostname": "::1", "host": "::2"}, {}, "--host and --hostname are one option and differ"),
        ({"models": ("a",), "model_id": ("b",)}, {}, "MODEL a and --model-id b are one option and differ"),
        ({"hf_token": "a", "hf_api_token": "b"}, {}, "--hf-token and --hf-api-token are one option"),
        ({}, {"HF_TOKEN": "a", "HF_API_TOKEN": "b"}, "HF_TOKEN and HF_API_TOKEN are one option"),
        ({}, {"DEFAULT_PROMPT": "a", "DEFAULT_PROMPT_NAME": "b"}, "DEFAULT_PROMPT and DEFAULT_PROMPT_NAME exclude"),
        ({"default_prompt": "a"}, {"DEFAULT_PROMPT_NAME": "b"}, "--default-prompt and DEFAULT_PROMPT_NAME exclude"),
    ],
)
def test_what_cannot_be_is_refused_by_where_it_stands(
    flags: dict[str, object], environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        serve_options(flags, environ)

    assert message in str(caught.value)


def test_the_same_said_twice_is_no_contradiction() -> None:
    serving = serve_options({}, {"HF_TOKEN": "hf_x", "HF_API_TOKEN": "hf_x"})

    assert serving.options.token == "hf_x"  # noqa: S105 - made up
    assert "HF_API_TOKEN is deprecated; use --hf-token or HF_TOKEN" in [sentence for _, sentence in serving.notes]


def test_no_secret_is_in_what_is_said() -> None:
    environ = {"API_KEY": "s3cret", "HF_API_TOKEN": "s3cret", "TEXTMILL_TOKEN": "s3cret", "PORT": "1"}
    serving = serve_options({"hf_api_token": "s3cret"}, environ)
    errors = []
    for flags, variables in [
        ({"hf_token": "a", "hf_api_token": "s3cret"}, {}),
        ({}, {"HF_TOKEN": "s3cret", "HF_API_TOKEN": "b"}),
    ]:
        with pytest.raises(ConfigInvalid) as caught:
            serve_options(flags, variables)
        errors.append(str(caught.value))

    assert serving.options.api_key == ("s3cret",)
    assert "s3cret" not in f"{serving} {serving!r} {serving.notes} {errors}"


def test_tei_starts_with_teis_defaults() -> None:
    serving = serve_options({"model_id": ("m",)}, {}, as_tei=True)
    options = serving.options

    assert {name: getattr(options, name) for name in TEI_DEFAULTS} == dict(TEI_DEFAULTS)
    assert (options.host, options.port, options.dtype) == ("0.0.0.0", 3000, "float32")  # noqa: S104 - not bound
    assert (options.auto_truncate, options.max_input_length, options.default_prompt) == (True, 16384, "")
    assert (options.max_client_batch_size, serving.client_batch_size) == (None, 32)


def test_every_default_of_tei_is_a_value_of_its_option() -> None:
    options = {option.name: option for option in options_of(ServeOptions)}

    assert {name: options[name].convert(value, name) for name, value in TEI_DEFAULTS.items()} == TEI_DEFAULTS


def test_tei_bounds_an_input_by_the_tokens_of_a_batch() -> None:
    given = {"models": ("m",), "max_batch_tokens": "256"}

    assert serve_options(given, {}, as_tei=True).options.max_input_length == 256
    assert serve_options({**given, "max_input_length": "512"}, {}, as_tei=True).options.max_input_length == 512
    assert serve_options(given, {}).options.max_input_length is None


def test_tei_computes_in_float16_on_other_devices() -> None:
    assert serve_options({"models": ("m",), "device": "cuda"}, {}, as_tei=True).options.dtype == "float16"


def test_tei_leaves_the_models_default_prompt_out_unless_one_is_named() -> None:
    options = serve_options({"models": ("m",), "default_prompt_name": "query"}, {}, as_tei=True).options

    assert (options.default_prompt, options.default_prompt_name) == (None, "query")


def test_tei_needs_a_model_as_its_newest_version_does() -> None:
    with pytest.raises(ConfigInvalid, match="textmill tei needs a model: --model-id, MODEL_ID"):
        serve_options({}, {}, as_tei=True)


def test_the_older_version_has_its_own_defaults() -> None:
    older = serve_options({"tei_compat": "1.6"}, {}, as_tei=True).options

    assert (older.auto_truncate, older.models) == (False, ("BAAI/bge-large-en-v1.5",))
    assert serve_options({}, {"TEXTMILL_TEI_COMPAT": "1.6"}).options.auto_truncate is False
    assert serve_options({"tei_compat": "1.6", "auto_truncate": True}, {}).options.auto_truncate is True


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.name)
def test_each_has_an_option_or_says_that_it_has_no_effect(spelling: Spelling) -> None:
    names = {option.name for option in options_of(ServeOptions)}

    assert spelling.option in names if spelling.option else "without effect" in spelling.help
