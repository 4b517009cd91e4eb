from __future__ import annotations

from textmill.config import child_environment


def test_keys_of_the_server_are_kept_from_what_it_starts() -> None:
    environ = {
        "TEXTMILL_API_KEY": "k",
        "TEXTMILL_ADMIN_KEY": "k",
        "LOCALAI_API_KEY": "k",
        "API_KEY": "k",
        "HF_TOKEN": "hf",
        "PATH": "/bin",
        "TEXTMILL_DTYPE": "int8",
    }

    assert child_environment(environ) == {"HF_TOKEN": "hf", "PATH": "/bin", "TEXTMILL_DTYPE": "int8"}
