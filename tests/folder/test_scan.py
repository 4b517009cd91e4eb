from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.folder.conftest import as_nobody

from textmill.folder.model import Folder
from textmill.folder.scan import scan
from textmill.folder.snapshot import take_snapshot
from textmill.testing.checkpoints import tiny_bert
from textmill.testing.gguf import write_gguf

FINE = "parameters: {model: owner/name}"


def names(folder: Folder) -> list[str]:
    return [model.name for model in folder.files]


def test_a_broken_file_stops_no_other(models: Path) -> None:
    (models / "a.yaml").write_text(f"name: a\n{FINE}\n")
    (models / "b.yaml").write_text("name: [")
    (models / "c.yml").write_text("just a text")
    (models / "d.YAML").write_text(f"- name: d\n  {FINE}\n- threads: x\n- 3\n- name: e\n  {FINE}\n")
    (models / "f.yaml").write_bytes(b"\xff\xfe\x00")
    os.mkfifo(models / "g.yaml")
    (models / "h.yaml").mkdir()
    (models / "i.yaml").symlink_to("/etc/hostname")
    (models / "j.yaml").write_text("[" * 5000)
    (models / "k.yaml").touch()
    (models / "l.yaml").touch(mode=0o000)

    folder = scan(models)

    assert names(folder) == ["a", "d", "e"]
    broken = {problem.file.name for problem in folder.problems if problem.level == "error"}
    assert broken == {f"{letter}.yaml" for letter in "bfghij"} | {"c.yml", "d.YAML"}


def test_the_first_of_two_with_one_name_is_served(models: Path) -> None:
    (models / "b.yaml").write_text("name: m\nparameters: {model: owner/second}\n")
    (models / "a.yaml").write_text("name: m\nparameters: {model: owner/first}\n")
    (models / "c.yaml").write_text("\nname: m\nalias: x\n")

    folder = scan(models)

    assert [model.model for model in folder.files] == ["owner/first"]
    assert [(problem.file.name, problem.line, problem.key) for problem in folder.problems] == [
        *(("b.yaml", 1, "name"), ("c.yaml", 2, "name")),
    ]
    assert "line 1 of a.yaml" in folder.problems[0].sentence


def test_aliases(models: Path) -> None:
    write_gguf(models / "loose.gguf", {"general.architecture": "bert"})
    (models / "a.yaml").write_text(
        f"- {{name: m, {FINE}}}\n- {{name: n, alias: m}}\n- {{name: o, alias: n}}\n- {{name: p, alias: zzz}}\n"
        "- {name: q, alias: loose.gguf}\n- {name: r, alias: from-the-command-line}\n"
    )

    folder = scan(models, others=["from-the-command-line"])

    assert [alias.name for alias in folder.aliases] == ["n", "q", "r"]
    found = folder.find("n")
    assert found is not None
    assert (found.name, folder.target("r"), folder.target("m")) == ("m", "from-the-command-line", "m")
    assert folder.find("r") is None
    assert [(problem.line, problem.key, problem.model) for problem in folder.problems] == [
        *((3, "alias", "o"), (4, "alias", "p")),
    ]


def test_names_are_exact_and_a_near_one_can_be_asked_for(models: Path) -> None:
    (models / "a.yaml").write_text(f"- {{name: gpt-4, {FINE}}}\n- {{name: 'c++', {FINE}}}\n")

    folder = scan(models)

    assert folder.find("gpt") is folder.find(".*") is None
    assert folder.find("c++") is not None
    assert (folder.near("gpt4"), folder.near("zzzzzzz")) == ("gpt-4", "")


def test_which_models_fit_a_request(models: Path) -> None:
    tiny_bert(models / "loose")
    (models / "a.yaml").write_text(
        "- {name: a, embeddings: true, parameters: {model: owner/a}}\n"
        "- {name: b, embeddings: true, disabled: true, parameters: {model: owner/b}}\n"
        "- {name: c, embeddings: true, backend: llama, parameters: {model: c.gguf}}\n"
        "- {name: d, reranking: true, parameters: {model: owner/d}}\n"
        "- {name: e, parameters: {model: loose}}\n"
    )

    folder = scan(models)

    assert [model.name for model in folder.fitting("embeddings")] == ["a", "e"]
    assert [model.name for model in folder.fitting("rerank")] == ["d"]
    assert folder.fitting("chat") == ()


def test_a_missing_folder_is_empty_and_a_file_in_its_place_is_a_problem(tmp_path: Path) -> None:
    assert scan(tmp_path / "none") == Folder(tmp_path / "none")
    (tmp_path / "file").touch()
    assert [problem.level for problem in scan(tmp_path / "file").problems] == ["error"]


def test_config_files_elsewhere_speak_of_this_folder(models: Path, tmp_path: Path) -> None:
    tiny_bert(models / "bert")
    file = tmp_path / "all.yaml"
    file.write_text("- {name: m, parameters: {model: bert}}\n- {name: n, parameters: {model: ../outside}}\n")

    folder = scan(models, config_files=[file, tmp_path / "missing.yaml"])

    found = folder.find("m")
    assert found is not None
    assert found.location.path == models / "bert"
    assert [problem.file.name for problem in folder.problems] == ["all.yaml", "missing.yaml"]


def test_only_the_first_document_counts_and_the_others_are_told(models: Path) -> None:
    (models / "a.yaml").write_text(f"name: a\n{FINE}\n---\nname: b\n{FINE}\n")

    folder = scan(models)

    assert names(folder) == ["a"]
    assert [(problem.level, problem.line) for problem in folder.problems] == [("warning", 3)]


def test_what_is_equal_needs_no_new_load(models: Path) -> None:
    tiny_bert(models / "bert")
    file = models / "a.yaml"
    file.write_text("name: m\nparameters: {model: bert}\n")
    first = scan(models).find("m")
    file.write_text("# a remark\n\nparameters: {model: bert}\nname: m\n")
    remarked = scan(models).find("m")
    file.write_text("name: m\nparameters: {model: bert}\nthreads: 2\n")
    changed = scan(models).find("m")
    (models / "bert/config.json").write_text((models / "bert/config.json").read_text() + " ")
    weights = scan(models).find("m")

    assert first == remarked
    assert remarked != changed
    assert changed != weights


def test_a_file_that_is_being_written_stays_what_it_was(models: Path) -> None:
    (models / "a.yaml").write_text(f"- {{name: m, {FINE}, threads: 1, foo: 1}}\n- {{name: n, alias: m}}\n")
    before = scan(models)
    (models / "a.yaml").write_text("- {name: m, parame")
    (models / "b.yaml").write_text("{name: new, par")

    during = scan(models, before=before, moving={"a.yaml", "b.yaml"})
    after = scan(models, before=before)

    assert during == before
    assert names(after) == []


def test_weights_that_are_being_written_stay_what_they_were(models: Path) -> None:
    tiny_bert(models / "bert")
    (models / "a.yaml").write_text("name: m\nparameters: {model: bert}\n")
    before = scan(models)
    (models / "bert/model.safetensors").write_bytes(b"half")

    during = scan(models, before=before, moving={"bert/model.safetensors"})
    new = scan(models, moving={"bert/model.safetensors"}).find("m")

    assert during.find("m") == before.find("m")
    assert new is not None
    assert new.refusal == "its weights are still being written"


@pytest.mark.parametrize("content", [None, b"GGUF", b"GGUF\x03"])
def test_weights_that_break_off_while_they_are_written_stay_what_they_were(content: bytes | None, models: Path) -> None:
    for name in ("loose.gguf", "used.gguf"):
        write_gguf(models / name, {"general.architecture": "bert"})
    (models / "a.yaml").write_text("name: m\nparameters: {model: used.gguf}\n")
    before = scan(models)
    for name in ("loose.gguf", "used.gguf"):
        (models / name).unlink()
        if content is not None:
            (models / name).write_bytes(content)

    during = scan(models, before=before, moving={"loose.gguf", "used.gguf"})

    assert during.by_name == before.by_name
    assert [problem for problem in during.problems if problem.level == "error"] == []


def test_new_weights_that_break_off_are_no_problem_until_they_stand_still(models: Path) -> None:
    (models / "new.gguf").write_bytes(b"GGUF")

    assert scan(models, moving={"new.gguf"}).problems == ()
    assert len(scan(models).problems) == 1


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_never_crash_a_scan(seed: int, models: Path) -> None:
    import random  # noqa: PLC0415 - of this test

    chance = random.Random(seed)  # noqa: S311 - not for secrets
    whole = f"name: m\n{FINE}\ntemplate: {{chat: 'x'}}\nstopwords: [a, b]\nfunction: &f {{grammar: {{disable: true}}}}\n".encode()
    for number in range(150):
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        (models / f"{number}.yaml").write_bytes(content)

    folder = scan(models)

    assert len(folder.files) + len({problem.file for problem in folder.problems}) >= 100
    assert all(str(problem).isprintable() for problem in folder.problems)


def test_what_may_not_be_read_is_told_of_and_stops_nothing_else(locked: Path) -> None:
    for name in ("fine", "weights", "owner/inside"):
        tiny_bert(locked / name)
    (locked / "lost+found").mkdir(mode=0o000)
    (locked / "weights" / "config.json").chmod(0)
    (locked / "owner").chmod(0o644)
    (locked / "x.yaml").write_text("{name: x, parameters: {model: owner/inside}}")

    with as_nobody():
        folder = scan(locked)

    assert "fine" in names(folder)
    assert {problem.file.name for problem in folder.problems} >= {"lost+found", "weights", "owner"}
    (locked / "owner").chmod(0o755)


def test_a_models_folder_that_may_not_be_read_is_no_empty_one(locked: Path) -> None:
    locked.chmod(0)
    with as_nobody():
        folder = scan(locked)
        with pytest.raises(PermissionError):
            take_snapshot(locked)
    [problem] = folder.problems
    assert (problem.file, problem.level) == (locked, "error")
    assert "cannot be read" in problem.sentence


def test_links_in_a_circle_stop_nothing(models: Path) -> None:
    tiny_bert(models / "fine")
    (models / "self").symlink_to("self")
    (models / "fine" / "below").symlink_to("below")
    (models / "up").symlink_to(models)

    assert names(scan(models))[:1] == []  # links in a model's folder that lead nowhere make it unsafe
    assert "fine/config.json" in take_snapshot(models)


def test_what_a_folder_had_stays_while_it_may_not_be_read(locked: Path) -> None:
    tiny_bert(locked / "fine")
    before = scan(locked)
    locked.parent.chmod(0o700)
    with as_nobody():
        once = scan(locked, before=before)
        twice = scan(locked, before=once)
        assert scan(locked).files == ()
    locked.parent.chmod(0o755)

    assert (once.files, once.unreadable, before.unreadable) == (before.files, True, False)
    assert twice == once
    assert not scan(locked, before=twice).unreadable


def test_weights_that_many_model_files_use_are_looked_at_once(models: Path) -> None:
    tiny_bert(models / "m")
    (models / "all.yaml").write_text("\n".join(f"- {{name: m{i}, parameters: {{model: m}}}}" for i in range(3)))

    assert len({id(model.stamps) for model in scan(models).files}) == 1


def test_a_file_below_a_folder_that_may_only_be_listed_stops_nothing(locked: Path) -> None:
    tiny_bert(locked / "owner" / "m")
    (locked / "x.yaml").write_text("{name: x, parameters: {model: owner}}")
    (locked / "owner").chmod(0o644)
    with as_nobody():
        folder = scan(locked)
    (locked / "owner").chmod(0o755)

    assert [problem.file.name for problem in folder.problems if problem.level == "error"] != ["models"]
