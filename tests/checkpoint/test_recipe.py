from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textmill.arch import bert
from textmill.arch.heads import Dense, LayerNorm, Normalize, Pooling
from textmill.checkpoint.recipe import Recipe, load_tensors, read_recipe
from textmill.checkpoint.source import Ask
from textmill.errors import ModelBroken
from textmill.testing.checkpoints import (
    DenseModule,
    LayerNormModule,
    NormalizeModule,
    tiny_bert,
    tiny_qwen3,
    write_json,
    write_prompts,
    write_safetensors,
)

TANH = "torch.nn.modules.activation.Tanh"


def broken(folder: Path) -> str:
    with pytest.raises(ModelBroken) as caught:
        load_tensors(read_recipe(folder))
    message = str(caught.value)
    assert "\n" not in message
    return message


def change(path: Path, **values: Any) -> None:
    """Set keys of a JSON file; None removes one."""
    data = {**(json.loads(path.read_text()) if path.exists() else {}), **values}
    write_json(path, {key: value for key, value in data.items() if value is not None})


def with_pooling(folder: Path, **config: Any) -> Recipe:
    write_json(tiny_bert(folder) / "1_Pooling" / "config.json", config)
    return read_recipe(folder)


def bare(folder: Path) -> Path:
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        (folder / name).unlink()
    shutil.rmtree(folder / "1_Pooling")
    return folder


def test_the_usual_folder_is_read(tmp_path: Path) -> None:
    recipe = read_recipe(tiny_bert(tmp_path, prompts={"query": "query: ", "passage": ""}, default_prompt_name="query"))
    assert (recipe.architecture, recipe.pooling, recipe.outputs["dense"]) == ("bert", "mean", (Pooling(("mean",)),))
    assert (recipe.max_tokens, recipe.lowercase) == (32, False)
    assert (recipe.prompts, recipe.default_prompt_name) == ({"query": "query: ", "passage": ""}, "query")
    assert recipe.config["hidden_size"] == 32


def test_modules_become_heads_in_their_order_with_their_weights(tmp_path: Path) -> None:
    identity = "torch.nn.modules.linear.Identity"
    modules = (
        NormalizeModule(),
        DenseModule(16),
        LayerNormModule(),
        DenseModule(8, identity, bias=False),
        NormalizeModule(),
    )
    recipe = read_recipe(tiny_bert(tmp_path, pooling=("max", "cls"), modules=modules))
    assert recipe.outputs["dense"] == (
        Pooling(("max", "cls")),
        Normalize(),
        Dense("3_Dense.linear", "tanh"),
        LayerNorm("4_LayerNorm.norm"),
        Dense("5_Dense.linear"),
    )
    assert recipe.pooling == "max+cls"
    tensors = load_tensors(recipe)
    assert tensors["3_Dense.linear.weight"].shape == (16, 64)
    assert tensors["4_LayerNorm.norm.bias"].shape == (16,)
    assert "5_Dense.linear.bias" not in tensors
    assert "embeddings.LayerNorm.weight" in tensors
    assert recipe.transformer_folder == tmp_path
    assert recipe.kind.head_folders == ("3_Dense", "4_LayerNorm", "5_Dense")
    assert recipe.outputs["tokens"] == ()


def test_a_normalize_before_another_module_stays(tmp_path: Path) -> None:
    recipe = read_recipe(tiny_bert(tmp_path, modules=(NormalizeModule(), DenseModule(8))))
    assert recipe.outputs["dense"][1] == Normalize()


@pytest.mark.parametrize(
    "prefix",
    [
        "sentence_transformers.models.{0}",
        "sentence_transformers.models.{0}.{0}",
        "sentence_transformers.base.modules.lower.{0}",
        "sentence_transformers.sentence_transformer.modules.lower.{0}",
    ],
)
def test_module_types_of_every_release_are_known(prefix: str, tmp_path: Path) -> None:
    path = tiny_bert(tmp_path, modules=(DenseModule(8), NormalizeModule())) / "modules.json"
    entries = json.loads(path.read_text())
    for entry in entries:
        entry["type"] = prefix.format(entry["type"].rpartition(".")[2])
    write_json(path, entries)
    assert read_recipe(tmp_path).outputs["dense"] == (Pooling(("mean",)), Dense("2_Dense.linear", "tanh"))


def test_a_transformer_in_a_folder_of_its_own_is_found(tmp_path: Path) -> None:
    path = tiny_bert(tmp_path, max_seq_length=20) / "modules.json"
    inside = tmp_path / "0_Transformer"
    inside.mkdir()
    for name in (
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "sentence_bert_config.json",
    ):
        (tmp_path / name).rename(inside / name)
    entries = json.loads(path.read_text())
    entries[0]["path"] = "0_Transformer"
    write_json(path, entries)
    recipe = read_recipe(tmp_path)
    assert (recipe.transformer_folder, recipe.max_tokens) == (inside, 20)
    assert load_tensors(recipe)


@pytest.mark.parametrize(
    ("config", "modes"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, ("mean",)),
        ({"pooling_mode_lasttoken": True}, ("lasttoken",)),
        ({"pooling_mode_weightedmean_tokens": True}, ("weightedmean",)),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, ("mean_sqrt_len_tokens",)),
        (
            {"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True, "pooling_mode_cls_token": True},
            ("cls", "max", "mean"),
        ),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": False}, ("mean",)),
        ({}, ("mean",)),
        ({"pooling_mode": "max", "pooling_mode_cls_token": True}, ("max",)),
        ({"pooling_mode": ["mean", "cls"]}, ("mean", "cls")),
    ],
)
@pytest.mark.parametrize("width", ["word_embedding_dimension", "embedding_dimension"])
def test_pooling_is_read_in_its_old_and_new_spelling(
    config: dict[str, Any], modes: tuple[str, ...], width: str, tmp_path: Path
) -> None:
    recipe = with_pooling(tmp_path, **config, **{width: 32})
    assert recipe.outputs["dense"] == (Pooling(modes),)  # type: ignore[arg-type]  # the test's own names


def test_prompts_can_be_left_out_of_pooling(tmp_path: Path) -> None:
    assert read_recipe(tiny_bert(tmp_path, include_prompt=False)).outputs["dense"] == (
        Pooling(("mean",), include_prompt=False),
    )


@pytest.mark.parametrize("pooling_mode", ["median", [], ["mean", "median"], 3, [["mean"]], [3]])
def test_an_unknown_pooling_mode_is_refused(pooling_mode: object, tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path)
    write_json(folder / "1_Pooling" / "config.json", {"embedding_dimension": 32, "pooling_mode": pooling_mode})
    message = broken(folder)
    assert "1_Pooling/config.json" in message
    assert "pooling_mode" in message


@pytest.mark.parametrize("name", ["Tanh", "GELU", "ReLU", "SiLU", "Sigmoid"])
def test_activations_of_torch_are_known(name: str, tmp_path: Path) -> None:
    recipe = read_recipe(tiny_bert(tmp_path, modules=(DenseModule(8, f"torch.nn.modules.activation.{name}"),)))
    assert recipe.outputs["dense"][1] == Dense("2_Dense.linear", name.lower())  # type: ignore[arg-type]  # names of both are the same


def test_a_dense_module_without_an_activation_has_the_default_one(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path, modules=(DenseModule(8),))
    change(folder / "2_Dense" / "config.json", activation_function=None)
    assert read_recipe(folder).outputs["dense"][1] == Dense("2_Dense.linear", "tanh")


@pytest.mark.parametrize(
    ("file", "values", "expected"),
    [
        (
            "2_Dense/config.json",
            {"activation_function": "torch.nn.modules.activation.Mish"},
            "activation_function torch.nn.modules.activation.Mish",
        ),
        ("2_Dense/config.json", {"activation_function": "evil.Tanh"}, "activation_function evil.Tanh is unknown"),
        ("2_Dense/config.json", {"module_input_name": "token_embeddings"}, "module_input_name is 'token_embeddings'"),
        ("2_Dense/config.json", {"use_residual": True}, "use_residual"),
        ("2_Dense/config.json", {"in_features": 33}, "in_features is 33, but vectors of 32 features"),
        ("2_Dense/config.json", {"out_features": "8"}, "out_features must be a whole number, not '8'"),
        ("2_Dense/config.json", {"bias": False}, "describes tensors"),
        ("3_LayerNorm/config.json", {"dimension": 4}, "dimension is 4"),
        ("4_Normalize/config.json", {"module_input_name": "token_embeddings"}, "module_input_name"),
        ("1_Pooling/config.json", {"embedding_dimension": 31}, "embedding_dimension is 31"),
        ("1_Pooling/config.json", {"embedding_dimension": None}, "lacks 'embedding_dimension'"),
        ("1_Pooling/config.json", {"include_prompt": "yes"}, "include_prompt must be true or false, not 'yes'"),
        ("config.json", {"hidden_size": True}, "says hidden_size True; the bert architecture needs type int"),
        ("config.json", {"vocab_size": 0}, "says vocab_size 0; it must be above zero"),
        ("config.json", {"model_type": None}, "says model_type None, which textmill does not run"),
        (
            "config.json",
            {"auto_map": {"AutoModel": "modeling.Own"}},
            "says auto_map.AutoModel 'modeling.Own': the model",
        ),
        (
            "config.json",
            {"max_position_embeddings": "many"},
            "says max_position_embeddings 'many'; the bert architecture",
        ),
        ("sentence_bert_config.json", {"max_seq_length": 0}, "max_seq_length must be a number of tokens, not 0"),
        ("sentence_bert_config.json", {"max_seq_length": True}, "max_seq_length must be"),
        ("sentence_bert_config.json", {"do_lower_case": "no"}, "do_lower_case must be"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "transformer_task is 'fill-mask'"),
        ("sentence_bert_config.json", {"query_expansion": {"length": 32}}, "query_expansion"),
        ("sentence_bert_config.json", {"modality_config": {"image": {}}}, "lacks 'text'"),
        (
            "sentence_bert_config.json",
            {"modality_config": {"text": {}, "message": {"format": "flat"}}},
            "every text goes through the chat template, which textmill does not do",
        ),
        (
            "config_sentence_transformers.json",
            {"default_prompt_name": "query"},
            "'query' is not among the prompts (none)",
        ),
        ("config_sentence_transformers.json", {"prompts": ["query: "]}, "prompts must be an object"),
        ("config_sentence_transformers.json", {"prompts": {"query": 1}}, "query must be a text"),
        ("config_sentence_transformers.json", {"model_type": "Abacus"}, "model_type is Abacus"),
        ("config_sentence_transformers.json", {"truncate_dim": -1}, "truncate_dim must be at least 1"),
    ],
)
def test_settings_that_cannot_be_run_are_refused_by_file_and_name(
    file: str, values: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    folder = tiny_bert(tmp_path, modules=(DenseModule(8), LayerNormModule(), NormalizeModule()))
    change(folder / file, **values)
    message = broken(folder)
    assert message.startswith(str(folder / file))
    assert expected in message


def test_a_sparse_encoder_of_other_modules_is_refused_with_them(tmp_path: Path) -> None:
    change(tiny_bert(tmp_path) / "config_sentence_transformers.json", model_type="SparseEncoder")
    message = broken(tmp_path)
    assert message.startswith(str(tmp_path / "modules.json"))
    assert "lists Transformer, Pooling, Normalize; textmill runs sparse models of" in message


def test_a_width_that_config_json_leaves_out_is_the_one_of_transformers(tmp_path: Path) -> None:
    change(tiny_bert(tmp_path) / "config.json", hidden_size=None)
    message = broken(tmp_path)
    assert message.startswith(str(tmp_path / "1_Pooling" / "config.json"))
    assert "embedding_dimension is 32, but vectors of 768 features" in message


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ({}, "entry 0 must be an object"),
        ([], "lists no modules"),
        ([3], "entry 0 must be an object"),
        ([{"type": "sentence_transformers.models.Transformer"}], "entry 0 must be an object"),
        ([{"type": "sentence_transformers.models.Transformer", "path": "../other"}], "below the model"),
        ([{"type": "sentence_transformers.models.Transformer", "path": "/etc"}], "below the model"),
        ([("Transformer", "")], "has no Pooling"),
        ([("Pooling", "1_Pooling")], "begins with sentence_transformers.models.Pooling"),
        ([("WordEmbeddings", "0_WordEmbeddings")], "begins with sentence_transformers.models.WordEmbeddings"),
        (
            [("Transformer", ""), ("Pooling", "1_Pooling"), ("CNN", "2_CNN")],
            "module 2 is sentence_transformers.models.CNN (path '2_CNN')",
        ),
        (
            [("Transformer", ""), ("Normalize", "1"), ("Pooling", "1_Pooling")],
            "module 1 is sentence_transformers.models.Normalize",
        ),
        (
            [("Transformer", ""), ("Pooling", "1_Pooling"), ("Pooling", "1_Pooling")],
            "module 2 is sentence_transformers.models.Pooling",
        ),
        (
            [("Transformer", ""), ("Pooling", "1_Pooling"), ("Transformer", "")],
            "module 2 is sentence_transformers.models.Transformer",
        ),
        ([{"type": "own_code.Transformer", "path": ""}], "textmill never runs code from a model repository"),
    ],
)
def test_modules_that_cannot_be_run_are_refused_by_name(entries: Any, expected: str, tmp_path: Path) -> None:
    if isinstance(entries, list):
        entries = [
            {"type": f"sentence_transformers.models.{entry[0]}", "path": entry[1]}
            if isinstance(entry, tuple)
            else entry
            for entry in entries
        ]
    write_json(tiny_bert(tmp_path) / "modules.json", entries)
    message = broken(tmp_path)
    assert expected in message
    assert str(tmp_path / "modules.json") in message


def test_dropout_does_nothing_when_embedding(tmp_path: Path) -> None:
    path = tiny_bert(tmp_path) / "modules.json"
    entries = json.loads(path.read_text())
    entries.insert(2, {"type": "sentence_transformers.models.Dropout", "path": "2_Dropout"})
    write_json(path, entries)
    assert read_recipe(tmp_path).outputs["dense"] == (Pooling(("mean",)),)


@pytest.mark.parametrize("file", ["config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"])
@pytest.mark.parametrize("text", ["", "{", '{"a": }', "[" * 100_000, "\xff"])
def test_a_file_that_is_not_json_is_named(file: str, text: str, tmp_path: Path) -> None:
    (tiny_bert(tmp_path) / file).write_text(text, encoding="latin-1")
    assert str(tmp_path / file) in broken(tmp_path)


@pytest.mark.parametrize(
    "file", ["config.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"]
)
def test_a_missing_file_is_named(file: str, tmp_path: Path) -> None:
    path = tiny_bert(tmp_path, modules=(DenseModule(8),)) / file
    path.unlink()
    assert f"{path.parent} has no {path.name}" in broken(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert broken(tmp_path / "gone") == f"the model's folder {tmp_path / 'gone'} is missing"


def test_a_peft_adapter_beside_a_model_is_refused_not_left_out(tmp_path: Path) -> None:
    tiny_bert(tmp_path)
    write_json(tmp_path / "adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "owner/base"})

    message = broken(tmp_path)

    assert str(tmp_path / "adapter_config.json") in message
    assert "merge it" in message


def test_a_head_with_weights_of_another_shape_is_refused(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path, modules=(DenseModule(8),))
    change(folder / "2_Dense" / "config.json", out_features=9)
    assert "'linear.weight': (9, 32)" in broken(folder)


def test_a_head_with_other_tensors_than_its_config_says_is_refused(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path, modules=(LayerNormModule(),))
    write_safetensors(folder / "2_LayerNorm" / "model.safetensors", {"norm.weight": np.ones(32, np.float32)})
    assert "2_LayerNorm/config.json describes tensors" in broken(folder)


@pytest.mark.parametrize(
    ("settings", "tokenizer", "config", "expected"),
    [
        ({"max_seq_length": 20}, {"model_max_length": 10}, {}, 20),
        ({"max_seq_length": None}, {"model_max_length": 10}, {}, 10),
        ({}, {"model_max_length": 1e30}, {}, 64),
        ({}, {"model_max_length": None}, {}, 64),
        ({}, {"model_max_length": None, "max_len": 12}, {}, 12),
        ({"max_seq_length": 500}, {}, {}, 64),
        ({"max_seq_length": 500}, {}, {"rope_theta": 10000.0}, 64),
        ({"max_seq_length": 500}, {}, {"rope_theta": 10000.0, "model_type": "qwen3", "num_key_value_heads": 4}, 500),
        ({"max_seq_length": 5000}, {}, {"max_position_embeddings": None}, bert.Config().max_position_embeddings),
        ({"max_seq_length": 20, "tokenizer_args": {"model_max_length": 30}}, {}, {}, 30),
        ({"max_seq_length": 20, "processor_kwargs": {"model_max_length": 30}}, {}, {}, 30),
    ],
)
def test_the_longest_input_is_found_as_sentence_transformers_does(
    settings: dict[str, Any], tokenizer: dict[str, Any], config: dict[str, Any], expected: int, tmp_path: Path
) -> None:
    folder = tiny_bert(tmp_path)
    write_json(folder / "sentence_bert_config.json", settings)
    change(folder / "tokenizer_config.json", **tokenizer)
    change(folder / "config.json", **config)
    assert read_recipe(folder).max_tokens == expected


def test_a_model_that_says_no_length_is_refused(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path, max_seq_length=None)
    change(folder / "tokenizer_config.json", model_max_length=None)
    change(folder / "config.json", max_position_embeddings=None, model_type="qwen3", num_key_value_heads=4)
    assert "put max_seq_length into" in broken(folder)


def test_older_names_of_the_transformer_settings_are_read(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path)
    (folder / "sentence_bert_config.json").unlink()
    write_json(folder / "sentence_roberta_config.json", {"max_seq_length": 17, "do_lower_case": True})
    recipe = read_recipe(folder)
    assert (recipe.max_tokens, recipe.lowercase) == (17, True)


def test_overrides_of_config_json_apply(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path)
    change(folder / "sentence_bert_config.json", config_args={"layer_norm_eps": 0.5})
    assert read_recipe(folder).config["layer_norm_eps"] == 0.5


def test_the_settings_that_newer_releases_write_are_read(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path)
    text = {"method": "forward", "method_output_name": "last_hidden_state"}
    settings = {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": text},
        "module_output_name": "token_embeddings",
    }
    write_json(folder / "sentence_bert_config.json", settings)
    change(folder / "config_sentence_transformers.json", model_type="SentenceTransformer", truncate_dim=8)
    recipe = read_recipe(folder)
    assert (recipe.max_tokens, recipe.truncate_dimensions) == (64, 8)


def test_a_prompt_without_a_text_is_empty(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path)
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": None}, "default_prompt_name": None})
    recipe = read_recipe(folder)
    assert (recipe.prompts, recipe.default_prompt_name) == ({"query": ""}, None)


def test_an_unknown_default_prompt_names_the_known_ones(tmp_path: Path) -> None:
    write_prompts(tiny_bert(tmp_path), {"query": "q", "passage": "p"}, "document")
    assert "'document' is not among the prompts (query, passage)" in broken(tmp_path)


def test_the_side_that_the_tokenizer_cuts_is_read(tmp_path: Path) -> None:
    change(tiny_bert(tmp_path) / "tokenizer_config.json", truncation_side="left")
    assert read_recipe(tmp_path).truncate_side == "left"


def test_a_bare_encoder_is_pooled_by_mean_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        recipe = read_recipe(bare(tiny_bert(tmp_path)))
    assert (recipe.outputs["dense"], recipe.max_tokens) == ((Pooling(("mean",)),), 64)
    assert "has no modules.json" in caplog.text


def test_a_folder_with_neither_config_nor_modules_gives_the_error_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert broken(tmp_path) == f"{tmp_path} has no config.json"
    assert not caplog.records


@pytest.mark.parametrize(("causal", "mode"), [(None, "lasttoken"), (True, "lasttoken"), (False, "mean")])
def test_a_bare_language_model_is_pooled_by_its_last_token(causal: bool | None, mode: str, tmp_path: Path) -> None:  # noqa: FBT001 - parametrised
    folder = bare(tiny_qwen3(tmp_path))
    change(folder / "config.json", is_causal=causal)
    assert read_recipe(folder).pooling == mode


@pytest.mark.parametrize(("template", "told"), [(None, False), ("{{ messages[0].content }}", True)])
def test_a_bare_model_with_a_chat_template_embeds_texts_as_they_are_and_says_so(
    template: str | None,
    told: bool,  # noqa: FBT001 - parametrised
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = bare(tiny_qwen3(tmp_path))
    change(folder / "tokenizer_config.json", chat_template=template)
    with caplog.at_level(logging.WARNING):
        read_recipe(folder)
    assert (
        "of texts as they are: sentence-transformers 6 would put each into the chat template" in caplog.text
    ) is told


def test_a_model_that_marks_answers_is_refused_for_what_it_is(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path)
    change(folder / "config.json", architectures=["BertForQuestionAnswering"])
    assert read_recipe(folder).pooling == "mean"  # its modules.json makes an embedding model of it
    assert broken(bare(folder)) == (
        f"{folder / 'config.json'}: a BertForQuestionAnswering marks answers in texts, which textmill does not do; it embeds, "
        "ranks and classifies, so take a model that was trained for one of these"
    )


def test_a_classifier_pools_as_its_head_does_whatever_is_asked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = bare(tiny_bert(tmp_path))
    change(folder / "config.json", architectures=["BertForSequenceClassification"], id2label={"0": "a", "1": "b"})

    assert read_recipe(folder, Ask(pooling="mean")).outputs == read_recipe(folder).outputs
    assert caplog.text.count("pooling is ignored") == 1
