from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers  # noqa: TID253 - what is compared with
from jinja2.exceptions import TemplateError

from textmill.errors import ModelBroken
from textmill.providers.genai.template import FolderTokenizer
from textmill.testing.causal import CHAT, write_tokenizer
from textmill.testing.checkpoints import write_json

MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "Sei <nett> & klug"},
    {"role": "user", "content": "weather?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "w", "arguments": {"city": "Köln"}}}],
    },
    {"role": "tool", "content": "rain"},
]
TOOLS = [{"type": "function", "function": {"name": "w", "description": "<tells>", "parameters": {"type": "object"}}}]
PARTS = """\
{{ bos_token }}{% for message in messages %}
  {% if loop.first %}{% continue %}{% endif %}
  {{ message.content | tojson(indent=2) }}
{% endfor %}
{% generation %}x{{ eos_token }}{% endgeneration %}"""
TEMPLATES = [
    CHAT,
    PARTS,
    "{{ (tools or [])[0].function | tojson(indent=4) }}{{ documents is none }}{{ enable_thinking }}",
    "{%- set ns = namespace(n=0) -%}{%- for m in messages -%}{%- set ns.n = ns.n + 1 -%}{%- endfor -%}{{ ns.n }}{{ strftime_now('%Y') }}",
]


@pytest.mark.parametrize(
    ("template", "tools"), [*((each, TOOLS) for each in TEMPLATES), (CHAT, None), (TEMPLATES[1], None)]
)
def test_templates_write_what_they_do_in_transformers(
    tmp_path: Path, template: str, tools: list[dict[str, Any]] | None
) -> None:
    write_tokenizer(tmp_path, template=template)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    values: dict[str, Any] = {"add_generation_prompt": True, "tokenize": False, "enable_thinking": True}
    values |= {"bos_token": "<s>"} if theirs.bos_token is None else {}

    made = FolderTokenizer(tmp_path).apply_chat_template(MESSAGES, tools, **values)

    assert made == theirs.apply_chat_template(MESSAGES, tools=tools, **values)


def test_a_template_stands_in_its_own_file_or_among_several(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, template=None)
    named = [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]
    write_json(tmp_path / "chat_template.json", {"chat_template": named})
    found = FolderTokenizer(tmp_path)
    assert (found.apply_chat_template([]), found.apply_chat_template([], TOOLS)) == ("plain", "tools")

    (tmp_path / "chat_template.jinja").write_text("its own")
    assert FolderTokenizer(tmp_path).apply_chat_template([], TOOLS) == "its own"


def test_templates_reach_nothing_and_may_refuse(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, template="{{ ''.__class__.__mro__ }}")
    with pytest.raises(TemplateError):
        FolderTokenizer(tmp_path).apply_chat_template([])
    write_tokenizer(tmp_path, template="{{ raise_exception('no such role') }}")
    with pytest.raises(TemplateError, match="no such role"):
        FolderTokenizer(tmp_path).apply_chat_template([])


def test_a_folder_without_a_tokenizer_is_broken(tmp_path: Path) -> None:
    with pytest.raises(ModelBroken, match=r"has no tokenizer\.json"):
        FolderTokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelBroken, match=r"tokenizer\.json cannot be read"):
        FolderTokenizer(tmp_path)
