"""LocalAI's flags and variables: what each says, and when the bare ones count."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from textmill.config import read_keys, serve_options
from textmill.config.localai import SPELLINGS, duration, meant
from textmill.config.option import options_of
from textmill.config.options import ServeOptions
from textmill.errors import ConfigInvalid

JSON = '[{"id": "localai@bert", "name": "ada"}, {"url": "github:owner/repo/x.yaml"}]'
ROWS: list[tuple[dict[str, str], str, object]] = [
    ({"LOCALAI_ADDRESS": ":9000"}, "host", "0.0.0.0"),  # noqa: S104 - not bound
    ({"LOCALAI_ADDRESS": "127.0.0.2:9000"}, "host", "127.0.0.2"),
    ({"LOCALAI_ADDRESS": "[::1]:9000"}, "host", "::1"),
    ({"LOCALAI_ADDRESS": ":9000"}, "port", 9000),
    ({"GALLERIES": "[]", "ADDRESS": ":9000"}, "port", 9000),
    ({"LOCALAI_MODELS_PATH": "/build/models"}, "models_path", "/build/models"),
    ({"LOCALAI_CONFIG_FILE": "/all.yaml"}, "models_config_file", "/all.yaml"),
    ({"PRELOAD_MODELS": JSON}, "preload", ('{"id":"localai@bert","name":"ada"}', '{"url":"github:owner/repo/x.yaml"}')),
    ({"LOCALAI_MODELS": "a, b"}, "preload", ("a", "b")),
    ({"LOCALAI_MODELS": "a", "PRELOAD_MODELS": '[{"id": "b"}]'}, "preload", ('{"id":"b"}', "a")),
    ({"LOAD_TO_MEMORY": "a,b"}, "load", ("a", "b")),
    ({"LOCALAI_THREADS": "3"}, "threads", 3),
    ({"LOCALAI_CONTEXT_SIZE": "256"}, "max_input_length", 256),
    ({"LOCALAI_CONTEXT_SIZE": "0"}, "max_input_length", None),
    ({"LOCALAI_F16": "true"}, "dtype", "auto"),
    ({"LOCALAI_F16": "true", "TEXTMILL_DEVICE": "cuda:0"}, "dtype", "bfloat16"),
    ({"LOCALAI_API_KEY": "a,b"}, "api_key", ("a", "b")),
    ({"LOCALAI_DEBUG": "1", "API_KEY": "a,b"}, "api_key", ("a", "b")),
    ({"LOCALAI_CORS": "true"}, "cors_origin", ("*",)),
    ({"LOCALAI_CORS": "true", "CORS_ALLOW_ORIGINS": "https://a.example,https://b.example"}, "cors_origin",
     ("https://a.example", "https://b.example")),
    ({"LOCALAI_CORS": "false", "CORS_ALLOW_ORIGINS": "https://a.example"}, "cors_origin", ()),
    ({"LOCALAI_UPLOAD_LIMIT": "15"}, "body_limit", 15 << 20),
    ({"LOCALAI_DISABLE_METRICS_ENDPOINT": "true"}, "metrics", False),
    ({"AUTOLOAD_GALLERIES": "true"}, "auto_download", False),
    ({"AUTOLOAD_GALLERIES": "false", "TEXTMILL_AUTO_DOWNLOAD": "true"}, "auto_download", True),
    ({"GALLERIES": '[{"name": "a", "url": "https://a/i"}]'}, "galleries", ('[{"name": "a", "url": "https://a/i"}]',)),
    ({"DISABLE_GALLERY_ENDPOINT": "true"}, "disable_gallery_endpoint", True),
    ({"SINGLE_ACTIVE_BACKEND": "true"}, "max_loaded_models", 1),
    ({"SINGLE_ACTIVE_BACKEND": "false"}, "max_loaded_models", None),
    ({"MAX_ACTIVE_BACKENDS": "3"}, "max_loaded_models", 3),
    ({"MAX_ACTIVE_BACKENDS": "0"}, "max_loaded_models", None),
    ({"WATCHDOG_IDLE": "true"}, "idle_unload_seconds", 900),
    ({"WATCHDOG_IDLE": "true", "WATCHDOG_IDLE_TIMEOUT": "1h30m"}, "idle_unload_seconds", 5400),
    ({"WATCHDOG_IDLE_TIMEOUT": "5m"}, "idle_unload_seconds", None),
    ({"WATCHDOG_IDLE": "true", "WATCHDOG_IDLE_TIMEOUT": "0s"}, "idle_unload_seconds", None),
    ({"WATCHDOG_IDLE": "true", "WATCHDOG_IDLE_TIMEOUT": "0"}, "idle_unload_seconds", None),
    ({"WATCHDOG_IDLE": "true", "WATCHDOG_IDLE_TIMEOUT": "1ms"}, "idle_unload_seconds", 1),
    ({"LOCALAI_MAX_CONCURRENT_BACKEND_REQUESTS": "9"}, "max_concurrent_requests", 9),
    ({"LOCALAI_DEBUG": "true"}, "log_level", "debug"),
    ({"LOCALAI_DEBUG": "true", "LOG_LEVEL": "warn"}, "log_level", "warning"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(("environ", "option", "value"), ROWS, ids=[f"{row[0]}" for row in ROWS])
def test_each_variable_means_our_option(environ: dict[str, str], option: str, value: object) -> None:
    assert getattr(serve_options({}, environ).options, option) == value


@pytest.mark.parametrize("row", SPELLINGS, ids=lambda row: row.name)
def test_a_name_without_effect_is_said_to_be_so(row: object) -> None:
    names = {option.name for option in options_of(ServeOptions)}
    for spelling in (each for each in SPELLINGS if each is row):
        if spelling.option is not None:
            assert spelling.option in names
            continue
        serving = serve_options({}, {spelling.variable: "0"})
        assert serving.options == serve_options({}, {}).options
        assert (logging.INFO, f"taken, but without effect in textmill: {spelling.variable}") in serving.notes


@pytest.mark.parametrize(
    "name", ["ADDRESS", "THREADS", "CONTEXT_SIZE", "F16", "MODELS", "DEBUG", "CORS", "UPLOAD_LIMIT"]
)
def test_a_common_name_alone_is_left_to_others(name: str) -> None:
    value = ":1" if name == "ADDRESS" else "1"
    assert serve_options({}, {name: value}) == serve_options({}, {})


def test_a_model_file_in_the_folder_shows_that_localai_is_meant(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    assert serve_options({}, {"THREADS": "3"}).options.threads is None
    (tmp_path / "models/ada.yaml").write_text("name: ada")
    assert serve_options({}, {"THREADS": "3"}).options.threads == 3


@pytest.mark.parametrize(
    ("name", "text"), [("DEBUG", "express:*"), ("THREADS", "many"), ("ADDRESS", "unix:/run/x"), ("AUTH", "true")]
)
def test_a_common_name_with_an_impossible_value_is_anothers(name: str, text: str) -> None:
    serving = serve_options({}, {"LOCALAI_GALLERIES": "[]", name: text})

    [warning] = [said for level, said in serving.notes if level == logging.WARNING]
    assert f"LOCALAI_{name} is read by textmill alone" in warning
    with pytest.raises(ConfigInvalid, match=f"LOCALAI_{name}"):
        serve_options({}, {f"LOCALAI_{name}": text})


def test_textmill_tei_and_its_users_see_no_change() -> None:
    environ = {"LOCALAI_THREADS": "3", "API_KEY": "a,b", "LOCALAI_ADDRESS": ":1"}
    served = serve_options({"models": ("m",)}, environ, as_tei=True)

    assert (served.options.threads, served.options.port, served.options.api_key) == (None, 3000, ("a,b",))
    assert serve_options({}, {"API_KEY": "a,b"}).options.api_key == ("a,b",)


def test_our_names_come_first_and_what_was_taken_is_logged() -> None:
    environ = {"TEXTMILL_PORT": "1", "LOCALAI_ADDRESS": ":2", "LOCALAI_THREADS": "2", "PORT": "3"}
    serving = serve_options({"threads": "4"}, environ)

    assert (serving.options.port, serving.options.threads) == (1, 4)
    assert serving.origins["host"] == "LOCALAI_ADDRESS"
    assert (logging.INFO, "taken from the environment, as LocalAI names them: LOCALAI_ADDRESS") in serving.notes


@pytest.mark.parametrize(
    ("given", "environ", "message"),
    [
        ({}, {"LOCALAI_AUTH": "true"}, "textmill keeps no database of users"),
        ({"localai_preload_backend_only": True}, {}, "--preload-backend-only: a server that answers nothing"),
        ({}, {"SINGLE_ACTIVE_BACKEND": "true", "MAX_ACTIVE_BACKENDS": "3"}, "are one option and differ"),
        ({"localai_address": ":1", "port": "2"}, {}, "--port and --address are one option and differ"),
        ({}, {"LOCALAI_API_KEY": " "}, "LOCALAI_API_KEY is set but empty"),
        ({}, {"LOCALAI_API_KEY": ","}, "LOCALAI_API_KEY is given but has no key in it"),
        ({}, {"LOCALAI_DEBUG": "true", "API_KEY": ", "}, "API_KEY is given but has no key in it"),
        ({"localai_api_keys": ","}, {}, "--api-keys is given but has no key in it"),
        ({"localai_api_keys": ""}, {}, "--api-keys is given but has no key in it"),
        ({}, {"WATCHDOG_IDLE": "true", "WATCHDOG_IDLE_TIMEOUT": "soon"}, "'soon', which is no duration such as 15m"),
        ({}, {"PRELOAD_MODELS": "{"}, "PRELOAD_MODELS is not JSON such as"),
        ({}, {"PRELOAD_MODELS_CONFIG": "/nowhere.yaml"}, "/nowhere.yaml cannot be read"),
    ],
)
def test_what_cannot_be_is_an_error(given: dict[str, object], environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        serve_options(given, environ)

    assert message in str(caught.value)


def test_preloads_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("- id: localai@bert\n  name: ada\n")

    assert serve_options({}, {"PRELOAD_MODELS_CONFIG": "p.yaml"}).options.preload == (
        '{"id":"localai@bert","name":"ada"}',
    )


def test_keys_of_localais_folder_are_not_lost(tmp_path: Path) -> None:
    (tmp_path / "configuration").mkdir()
    (tmp_path / "configuration/api_keys.json").write_text('["a", "b"]')

    file = serve_options({}, {"LOCALAI_THREADS": "1"}).options.api_key_file

    assert file is not None
    assert read_keys(file) == ("a", "b")
    assert serve_options({}, {}).options.api_key_file is None


def test_files_that_localai_reads_and_names_that_nobody_knows_are_told_of(tmp_path: Path) -> None:
    (tmp_path / ".env").touch()
    notes = serve_options(
        {}, {"LOCALAI_THREADZ": "1", "LOCALAI_PORT": "tcp://1.2.3.4:80", "LOCALAI_THREADS": "1"}
    ).notes
    warnings = [said for level, said in notes if level == logging.WARNING]

    assert warnings[0].endswith("did you mean LOCALAI_THREADS?")
    assert warnings[1].startswith(".env is not read")
    assert len(warnings) == 2


def test_a_misspelt_name_alone_is_told_of_and_changes_nothing() -> None:
    serving = serve_options({}, {"LOCALAI_API_KYE": "x", "THREADS": "3"})

    assert serving.notes == (
        (logging.WARNING, "LOCALAI_API_KYE is not taken: textmill does not know it; did you mean LOCALAI_API_KEY?"),
    )
    assert serving.options == serve_options({}, {}).options


def test_names_that_share_the_prefix_alone_are_not_near() -> None:
    (note,) = serve_options({}, {"LOCALAI_UNKNOWNTHING": "x"}).notes

    assert note == (logging.WARNING, "LOCALAI_UNKNOWNTHING is not taken: textmill does not know it")
    with pytest.raises(ConfigInvalid, match=r"TEXTMILL_UNKNOWNTHING$"):
        serve_options({}, {"TEXTMILL_UNKNOWNTHING": "x"})


def test_a_watchdog_that_is_switched_off_is_taken(tmp_path: Path) -> None:
    (tmp_path / "serve.yaml").write_text("idle_unload_seconds: 60")
    environ = {"WATCHDOG_IDLE": "true", "LOCALAI_WATCHDOG_IDLE_TIMEOUT": "0"}
    serving = serve_options({"config": str(tmp_path / "serve.yaml")}, environ)

    assert [said for _, said in serving.notes] == [
        "taken from the environment, as LocalAI names them: WATCHDOG_IDLE, LOCALAI_WATCHDOG_IDLE_TIMEOUT"
    ]
    assert serving.options.idle_unload_seconds is None


@pytest.mark.parametrize(("text", "seconds"), [("15m", 900), ("1h30m", 5400), ("500ms", 0.5), ("1.5h", 5400)])
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert duration(text, "X") == seconds


def test_a_flag_shows_that_localai_is_meant(tmp_path: Path) -> None:
    assert meant({"localai_f16": True}, {}, tmp_path)
    assert not meant({"localai_f16": None}, {"THREADS": "1", "API_KEY": "x"}, tmp_path)


def test_a_value_that_changes_nothing_is_said_to_have_no_effect() -> None:
    environ = {"LOCALAI_F16": "true", "WATCHDOG_IDLE": "true", "WATCHDOG_IDLE_TIMEOUT": "5m", "LOCALAI_DEBUG": "false"}
    told = [said for _, said in serve_options({}, environ).notes]

    assert told == [
        "taken from the environment, as LocalAI names them: WATCHDOG_IDLE, WATCHDOG_IDLE_TIMEOUT",
        "taken, but without effect in textmill: LOCALAI_F16, LOCALAI_DEBUG",
    ]


def test_the_mirror_which_downloads_go_to_is_not_said_to_be_without_effect() -> None:
    notes = serve_options({}, {"LOCALAI_DEBUG": "true", "HF_MIRROR": "https://mirror.example"}).notes

    assert not any("HF_MIRROR" in said for _, said in notes)
