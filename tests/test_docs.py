"""What the pages tell people to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
import yaml
from click.testing import CliRunner
from scripts.localai_settings import PAGE, page

from textmill import __version__
from textmill.cli import main
from textmill.config import ModelOptions, ServeOptions, command_options
from textmill.config.option import options_of
from textmill.config.spelling import Spelling
from textmill.config.tei import SPELLINGS
from textmill.http.failures import KINDS
from textmill.http.models import ModelCard
from textmill.http.tei import Info

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = set(main.commands)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def shell_lines(page: Path) -> list[str]:
    return [line for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]


@pytest.fixture(scope="module")
def flags() -> dict[str, set[str]]:
    """The flags of each command, from its help; of a group, those of all that is in it."""
    inner = {name: getattr(main.commands[name], "commands", {}) for name in COMMANDS}
    lines = {name: [[name], *([name, each] for each in inner[name])] for name in COMMANDS}
    helps = {
        name: "".join(CliRunner().invoke(main, [*line, "--help"]).output for line in lines[name]) for name in COMMANDS
    }
    return {name: set(re.findall(r"--[a-z-]+", text)) for name, text in helps.items()}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_and_flag_exists(page: Path, flags: dict[str, set[str]]) -> None:
    for line in shell_lines(page):
        for command, rest in re.findall(r"\btextmill ([a-z]\S*)([^|>;]*)", line):
            assert command in COMMANDS, line
            assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= flags[command], line


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text()

    assert {target for line in shell_lines(page) for target in re.findall(r"^make ([a-z]+)", line)} <= targets
    assert set(re.findall(r"`make ([a-z]+)`", text)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_variable_is_one_of_an_option(page: Path) -> None:
    known = {option.variable for option in options_of(ServeOptions)}

    assert set(re.findall(r"\bTEXTMILL_[A-Z_]+\b", page.read_text())) <= known


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_python_blocks_are_python(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, name_of(page), "exec", flags=0x2000)  # PyCF_ALLOW_TOP_LEVEL_AWAIT


def test_the_yaml_of_the_command_line_page_is_taken(tmp_path: Path) -> None:
    [block] = blocks(ROOT / "docs/cli.md", "yaml")
    file = tmp_path / "serve.yaml"
    file.write_text(block)

    options = command_options(ServeOptions, {"config": str(file)}, {})

    assert set(yaml.safe_load(block)) <= {option.name for option in options_of(ServeOptions)}
    assert options != command_options(ServeOptions, {}, {})


def test_every_option_is_on_the_command_line_page() -> None:
    text = (ROOT / "docs/cli.md").read_text()

    assert [
        option.flag for option in options_of(ServeOptions) if option.name != "models" and option.flag not in text
    ] == []


def test_every_option_of_a_model_is_on_the_page_of_the_library() -> None:
    text = (ROOT / "docs/library.md").read_text()

    assert [option.name for option in options_of(ModelOptions) if f"`{option.name}`" not in text] == []


@pytest.mark.parametrize("spelling", SPELLINGS, ids=lambda spelling: spelling.name)
def test_every_spelling_of_tei_is_in_the_table_with_our_option(spelling: Spelling) -> None:
    rows = (ROOT / "docs/cli.md").read_text().partition("## The spellings of")[2].splitlines()
    [row] = [row for row in rows if re.match(rf"\|[^|]*\|[^|]*`{spelling.variable}`", row)]
    ours = {None: "without effect", "models": "MODEL"}.get(
        spelling.option, f"--{str(spelling.option).replace('_', '-')}"
    )

    assert f"`{spelling.flag}`" in row or not spelling.flag
    assert ours in row.split("|")[3]


def test_the_table_of_localais_settings_is_made_from_the_code() -> None:
    text = PAGE.read_text()

    assert page(text) == text
    assert re.findall(r"\b[a-z][A-Z]{2,}", text) == []  # an abbreviation keeps its capital


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_flag_of_a_command_is_on_the_command_line_page(command: str) -> None:
    text = "".join((ROOT / "docs" / page).read_text() for page in ("cli.md", "localai-settings.md"))
    flags = [[*param.opts, *param.secondary_opts] for param in main.commands[command].params if param.opts[0][0] == "-"]

    assert [names for names in flags if not any(f"{name}`" in text or f"{name} " in text for name in names)] == []


@pytest.mark.parametrize(
    ("page", "struct", "theirs"), [("openai.md", ModelCard, "owned_by"), ("tei.md", Info, "docker_label")]
)
def test_every_field_that_a_dialect_does_not_have_is_on_its_page(page: str, struct: type, theirs: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    names = [field.name for field in msgspec.structs.fields(struct)]

    assert [name for name in names[names.index(theirs) + 1 :] if not re.search(rf"\b{name}\b", text)] == []


def test_every_error_is_on_the_page_of_its_dialect() -> None:
    openai, tei = ((ROOT / "docs" / page).read_text() for page in ("openai.md", "tei.md"))
    kinds = KINDS.values()

    assert [kind for kind in kinds if f"| {kind.status} |" not in openai or f"`{kind.code}`" not in openai] == []
    assert [kind for kind in kinds if f"| {kind.tei_status} |" not in tei] == []


def test_every_module_is_in_the_structure_page() -> None:
    text = (ROOT / "docs/structure.md").read_text()
    modules = [
        str(file.relative_to(ROOT / "src/textmill"))
        for file in (ROOT / "src/textmill").rglob("*.py")
        if file.name not in ("__init__.py", "__main__.py")
    ]

    assert [name for name in modules if f"`{name}`" not in text] == []


def test_the_changelog_knows_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()

    assert re.findall(r"^## \[(\S+)\]", text, re.MULTILINE)[:2] in (["Unreleased", __version__], ["Unreleased"])
