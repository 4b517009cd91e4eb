from __future__ import annotations

from pathlib import Path

import pytest

from textmill.config import ModelOptions, ServeOptions, command_options, model_options
from textmill.errors import ConfigInvalid


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "serve.yaml"
    file.write_text("port: 1111\nhost: ::1\nmodels: [a, b]\ndrain_seconds: 3\ndtype:\n")
    return file


def test_flags_come_before_the_environment_before_yaml_before_defaults(file: Path) -> None:
    flags = {"config": str(file), "port": "3333"}

    options = command_options(ServeOptions, flags, {"TEXTMILL_PORT": "2222", "TEXTMILL_HOST": "0.0.0.0"})  # noqa: S104

    assert (options.port, options.host, options.models) == (3333, "0.0.0.0", ("a", "b"))  # noqa: S104 - not bound
    assert (options.drain_seconds, options.dtype) == (3, "auto")


def test_the_environment_names_the_yaml_file(file: Path) -> None:
    assert command_options(ServeOptions, {}, {"TEXTMILL_CONFIG": str(file)}).port == 1111


def test_flags_that_were_not_given_change_nothing() -> None:
    flags = {"port": None, "models": (), "offline": None, "api_key": ()}

    options = command_options(ServeOptions, flags, {"TEXTMILL_PORT": "", "TEXTMILL_API_KEY": "a, b,"})

    assert (options.port, options.models, options.api_key) == (8080, (), ("a", "b"))


@pytest.mark.parametrize(
    ("flags", "environ", "message"),
    [
        ({"port": "x"}, {}, "--port has an impossible value 'x': Expected int"),
        ({"port": "65536"}, {}, "--port has an impossible value '65536': Expected int <= 65535"),
        (
            {"dtype": "bfloat"},
            {},
            "--dtype is 'bfloat'; it can be auto or float32 or bfloat16 or float16 or int8; did you mean bfloat16?",
        ),
        ({}, {"TEXTMILL_THREADS": "0"}, "TEXTMILL_THREADS has an impossible value '0'"),
        ({}, {"TEXTMILL_OFFLINE": "perhaps"}, "TEXTMILL_OFFLINE has an impossible value 'perhaps'"),
        ({}, {"TEXTMILL_PROT": "1"}, "environment variable TEXTMILL_PROT; did you mean TEXTMILL_PORT?"),
        ({"config": "/no/such.yaml"}, {}, "/no/such.yaml cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_by_name(flags: dict[str, str], environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message.replace("?", r"\?")):
        command_options(ServeOptions, flags, environ)


def test_a_variable_of_another_command_is_no_mistake() -> None:
    assert command_options(ModelOptions, {}, {"TEXTMILL_PORT": "9", "TEXTMILL_THREADS": "2"}).threads == 2


def test_an_impossible_secret_is_not_repeated() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        command_options(ServeOptions, {"api_key": ("s3cret", "")}, {})

    assert "--api-key has an impossible value" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("prot: 1", "unknown option 'prot'; did you mean port"),
        ("max-batch-tokens: 1", "unknown option 'max-batch-tokens'; did you mean max_batch_tokens"),
        ("config: other.yaml", "unknown option 'config'"),
        ("port: many", "port in .*serve.yaml has an impossible value 'many'"),
        ("port: true", "port in .*serve.yaml has an impossible value True"),
        ("- port", "must hold one mapping of options"),
        ("port: [", "is not YAML"),
        ("port: \x00", "is not YAML"),
    ],
)
def test_a_wrong_yaml_file_is_refused_with_its_name(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(content)

    with pytest.raises(ConfigInvalid, match=message):
        command_options(ServeOptions, {"config": str(file)}, {})


def test_an_empty_yaml_file_is_no_options(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.touch()

    assert command_options(ServeOptions, {"config": str(file)}, {}).port == 8080


def test_load_takes_keywords_before_the_environment(tmp_path: Path) -> None:
    given = {"threads": 1, "cache_dir": tmp_path, "dtype": None}

    options = model_options(given, {"TEXTMILL_THREADS": "7", "TEXTMILL_DTYPE": "float32"})

    assert (options.threads, options.cache_dir, options.dtype) == (1, str(tmp_path), "float32")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"thread": 1}, r"load\(\) has no option 'thread'; did you mean threads\?"),
        ({"port": 1}, r"load\(\) has no option 'port'"),
        ({"threads": 1.5}, "threads has an impossible value 1.5"),
        ({"dtype": ["auto"]}, "dtype is"),
    ],
)
def test_load_refuses_wrong_keywords(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        model_options(given, {})


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HF_HOME": "/b"}, "/b/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({}, str(Path("~/.cache/huggingface/hub").expanduser())),
        ({"HF_HOME": "/b", "TEXTMILL_CACHE_DIR": "/d"}, "/d"),
    ],
)
def test_the_cache_is_where_the_hubs_own_client_has_it(environ: dict[str, str], folder: str) -> None:
    assert model_options({}, environ).cache_dir == folder


def test_the_hubs_token_and_offline_mode_are_taken_over() -> None:
    options = model_options({}, {"HF_TOKEN": " hf_x \n", "HF_HUB_OFFLINE": "YES"})

    assert (options.token, options.offline) == ("hf_x", True)


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_key_in_the_environment_does_not_open_the_server(text: str) -> None:
    with pytest.raises(ConfigInvalid, match="TEXTMILL_API_KEY is set but empty"):
        command_options(ServeOptions, {}, {"TEXTMILL_API_KEY": text})


def test_a_models_options_may_stand_under_model_in_yaml(tmp_path: Path) -> None:
    file = tmp_path / "mill.yaml"
    file.write_text("port: 9090\nmodel:\n  file: onnx/model.onnx\n  dtype: float32\n")
    options = command_options(ServeOptions, {"config": str(file)}, {})
    assert (options.port, options.file, options.dtype) == (9090, "onnx/model.onnx", "float32")
    file.write_text("model:\n  flie: onnx/model.onnx\n")
    with pytest.raises(ConfigInvalid, match=r"unknown option model\.flie; did you mean file\?"):
        command_options(ServeOptions, {"config": str(file)}, {})


@pytest.mark.parametrize(
    "environ",
    [
        {"TEXTMILL_SERVICE_HOST": "10.0.0.1", "TEXTMILL_SERVICE_PORT": "80", "TEXTMILL_SERVICE_PORT_HTTP": "80"},
        {"TEXTMILL_PORT": "tcp://10.0.0.1:80", "TEXTMILL_PORT_80_TCP": "tcp://10.0.0.1:80"},
        {
            "TEXTMILL_PORT_80_TCP_PROTO": "tcp",
            "TEXTMILL_PORT_80_TCP_PORT": "80",
            "TEXTMILL_PORT_80_TCP_ADDR": "10.0.0.1",
        },
        {"TEXTMILL_EMBED_SERVICE_HOST": "10.0.0.1", "TEXTMILL_EMBED_PORT": "tcp://10.0.0.1:80"},
    ],
)
def test_what_kubernetes_sets_for_a_service_called_textmill_is_no_option(environ: dict[str, str]) -> None:
    assert command_options(ServeOptions, {}, environ).port == 8080


@pytest.mark.parametrize(
    "content", ["api_key: [s3cret\nport: 1\n", "api_key: *s3cret\n", "api_key: !s3cret x\n", "api_key: @s3cret"]
)
def test_a_secret_in_a_broken_yaml_file_is_not_repeated(tmp_path: Path, content: str) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(content)

    with pytest.raises(ConfigInvalid) as caught:
        command_options(ServeOptions, {"config": str(file)}, {})

    assert "is not YAML: line " in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "environ", "folder"),
    [
        ({}, {}, "/from-yaml"),
        ({}, {"HF_HOME": "/b"}, "/b/hub"),
        ({"cache_dir": "/a"}, {"HF_HOME": "/b"}, "/a"),
    ],
)
def test_the_cache_of_a_yaml_file_comes_behind_the_environment(
    tmp_path: Path, flags: dict[str, str], environ: dict[str, str], folder: str
) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text("cache_dir: /from-yaml\n")

    assert command_options(ServeOptions, {**flags, "config": str(file)}, environ).cache_dir == folder


def test_two_default_prompts_are_refused_by_where_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text("default_prompt: 'query: '\n")

    with pytest.raises(ConfigInvalid, match=r"default_prompt in .*serve.yaml and TEXTMILL_DEFAULT_PROMPT_NAME exclude"):
        command_options(ServeOptions, {"config": str(file)}, {"TEXTMILL_DEFAULT_PROMPT_NAME": "query"})
    with pytest.raises(ConfigInvalid, match="default_prompt and default_prompt_name exclude each other"):
        model_options({"default_prompt": "a", "default_prompt_name": "b"}, {})


@pytest.mark.parametrize(
    "environ",
    [
        {"TEXTMILL_API_KEY": ","},
        {"TEXTMILL_ADMIN_KEY": " , "},
        {"TEXTMILL_API_KEY_FILE": ""},
        {"TEXTMILL_ADMIN_KEY_FILE": " "},
    ],
)
def test_a_variable_of_keys_without_a_key_does_not_open_the_server(environ: dict[str, str]) -> None:
    [variable] = environ

    with pytest.raises(ConfigInvalid, match=f"^{variable} is .*; (unset it|give it a key)"):
        command_options(ServeOptions, {}, environ)


@pytest.mark.parametrize("option", ["api_key", "admin_key", "api_key_file", "admin_key_file"])
@pytest.mark.parametrize("text", ["", "[]", "[a, ' ']", "''"])
def test_a_yaml_file_of_keys_without_a_key_does_not_open_the_server(tmp_path: Path, option: str, text: str) -> None:
    file = tmp_path / "serve.yaml"
    file.write_text(f"{option}: {text}\n")

    with pytest.raises(ConfigInvalid, match=f"^{option} in "):
        command_options(ServeOptions, {"config": str(file)}, {})


def test_a_flag_of_blanks_is_no_key() -> None:
    with pytest.raises(ConfigInvalid, match=r"^--admin-key is given but has no key in it"):
        command_options(ServeOptions, {"admin_key": (" ",)}, {})
