from __future__ import annotations

from pathlib import Path

import pytest

from textmill.cli.dialogue import Dialogue, read_conversation, write_conversation
from textmill.contract import Message, ToolCall
from textmill.errors import ConfigInvalid

SYSTEM = Message(role="system", content="Be brief.")
QUESTION = Message(role="user", content="Wer dreht die Mühle?")
ANSWER = Message(role="assistant", content="Water.", reasoning="Wind or water?")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = str(tmp_path / "said.json")
    call = ToolCall("call_1", "turn", '{"by": 2}')
    said = (
        *(SYSTEM, QUESTION, ANSWER),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="done", tool_call_id="call_1", name="turn"),
    )

    write_conversation(file, said)

    assert read_conversation(file) == said
    assert "Mühle" in Path(file).read_text()


def test_a_folder_that_is_not_there_takes_no_conversation(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be written: No such file"):
        write_conversation(str(tmp_path / "none" / "said.json"), (QUESTION,))


@pytest.mark.parametrize("content", [b"", b"[", b"\xff", b'"text"', b"[]", b'[{"content": "x"}]'])
def test_what_is_no_conversation_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "said.json"
    file.write_bytes(content)

    with pytest.raises(ConfigInvalid, match=r"said\.json is no conversation"):
        read_conversation(str(file))


def test_there_is_one_system_prompt_in_front_which_outlives_the_rest() -> None:
    dialogue = Dialogue((SYSTEM, QUESTION, ANSWER), "Be long.")
    assert [message.content for message in dialogue.messages] == ["Be long.", QUESTION.content, ANSWER.content]

    dialogue.system = ""
    assert list(dialogue.messages) == [QUESTION, ANSWER]

    dialogue.system = "Be brief."
    dialogue.clear()
    assert list(dialogue.messages) == [SYSTEM]


def test_an_answer_can_be_made_anew_where_there_is_one() -> None:
    dialogue = Dialogue()
    assert dialogue.again() is None

    dialogue.ask(QUESTION.content)
    assert (dialogue.unanswered, dialogue.again()) == (True, None)

    dialogue.answered("Water.", "Wind or water?")
    assert not dialogue.unanswered
    assert dialogue.again() == ANSWER
    assert list(dialogue.messages) == [QUESTION]
