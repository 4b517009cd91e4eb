"""Model files whose backend is python, from the module to a server's answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from textmill.errors import ConfigInvalid
from textmill.folder.model import ModelFile
from textmill.folder.scan import scan
from textmill.providers.custom_opening import open_custom

SOURCE = """
from functools import lru_cache, partial
from subprocess import run

class Sized:
    def __init__(self, size=2, word="x"):
        if size == 0:
            raise ValueError("no size")
        self.size, self.word = size, word

    def embed(self, texts):
        return [[len(text)] * self.size for text in texts]

made = Sized(5)
number = 3

def make(**options):
    return Sized(**options)

def nothing():
    return object()

part = partial(Sized, 3)

@lru_cache
def kept():
    return Sized(4)

class Rows:
    def embed(self, texts):
        return [1] * (len(texts) + 1)
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "mill_models.py").write_text(SOURCE)
    (folder / "mill_broken.py").write_text("import mill_nowhere")
    (folder / "mill_stopped.py").write_text("raise KeyboardInterrupt")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield "mill_models"


def file_of(folder: Path, model: str, *options: str, allowed: str = "mill_models") -> ModelFile:
    lines = [
        f"name: own\nbackend: python\nparameters: {{model: '{model}'}}\noptions:",
        *(f"- '{each}'" for each in options),
    ]
    (folder / "own.yaml").write_text("\n".join(lines) + ("" if options else " []"))
    return scan(folder, python=(allowed,)).by_name["own"]


@pytest.mark.parametrize(
    ("name", "options", "width"),
    [
        ("Sized", (), 2),
        ("Sized", ("size:3", "word: a b"), 3),
        ("make", ("size:4",), 4),
        ("made", (), 5),
        ("part", (), 3),
        ("kept", (), 4),
    ],
)
def test_classes_functions_and_objects_become_models(
    tmp_path: Path, module: str, name: str, options: tuple[str, ...], width: int
) -> None:
    with open_custom(file_of(tmp_path, f"{module}:{name}", *options), (module,)) as model:
        assert (model.info.name, model.info.source, model.info.dimensions) == ("own", f"{module}:{name}", width)
        assert model.embed(["ab"], normalize=False).tolist() == [[2.0] * width]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mill_models:Sized", ("size:0",), r"own.yaml: mill_models:Sized\(size\) raised ValueError: no size"),
        ("mill_models:Sized", ("sise:1",), r"raised TypeError: .*unexpected keyword argument 'sise'"),
        ("mill_models:Sized", ("size",), r"the option 'size' must be NAME:VALUE"),
        ("mill_models:made", ("size:1",), r"is an object already, so there is nothing to give its options to: size"),
        ("mill_models:number", (), r"is of type int; it must be an object that embeds"),
        ("mill_models:nothing", (), r"own.yaml: mill_models:nothing is of type object without a method"),
        ("mill_models:Other", (), r"own.yaml: the module mill_models has nothing called Other"),
        ("mill_models:Rows", (), r"own.yaml: mill_models:Rows.embed gave an array of shape \(2,\) for 1 inputs"),
        ("mill_models.deep:Other", (), r"the module mill_models.deep cannot be imported: ModuleNotFoundError"),
        ("mill_absent:Model", (), r"cannot be imported: ModuleNotFoundError: .*install its package"),
        ("mill_broken:Model", (), r"No module named 'mill_nowhere'$"),
    ],
)
def test_what_keeps_an_object_from_being_a_model_is_told_with_the_file(
    tmp_path: Path, module: str, name: str, options: tuple[str, ...], message: str
) -> None:
    own = name.partition(":")[0]
    assert module
    with pytest.raises(ConfigInvalid, match=message):
        open_custom(file_of(tmp_path, name, *options, allowed=own), (own,))


def test_nothing_is_imported_that_is_not_allowed(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="which this server may not; start it with --python-models mill_secret"):
        open_custom(file_of(tmp_path, "mill_secret:Model"), ("mill_models",))
    assert "mill_secret" not in sys.modules


@pytest.mark.parametrize("name", ["run", "partial", "__class__"])
def test_what_an_allowed_module_only_imports_is_not_called(tmp_path: Path, module: str, name: str) -> None:
    left = tmp_path / "left"
    file = file_of(tmp_path, f"{module}:{name}", f'args:["touch", "{left}"]')
    with pytest.raises(
        ConfigInvalid, match=f"own.yaml: {module}:{name} comes from the module .*, whose code this server may not run"
    ):
        open_custom(file, (module,))
    assert not left.exists()


def test_who_ends_a_command_while_a_module_is_imported_ends_it(tmp_path: Path, module: str) -> None:
    assert module
    with pytest.raises(KeyboardInterrupt):
        open_custom(file_of(tmp_path, "mill_stopped:Model", allowed="mill_stopped"), ("mill_stopped",))


def test_the_fingerprint_tells_options_apart(tmp_path: Path, module: str) -> None:
    prints = set()
    for word in ("a", "b", "a"):
        with open_custom(file_of(tmp_path, f"{module}:Sized", f"word:{word}"), (module,)) as model:
            prints.add(model.info.fingerprint)
    assert len(prints) == 2
