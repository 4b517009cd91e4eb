"""A fingerprint changes with whatever vectors depend on, and with nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from textmill.checkpoint.recipe import Recipe, read_recipe
from textmill.config import ModelOptions
from textmill.contract import EmbedDefaults
from textmill.errors import ConfigInvalid
from textmill.store.fingerprint import Fingerprinted, expect_fingerprint
from textmill.store.load import load
from textmill.store.wishes import bounded, prompted
from textmill.testing.checkpoints import DenseModule, tiny_bert, tiny_qwen3
from textmill.testing.heads import tiny_classifier, tiny_reranker, tiny_splade

KINDS: dict[str, Callable[[Path], Path]] = {
    "bert": tiny_bert,
    "qwen3": tiny_qwen3,
    "classifier": tiny_classifier,
    "reranker": tiny_reranker,
    "splade": tiny_splade,
}


def facts_of(folder: Path, dtype: str = "float32", **changes: Any) -> Fingerprinted:
    recipe = read_recipe(folder)
    return Fingerprinted(replace(recipe, **changes), recipe.weights_sha256(), dtype)


def change_json(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "tiny", prompts={"query": "ask: "})


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_files_have_the_same_fingerprint_wherever_they_are_and_whoever_looks(
    kind: str, tmp_path: Path
) -> None:
    folder = KINDS[kind](tmp_path / "one")
    moved = tmp_path / "elsewhere" / "two"
    shutil.copytree(folder, moved)
    own = str(facts_of(folder))
    assert str(facts_of(moved)) == own
    program = (
        "import sys; from pathlib import Path; from textmill.checkpoint.recipe import read_recipe\n"
        "from textmill.store.fingerprint import Fingerprinted\n"
        "recipe = read_recipe(Path(sys.argv[1])); print(Fingerprinted(recipe, recipe.weights_sha256(), 'float32'))"
    )
    made = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-c", program, str(moved)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert made.stdout.strip() == own


def test_the_fingerprint_of_a_well_known_model_stays_as_it_is() -> None:
    with load("all-MiniLM-L6-v2", dtype="float32", threads=1) as model:
        assert model.info.fingerprint == "6ac3a73a9c36ddd0"


CHANGES: dict[str, Callable[[Path], object]] = {
    "tokenizer": lambda at: (at / "tokenizer.json").write_text((at / "tokenizer.json").read_text() + "\n"),
    "config": lambda at: change_json(at / "config.json", layer_norm_eps=1e-6),
    "prompts": lambda at: change_json(at / "config_sentence_transformers.json", prompts={"query": "find: "}),
    "default prompt": lambda at: change_json(at / "config_sentence_transformers.json", default_prompt_name="query"),
    "length": lambda at: change_json(at / "sentence_bert_config.json", max_seq_length=7),
    "lower case": lambda at: change_json(at / "sentence_bert_config.json", do_lower_case=True),
    "pooling": lambda at: change_json(
        at / "1_Pooling" / "config.json",
        pooling_mode="cls",
        pooling_mode_cls_token=True,
        pooling_mode_mean_tokens=False,
    ),
    "prompt in pooling": lambda at: change_json(at / "1_Pooling" / "config.json", include_prompt=False),
    "dimensions": lambda at: change_json(at / "config_sentence_transformers.json", truncate_dim=8),
    "side": lambda at: change_json(at / "tokenizer_config.json", truncation_side="left"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_another_fingerprint(change: str, folder: Path, tmp_path: Path) -> None:
    changed = tmp_path / "tiny"
    shutil.copytree(folder, changed)
    for name in ("sentence_bert_config.json", "tokenizer_config.json"):
        if not (changed / name).exists():
            (changed / name).write_text("{}")
    before = str(facts_of(changed))
    CHANGES[change](changed)
    assert str(facts_of(changed)) != before


def test_other_weights_heads_and_precisions_are_other_fingerprints(folder: Path, tmp_path: Path) -> None:
    prompts = {"query": "ask: "}
    folders = (
        folder,
        tiny_bert(tmp_path / "weights", seed=1, prompts=prompts),
        tiny_bert(tmp_path / "dense", prompts=prompts, modules=(DenseModule(16),)),
    )
    made = {str(facts_of(each, dtype)) for each in folders for dtype in ("float32", "bfloat16", "float16", "int8")}
    assert len(made) == 12


def test_the_users_wishes_are_in_it(folder: Path) -> None:
    recipe = read_recipe(folder)

    def wished(**options: Any) -> Recipe:
        return bounded(prompted(recipe, ModelOptions(**options)), ModelOptions(**options))

    recipes = [wished(), wished(default_prompt="a: "), wished(default_prompt_name="query"), wished(max_input_length=8)]
    made = [Fingerprinted(each, "weights", "float32") for each in recipes]
    made += [
        replace(made[0], defaults=EmbedDefaults(norm=-1)),
        replace(made[0], defaults=EmbedDefaults(pooling="last")),
    ]
    assert len(set(map(str, made))) == len(made)


def test_another_fingerprint_than_expected_is_refused_with_what_is_different(folder: Path) -> None:
    with load(str(folder), dtype="float32", threads=1) as model:
        info = model.info
    files = facts_of(folder)
    assert str(files) == info.fingerprint
    expect_fingerprint((), info, files)
    for good in (info.fingerprint, f"tiny={info.fingerprint}", "another=f00d", f"{info.source}={info.fingerprint}"):
        expect_fingerprint((good,), info, files)
    expect_fingerprint(("f00d", f"tiny={info.fingerprint}"), info, files)
    with pytest.raises(
        ConfigInvalid, match=f"tiny has the fingerprint {info.fingerprint}, and f00d is expected: other weights"
    ):
        expect_fingerprint(("f00d",), info, files)
    with pytest.raises(ConfigInvalid, match="this model has it with dtype bfloat16"):
        expect_fingerprint((str(replace(files, dtype="bfloat16")),), info, files)
    asks = str(replace(files, recipe=replace(files.recipe, default_prompt_name="query")))
    with pytest.raises(ConfigInvalid, match="this model has it with the default prompt 'query'"):
        expect_fingerprint((f"tiny={asks}",), info, files)
    with pytest.raises(ConfigInvalid, match="f00d is expected"):
        expect_fingerprint(("tiny=f00d", info.fingerprint), info, files)


def test_load_refuses_another_model_than_expected(folder: Path) -> None:
    with pytest.raises(ConfigInvalid, match="f00d is expected"):
        load(str(folder), threads=1, expect_fingerprint="f00d")
