from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

import pytest

from textmill.testing.openai_server import Answer, Stay, chunk, saying, threaded_openai_server
from textmill.testing.terminal import terminal

pytestmark = [pytest.mark.timeout(120), pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")]

UP, INTERRUPT, END = "\x1b[A", "\x03", "\x04"
PROMPT = r"(^|\n)(\x1b\[\?2004h)?> "


def test_an_answer_comes_as_it_is_written_and_ctrl_c_stops_it_only(writers: Path, tmp_path: Path) -> None:
    saved = tmp_path / "said.json"
    with terminal("chat", str(writers / "endless.gguf"), XDG_STATE_HOME=str(tmp_path)) as shown:
        shown.until(PROMPT)
        shown.type("turn\n")
        shown.until("on and on")
        shown.type(INTERRUPT)
        shown.until("stopped")
        shown.until(PROMPT)
        shown.type(f"/save {saved}\n")
        shown.until("2 messages are in")
        shown.until(PROMPT)
        shown.type("and again\n")  # the model goes on
        shown.until("on and on")
        shown.type(INTERRUPT)
        shown.until(PROMPT)
        shown.type(END)

        assert shown.ended() == 0

    question, answer = json.loads(saved.read_text())
    assert question == {"role": "user", "content": "turn"}
    assert answer["content"].startswith("on and on")


def test_lines_are_there_again_and_the_next_time(tmp_path: Path) -> None:
    with threaded_openai_server(lambda _: saying("It turns.")) as server:
        for keys in ("turn the mill\n", f"{UP}\n", f"{UP}{UP}{UP}\n"):
            with terminal("chat", "m", "--url", server.base_url, XDG_STATE_HOME=str(tmp_path)) as shown:
                shown.until(PROMPT)
                shown.type(keys)
                shown.until(r"It turns\.")
                shown.until(PROMPT)
                shown.type(END)
                assert shown.ended() == 0

    assert [body["messages"][0]["content"] for body in server.bodies] == ["turn the mill"] * 3
    assert (tmp_path / "textmill" / "chat_history").stat().st_mode & 0o077 == 0


def test_without_history_nothing_is_kept(tmp_path: Path) -> None:
    with threaded_openai_server(lambda _: saying("It turns.")) as server:
        arguments = ("chat", "m", "--url", server.base_url, "--no-history")
        with terminal(*arguments, XDG_STATE_HOME=str(tmp_path)) as shown:
            shown.until(PROMPT)
            shown.type("turn\n")
            shown.until(PROMPT)
            shown.type("/exit\n")
            assert shown.ended() == 0

    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_drops_what_was_typed_and_ends_where_nothing_was(tmp_path: Path) -> None:
    with terminal("chat", "m", "--url", "http://127.0.0.1:1", XDG_STATE_HOME=str(tmp_path)) as shown:
        shown.until(PROMPT)
        for typed in ("half a question", '"""\n'):
            shown.type(typed)
            shown.until(typed.strip())
            if typed.endswith("\n"):
                shown.until(r"\. ")
            shown.interrupt(PROMPT)
        shown.interrupt(r"\r?\n")

        assert shown.ended() == 0


def test_messages_of_several_lines_and_commands(tmp_path: Path) -> None:
    with (
        threaded_openai_server(lambda _: saying("It turns.")) as server,
        terminal("chat", "m", "--url", server.base_url, XDG_STATE_HOME=str(tmp_path)) as shown,
    ):
        for keys in (
            '"""\n/one\ntwo\n"""\n',
            "three \\\nfour\n",
            "/system Be brief.\n",
            "//five\n",
            "/regenerate\n",
            "/clear\n",
            "six\n",
        ):
            shown.until(PROMPT)
            shown.type(keys)
            shown.until(r"It turns\.|system prompt: Be brief\.|/clear")
        shown.until(PROMPT)
        shown.type("/sav x\n")
        shown.until(r"error: there is no command /sav; did you mean /save\?")
        shown.until(PROMPT)
        shown.type("/help\n")
        shown.until("/regenerate")
        shown.until(PROMPT)  # before that, the end would be the terminal's own
        shown.type(END)
        assert shown.ended() == 0

    said = [[message["content"] for message in body["messages"]] for body in server.bodies]
    talk = ["/one\ntwo", "It turns.", "three \nfour", "It turns."]
    assert said == [
        talk[:1],
        talk[:3],
        ["Be brief.", *talk, "/five"],
        ["Be brief.", *talk, "/five"],
        ["Be brief.", "six"],
    ]


def test_reasoning_is_dimmed_and_signs_that_control_the_terminal_are_not_obeyed(tmp_path: Path) -> None:
    steps = [chunk(delta={"reasoning_content": "The wheel is wet."}), chunk(delta={"content": "It \x1b[31mtu\x07rns."})]
    answer = Answer(steps=[*steps, chunk(reason="stop")])
    with (
        threaded_openai_server(lambda _: answer) as server,
        terminal("chat", "m", "--url", server.base_url, XDG_STATE_HOME=str(tmp_path)) as shown,
    ):
        shown.until(PROMPT)
        shown.type("turn\n")
        words = shown.until(r"rns\.")

    assert "\x1b[2mThe wheel is wet.\x1b[0m\r\nIt \ufffd[31mtu\ufffdrns." in words


def test_an_error_does_not_end_the_conversation(tmp_path: Path) -> None:
    answers = [saying("It turns."), Answer(status=400, body={"error": {"message": "a bad question"}})]
    with (
        threaded_openai_server(lambda _: answers.pop()) as server,
        terminal("chat", "m", "--url", server.base_url, "--stats", XDG_STATE_HOME=str(tmp_path)) as shown,
    ):
        shown.until(PROMPT)
        shown.type("bad\n")
        shown.until("error: .*a bad question")
        shown.until(PROMPT)
        shown.type("good\n")
        shown.until(r"It turns\.")
        shown.until("5 tokens of prompt, 1 written")

    assert [message["content"] for message in server.bodies[1]["messages"]] == ["good"]


def test_a_question_that_is_stopped_before_a_word_came_is_taken_back(tmp_path: Path) -> None:
    answers = [saying("It turns."), Answer(steps=[Stay()])]
    came = threading.Event()

    def script(_: object) -> Answer:
        came.set()
        return answers.pop()

    with (
        threaded_openai_server(script) as server,
        terminal("chat", "m", "--url", server.base_url, XDG_STATE_HOME=str(tmp_path)) as shown,
    ):
        shown.until(PROMPT)
        shown.type("one\n")
        assert came.wait(60)
        shown.type(INTERRUPT)
        shown.until("stopped")
        assert server.asked[0].left.wait(60)
        shown.type("two\n")
        shown.until(r"It turns\.")

    assert [message["content"] for message in server.bodies[1]["messages"]] == ["two"]


def test_a_load_is_shown_and_can_be_stopped(writers: Path) -> None:
    with terminal("chat", str(writers / "mill.gguf")) as shown:
        shown.until(r"loading mill\.gguf")
        shown.type(INTERRUPT)

        # CPython ends by the signal itself, which is 130 in a shell too, where the interrupt came within an `exec`, as of a dataclass.
        assert shown.ended() in (130, -signal.SIGINT)
        assert "Traceback" not in shown.shown
