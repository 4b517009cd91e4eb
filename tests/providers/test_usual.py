from __future__ import annotations

from pathlib import Path

import pytest

from textmill.contract import ChatOptions, CompleteOptions, Format, Message, Sampling, Tool
from textmill.errors import ModelBroken
from textmill.folder.model import ModelFile
from textmill.folder.scan import scan
from textmill.providers.usual import Usual, usual_of
from textmill.testing.gguf import write_gguf


def file_of(folder: Path, text: str) -> ModelFile:
    (folder / "m.yaml").write_text(f"name: m\nbackend: llama-cpp\n{text}")
    found = scan(folder).find("m")
    assert found is not None
    return found


def test_a_file_says_how_tokens_are_chosen_where_a_request_does_not(tmp_path: Path) -> None:
    usual = usual_of(
        file_of(
            tmp_path,
            "mirostat: 2\nstopwords: [END, '']\n"
            "parameters: {model: m.gguf, temperature: 0.2, top_k: 5, seed: -1, repeat_penalty: 0, max_tokens: 9, "
            "keep: 4, logit_bias: {'7': 1.5}}\n",
        ),
        tmp_path,
    )
    made = usual.options(CompleteOptions(sampling=Sampling(top_k=0), stop=("x", "END")))
    assert made.sampling == Sampling(temperature=0.2, top_k=0, seed=-1, mirostat=2, n_keep=4, logit_bias={7: 1.5})
    assert (made.max_tokens, made.stop) == (9, ("x", "END"))
    assert usual.options(CompleteOptions(max_tokens=3)).max_tokens == 3
    assert usual.options(CompleteOptions(max_tokens=-1)).max_tokens is None


def test_a_file_without_a_word_changes_nothing(tmp_path: Path) -> None:
    usual = usual_of(file_of(tmp_path, "parameters: {model: m.gguf, max_tokens: 0}\n"), tmp_path)
    options = ChatOptions(stop=("a",), reasoning_effort="low", template_kwargs={"a": 1})
    assert usual.options(options) == options
    assert not (usual.renders)
    assert not (usual.cleans)
    said = (Message(role="user", content="Hello"),)
    assert usual.messages(said) is said


def test_variables_effort_grammar_and_system_prompt_are_the_files(tmp_path: Path) -> None:
    usual = usual_of(
        file_of(
            tmp_path,
            'system_prompt: Be short.\nreasoning_effort: high\nchat_template_kwargs: {a: 1, b: 2}\ngrammar: root ::= "x"\n'
            "parameters: {model: m.gguf}\n",
        ),
        tmp_path,
    )
    made = usual.options(ChatOptions(template_kwargs={"b": 3}))
    assert (made.template_kwargs, made.reasoning_effort) == ({"a": 1, "b": 3}, "high")
    assert made.format == Format("grammar", 'root ::= "x"')
    assert usual.options(ChatOptions(tools=(Tool(name="f"),))).format is None
    assert usual.options(ChatOptions(format=Format("json_object"))).format == Format("json_object")
    user, system = Message(role="user", content="a"), Message(role="system", content="b")
    assert usual.messages((user,)) == (Message(role="system", content="Be short."), user)
    assert usual.messages((system, user)) == (system, user)


@pytest.mark.parametrize(
    ("text", "files", "renders", "completed"),
    [
        ("parameters: {model: m.gguf}\n", {}, False, "hi"),
        ("parameters: {model: m.gguf}\ntemplate: {chat: '[{{.Input}}]'}\n", {}, True, "hi"),
        (
            "parameters: {model: m.gguf}\ntemplate: {chat: '[{{.Input}}]', use_tokenizer_template: true}\n",
            {},
            False,
            "hi",
        ),
        ("parameters: {model: m.gguf}\ntemplate: {completion: ask}\n", {"ask.tmpl": "Q {{.Input}}"}, False, "Q hi"),
        ("parameters: {model: m.gguf}\ntemplate: {completion: ask}\n", {}, False, "ask"),
        ("parameters: {model: m.gguf}\n", {"m.gguf.tmpl": "every {{.Input}}"}, True, "every hi"),
    ],
)
def test_templates_are_texts_or_files_of_the_models_folder(
    text: str,
    files: dict[str, str],
    renders: bool,  # noqa: FBT001 - a case
    completed: str,
    tmp_path: Path,
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    write_gguf(tmp_path / "m.gguf", {"general.architecture": "llama"})
    usual = usual_of(file_of(tmp_path, text), tmp_path)
    assert usual.renders is renders
    assert usual.prompts.of_completion("hi") == completed


def test_no_file_outside_of_the_models_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret.tmpl").write_text("SECRET")
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "link.tmpl").symlink_to(tmp_path / "secret.tmpl")
    for name in ("../secret", str(tmp_path / "secret"), "link"):
        made = usual_of(file_of(folder, f"parameters: {{model: m.gguf}}\ntemplate: {{completion: {name}}}\n"), folder)
        assert made.prompts.of_completion("x") == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cutstrings: ['(']\n", r"cutstrings\[0\]"),
        ("function: {response_regex: ['(']}\n", r"function.response_regex\[0\]"),
    ],
)
def test_what_is_no_template_or_expression_is_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match=said):
        usual_of(file_of(tmp_path, text + "parameters: {model: m.gguf}\n"), tmp_path)


def test_nothing_said_is_nothing_changed() -> None:
    assert Usual().options(CompleteOptions()) == CompleteOptions()


def test_a_template_that_is_none_is_told_of_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "template: {completion: '{{if}}', edit: '{{.Input}}'}\nparameters: {model: m.gguf}\n"
    usual = usual_of(file_of(tmp_path, text), tmp_path)
    assert usual.prompts.of_completion("hi") == "hi"
    assert usual.prompts.of_edit("hi", "Mend.") == "hi"
    assert "m: template.completion:1:" in caplog.text
