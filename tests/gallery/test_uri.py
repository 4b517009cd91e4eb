from __future__ import annotations

from pathlib import Path

import pytest

from textmill.errors import InvalidInput
from textmill.gallery.access import Access
from textmill.gallery.uri import HubFile, Image, LocalFile, Repository, Uri, Url, file_name, parse, url_of

ACCESS = Access(endpoint="https://mirror.example/hf/")
RAW = "https://raw.githubusercontent.com"
GHCR = "https://ghcr.io"
OLLAMA = "https://registry.ollama.ai"
DIGEST = f"sha256:{'a' * 64}"

MEANT: list[tuple[str, Uri]] = [
    ("huggingface://o/r/f.gguf", HubFile("o/r", "f.gguf")),
    ("hf://o/r/sub/f.gguf@dev", HubFile("o/r", "sub/f.gguf", "dev")),
    ("hf.co/o/r/f.gguf", HubFile("o/r", "f.gguf")),
    ("huggingface://o/r", Repository("o/r")),
    ("o/r", Repository("o/r")),
    ("o/r@v1", Repository("o/r", "v1")),
    ("TheBloke/W-13B-V1.2-GGML/w.ggmlv3.q2_K.bin", HubFile("TheBloke/W-13B-V1.2-GGML", "w.ggmlv3.q2_K.bin")),
    ("https://huggingface.co/o/r/resolve/main/f.gguf", HubFile("o/r", "f.gguf")),
    ("https://huggingface.co/o/r/resolve/main/f.gguf?download=true", HubFile("o/r", "f.gguf")),
    ("https://huggingface.co/o/r/blob/refs%2Fpr%2F1/a/f.gguf", HubFile("o/r", "a/f.gguf", "refs/pr/1")),
    ("https://huggingface.co/o/r", Url("https://huggingface.co/o/r")),
    ("github:o/r/dir/f.yaml", Url(f"{RAW}/o/r/main/dir/f.yaml")),
    ("github:o/r/f.yaml@feature/x", Url(f"{RAW}/o/r/feature/x/f.yaml")),
    ("github://o/r/f.yaml@master", Url(f"{RAW}/o/r/master/f.yaml")),
    ("http://example.com/f.bin", Url("http://example.com/f.bin")),
    ("HTTPS://example.com/f.bin?x=1", Url("HTTPS://example.com/f.bin?x=1")),
    ("file:///models/a%20b.gguf", LocalFile(Path("/models/a b.gguf"))),
    ("ollama://gemma:2b", Image(OLLAMA, "library/gemma", "2b", ollama=True)),
    ("ollama://user/mine", Image(OLLAMA, "user/mine", "latest", ollama=True)),
    ("oci://ghcr.io/o/r:v1", Image(GHCR, "o/r", "v1")),
    (f"oci://ghcr.io/o/r@{DIGEST}", Image(GHCR, "o/r", DIGEST)),
    ("ghcr.io/o/r", Image(GHCR, "o/r", "latest")),
    ("quay.io/o/r:1", Image("https://quay.io", "o/r", "1")),
    ("docker.io/o/r", Image("https://registry-1.docker.io", "o/r", "latest")),
    ("docker.io/alpine:3", Image("https://registry-1.docker.io", "library/alpine", "3")),
    ("oci://localhost:5000/m:1", Image("http://localhost:5000", "m", "1")),
]


@pytest.mark.parametrize(("text", "meant"), MEANT, ids=lambda value: value if isinstance(value, str) else "")
def test_an_address_means_what_people_mean_by_it(text: str, meant: Uri) -> None:
    assert parse(text, ACCESS) == meant
    assert parse(f"  {text}\n", ACCESS) == meant


@pytest.mark.parametrize(
    "text",
    [
        *("", "name", "a/../b", "../x/y", "/etc/passwd", "o//r", "o/r/", "o/r/../../x", "-o/r", "o r/x y"),
        *("s3://bucket/x", "ocifile://x.tar", "ftp://h/x", "javascript:alert(1)", "huggingface://", "hf://o"),
        *(
            "github:o/r",
            "github:o/r/../x",
            "http://",
            "http:///x",
            "https://[::1",
            "http://user:pw@h/x",
            "http://h:99999/x",
        ),
        *("file://host/x", "file:x", "file://", "file:///a%00b"),
        *("ollama://", "ollama://a b", "ollama://../x", "oci://x", "oci://h/UPPER", "oci://h/../x", "oci://user@h/x"),
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse(text, ACCESS)


def test_a_password_in_a_url_is_refused_without_being_repeated() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse("https://me:hunter2@example.com/x", ACCESS)
    assert "hunter2" not in str(caught.value)


def test_hub_files_come_from_the_endpoint_that_the_operator_has_named() -> None:
    uri = parse("https://huggingface.co/o/r/resolve/main/a b.gguf", ACCESS)

    assert isinstance(uri, HubFile)
    assert url_of(uri, ACCESS) == "https://mirror.example/hf/o/r/resolve/main/a%20b.gguf"
    assert url_of(HubFile("o/r", "f", "refs/pr/1"), Access()) == "https://huggingface.co/o/r/resolve/refs%2Fpr%2F1/f"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hf://o/r/sub/f.gguf@dev", "f.gguf"),
        ("http://h/a/b%20c.bin?x", "b c.bin"),
        ("http://h/", ""),
        ("file:///a/b.gguf", "b.gguf"),
        ("o/r", "r"),
        ("ollama://gemma:2b", "gemma-2b.gguf"),
        ("ollama://user/mine", "user-mine-latest.gguf"),
        ("oci://ghcr.io/o/r:v1", "o-r-v1"),
        (f"oci://ghcr.io/o/r@{DIGEST}", "o-r-aaaaaaaaaaaa"),
    ],
)
def test_the_file_of_an_address_has_its_last_name(text: str, name: str) -> None:
    assert file_name(parse(text, ACCESS)) == name
