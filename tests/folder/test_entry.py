from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from textmill.folder.described import described, without_effect
from textmill.folder.external import External
from textmill.folder.model import ModelFile
from textmill.folder.scan import scan
from textmill.testing.checkpoints import tiny_bert, tiny_qwen3

One = Callable[[str], ModelFile]
Told = Callable[[str], list[tuple[str, int, str, str]]]

FINE = "parameters: {model: owner/name}"


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        (f"{FINE}\n", 1, "name", "has no name"),
        (f"\n\nname:\n{FINE}\n", 3, "name", "has no name"),
        (f"name: ' '\n{FINE}\n", 1, "name", "has no name"),
        (f'name: "a\\nb"\n{FINE}\n', 1, "name", "can be printed"),
        (f"name: {'x' * 300}\n{FINE}\n", 1, "name", "at most 256"),
        (f"name: [x]\n{FINE}\n", 1, "name", "must be a text"),
        (f"name: m\nname: n\n{FINE}\n", 2, "name", "again"),
        ("name: m\nbackend: llama\n", 1, "parameters", "names no model"),
        ("name: m\nparameters:\n  top_k: 1\n", 2, "parameters", "names no model"),
        ("name: m\nmodel: a\nparameters:\n  model: b\n", 2, "model", "differs from parameters.model in line 4"),
        ("name: m\nparameters:\n  model: ../x\n", 3, "parameters.model", "without .."),
        ("name: m\nmodel: /etc/passwd\n", 2, "model", "outside of the models folder"),
        (f"name: m\nbackend: ../x\n{FINE}\n", 2, "backend", "must be a name"),
        (f"name: m\n{FINE}\ndraft_model: ../x\n", 3, "draft_model", "without .."),
        (f"name: m\n{FINE}\nlora_adapters:\n- ok\n- ../x\n", 3, "lora_adapters[1]", "without .."),
        (f"name: m\n{FINE}\ndownload_files:\n- filename: ../x\n", 3, "download_files[0].filename", "without .."),
        (f"name: m\n{FINE}\nthreads: x\n", 3, "threads", "whole number"),
        (f"name: m\n{FINE}\ntextmill:\n  threads: none\n", 4, "textmill.threads", "impossible"),
        ("name: m\nalias: m\n", 2, "alias", "another model"),
        ("name: m\nalias: ' '\n", 1, "parameters", "names no model"),
        ("name: m\nalias: n\n", 1, "alias", "no model called n"),
        (f"name: m\nalias: n\n{FINE}\n", 3, "parameters.model", "an alias has none"),
        ("name: m\nalias: n\nbackend: llama\n", 3, "backend", "an alias has none"),
    ],
)
def test_what_is_wrong_has_its_line_and_key(
    text: str, line: int, key: str, words: str, models: Path, told: Told
) -> None:
    [(level, *place, sentence)] = told(text)

    assert (level, place) == ("error", [line, key])
    assert words in sentence
    assert scan(models).files == ()


def test_the_problems_of_an_entry_know_its_name(models: Path) -> None:
    (models / "a.yaml").write_text("threads: x\nname: m\nfoo: 1\nmodel: ../x\n")

    problems = scan(models).problems

    assert {problem.model for problem in problems} == {"m"}
    assert [(problem.level, problem.key) for problem in problems] == [
        *(("error", "threads"), ("warning", "foo"), ("error", "model")),
    ]


def test_weights_that_are_missing_are_a_warning_and_a_refusal(models: Path, told: Told) -> None:
    (models / "ggml-file.gguf").touch()

    problems = told("name: m\nbackend: transformers\nparameters:\n  model: ggml-flie.gguf\n")
    model = scan(models).find("m")

    assert ("warning", 4, "parameters.model") in [problem[:3] for problem in problems]
    assert model is not None
    assert model.refusal == "there is no ggml-flie.gguf in the models folder; did you mean ggml-file.gguf?"


def test_an_unknown_backend_is_told_and_its_model_refused_with_the_nearest(models: Path, told: Told) -> None:
    [(level, line, key, sentence)] = told(f"name: m\n{FINE}\nbackend: sentencetransformer\n")
    model = scan(models).find("m")

    assert (level, line, key) == ("warning", 3, "backend")
    assert sentence.endswith("did you mean sentencetransformers?")
    assert model is not None
    assert model.refusal is not None
    assert model.refusal.startswith("backend sentencetransformer:")


def test_a_damaged_folder_of_a_model_is_an_error_at_its_key(models: Path, told: Told) -> None:
    (tiny_bert(models / "bert") / "config.json").write_text("{")

    problems = told("name: m\nparameters:\n  model: bert\n")

    assert ("error", 3, "parameters.model") in [problem[:3] for problem in problems]


def test_a_folder_that_runs_here_runs_here_whatever_the_backend(models: Path, one: One) -> None:
    tiny_bert(models / "owner/weights")

    for backend in ("llama", "vllm", "exllama", "onnx", "transformers"):
        model = one(f"{{name: m, backend: {backend}, parameters: {{model: owner/weights}}}}")
        assert (model.engine, model.refusal) == ("ours", None), backend


def test_a_folder_that_writes_is_refused_by_what_its_backend_needs(models: Path, one: One) -> None:
    folder = tiny_qwen3(models / "owner/weights")
    for name in ("modules.json", "config_sentence_transformers.json"):
        (folder / name).unlink(missing_ok=True)
    config = (folder / "config.json").read_text().replace("Qwen3Model", "Qwen3ForCausalLM")
    (folder / "config.json").write_text(config)

    def refusal(backend: str) -> str:
        return str(one(f"{{name: m, {backend}, parameters: {{model: owner/weights}}}}").refusal)

    assert refusal("backend: transformers") == "None"
    assert refusal("known_usecases: [chat]") == "None"
    assert "optimum-cli export openvino" in refusal("type: OVModelForCausalLM")
    assert "SGLang" in refusal("backend: sglang")
    assert refusal("backend: vllm") == "None"
    assert "runs GGUF files" in refusal("backend: llama")
    assert refusal("embeddings: true") == "None"


def test_a_process_outside_comes_before_an_engine_of_that_name(models: Path) -> None:
    (models / "a.yaml").write_text(
        "- {name: m, backend: SentenceTransformers, embeddings: true, parameters: {model: all-MiniLM-L6-v2}}\n"
        "- {name: n, backend: mine, parameters: {model: x}}\n"
        "- {name: o, backend: huggingface-embeddings, embeddings: true, parameters: {model: x}}\n"
    )
    outside = {name: External(name, address="127.0.0.1:1") for name in ("sentencetransformers", "mine")}

    folder = scan(models, external=outside)

    assert folder.problems == ()
    for name, backend in (("m", "sentencetransformers"), ("n", "mine"), ("o", "sentencetransformers")):
        model = folder.find(name)
        assert model is not None
        assert (model.engine, model.external, model.backend) == ("external", outside[backend], backend)


def test_options_of_a_backend_outside_are_its_own(models: Path) -> None:
    (models / "a.yaml").write_text("{name: m, backend: mine, options: ['voice:low', loud], parameters: {model: x}}")

    assert scan(models, external={"mine": External("mine", address="127.0.0.1:1")}).problems == ()


def test_what_only_writes_is_refused_whoever_runs_it(models: Path) -> None:
    (models / "a.yaml").write_text("{name: m, backend: mine, known_usecases: [chat], parameters: {model: x}}")

    model = scan(models, external={"mine": External("mine", address="127.0.0.1:1")}).find("m")
    assert model is not None
    assert "writes text" in str(model.refusal)


def test_a_provider_is_given_its_own_name_of_the_model(one: One) -> None:
    model = one("{name: m, backend: openai, embeddings: true, parameters: {model: text-embedding-3-small}}")

    assert (model.engine, model.model, model.capabilities) == (
        "remote",
        "text-embedding-3-small",
        ("embeddings", "tokenize"),
    )
    assert model.refusal is None


def test_a_uri_waits_for_its_download(one: One) -> None:
    waits = one("{name: m, embeddings: true, parameters: {model: 'https://host/x.zip'}}")

    assert (waits.refusal, waits.location.comes, waits.facts) == (None, True, None)
    gguf = one("{name: m, parameters: {model: 'hf://owner/repo/x.gguf'}}")
    assert (gguf.engine, gguf.refusal, gguf.location.comes) == ("gguf", None, True)


@pytest.mark.parametrize(("target", "comes"), [("new/config.json", True), ("new", True), ("newer/config.json", False)])
def test_weights_that_the_model_has_downloaded_may_be_missing(target: str, comes: bool, one: One) -> None:  # noqa: FBT001 - a parameter of the test
    model = one(
        f"{{name: m, parameters: {{model: new}}, download_files: [{{filename: {target}, uri: 'https://h/x'}}]}}"
    )

    assert model.location.comes is comes
    assert (model.refusal is None) is comes


def test_a_revision_in_the_name_is_an_option(one: One) -> None:
    model = one("{name: m, parameters: {model: 'owner/name@v1'}}")

    assert (model.model, model.options["revision"]) == ("owner/name", "v1")


def test_fields_for_the_life_of_a_model(one: One) -> None:
    model = one(f"{{name: m, disabled: true, pinned: true, concurrency_groups: [a, b], {FINE}}}")

    assert (model.disabled, model.pinned, model.groups) == (True, True, ("a", "b"))


def test_stated_fields_that_do_not_act_can_be_listed(one: One) -> None:
    model = one(
        f"{{name: m, numa: true, threads: 2, compression: {{enabled: true}}, {FINE[:-1]}, echo: true, batch: 9}}}}"
    )

    assert {each.key: each.state for each in without_effect(model.fields)} == {
        "numa": "without effect here",
        "compression": "without effect here",
        "parameters.echo": "without effect here",
    }


def test_an_unknown_usecase_is_a_warning(told: Told) -> None:
    assert told(f"name: m\nknown_usecases: [FLAG_EMBEDDINGS, video]\n{FINE}\n") == [
        ("warning", 2, "known_usecases", "textmill does nothing that is called 'video'")
    ]


def test_the_errors_of_a_model_can_be_asked_for_by_its_name(models: Path) -> None:
    (models / "a.yaml").write_text(f"- {{name: m, threads: x, foo: 1, {FINE}}}\n- {{name: n, {FINE}}}\n")

    folder = scan(models)

    assert [problem.key for problem in folder.broken("m")] == ["threads"]
    assert folder.broken("n") == folder.broken("zzz") == ()


def test_a_file_of_a_model_means_its_folder(models: Path, one: One) -> None:
    folder = tiny_bert(models / "m")
    (folder / "onnx").mkdir()
    (folder / "onnx/model_O4.onnx").touch()

    graph = one("{name: x, embeddings: true, parameters: {model: m/onnx/model_O4.onnx}}")
    weights = one("{name: x, embeddings: true, parameters: {model: m/model.safetensors}}")
    hub = one("{name: x, embeddings: true, parameters: {model: owner/repo/onnx/model_O4.onnx}}")

    assert (graph.model, graph.options["file"], graph.refusal) == (str(folder), "onnx/model_O4.onnx", None)
    assert (weights.model, weights.options, weights.refusal) == (str(folder), {"task": "embed"}, None)
    assert (hub.model, hub.options["file"]) == ("owner/repo", "onnx/model_O4.onnx")


def test_an_artifact_names_the_model_where_nothing_else_does(one: One) -> None:
    artifacts = "artifacts: [{name: w, target: model, source: {type: huggingface, repo: owner/name, revision: abc}}]"

    model = one(f"{{name: m, embeddings: true, {artifacts}}}")

    assert (model.model, model.options) == ("owner/name", {"task": "embed", "revision": "abc"})


def test_what_is_written_as_empty_is_not_said(one: One) -> None:
    model = one(
        f"{{name: m, alias: '', backend: '', type: '', dtype: '', quantization: '', main_gpu: '', model: '', {FINE}}}"
    )

    assert (model.engine, model.options, model.refusal) == ("ours", {}, None)


ODD = (
    "~",
    "x",
    "''",
    "-1",
    "99999999999999999999",
    "1.5",
    "yes",
    "[]",
    "[1, [x]]",
    "{}",
    "{a: {b: c}}",
    "../x",
    '"\\0"',
    "é" * 3000,
)


def test_any_value_of_any_field_is_taken_or_told_with_its_line(models: Path) -> None:
    keys = [field.key for field in described() if field.key not in ("name", "alias") and "[" not in field.key]
    entries: list[str] = []
    for key in keys:
        *sections, last = key.split(".")
        for odd in ODD:
            entry = f"{last}: {odd}"
            for section in reversed(sections):
                entry = f"{section}: {{{entry}}}"
            model = "" if key in ("model", "parameters") or sections == ["parameters"] else f", {FINE}"
            entries.append(f"- {{name: {len(entries)}{model}, {entry}}}")
    files = [entries[start : start + 400] for start in range(0, len(entries), 400)]
    for number, lines in enumerate(files):
        (models / f"{number:02}.yaml").write_text("\n".join(lines))

    folder = scan(models)

    served = {model.name for model in folder.files}
    refused = {problem.model for problem in folder.problems if problem.level == "error"}
    assert served | refused == {str(number) for number in range(len(entries))}
    assert served & refused == set()
    for problem in folder.problems:
        assert (problem.file.name, problem.line) == (
            f"{int(problem.model) // 400:02}.yaml",
            int(problem.model) % 400 + 1,
        )
        assert problem.key
