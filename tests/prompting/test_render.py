from __future__ import annotations

import pytest

from textmill.errors import InvalidInput, TemplateBroken
from textmill.prompting import EDIT, Conversation, Message, Prompts, Templates, Tool, ToolCall

CHATML = "<|im_start|>{{.RoleName}}\n{{with .Content}}{{.}}{{end}}{{with .FunctionCall}}{{toJson .}}{{end}}<|im_end|>"
SYSTEM = Message(role="system", content="Be kind.")
USER = Message(role="user", content="Hi <you>")
CALL = Message(role="assistant", tool_calls=(ToolCall(id="c1", name="weather", arguments='{"city": "Köln"}'),))
OLD_CALL = Message(role="assistant", content="Look", function_call={"name": "f", "arguments": "{}"})
RESULT = Message(role="tool", name="weather", content="rain")
WEATHER = Tool(name="weather", description="Weather", parameters={"type": "object", "maximum": 10})
CALL_JSON = (
    '[{"index":0,"id":"c1","type":"function","function":{"name":"weather","arguments":"{\\"city\\": \\"Köln\\"}"}}]'
)


def prompt(templates: Templates, *messages: Message, **options: object) -> str:
    return Prompts.of(templates).of_chat(Conversation(messages=messages, **options))  # type: ignore[arg-type] # tests know them


def test_messages_go_through_their_template_and_together_through_that_of_the_chat() -> None:
    templates = Templates(chat="{{.Input}}\n<|im_start|>assistant\n", chat_message=CHATML)

    assert prompt(templates, SYSTEM, USER) == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi <you><|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_call_is_given_as_the_structs_of_localai() -> None:
    templates = Templates(chat_message=CHATML)

    assert prompt(templates, CALL) == f"<|im_start|>assistant\n{CALL_JSON}<|im_end|>"
    assert prompt(templates, OLD_CALL) == '<|im_start|>assistant\nLook{"arguments":"{}","name":"f"}<|im_end|>'


def test_a_message_template_sees_the_place_and_the_role() -> None:
    templates = Templates(
        chat_message="{{.MessageIndex}}{{.Role}}{{.RoleName}}{{.FunctionName}}{{.LastMessage}}{{.Function}}{{.SystemPrompt}}",
        roles={"user": "U:", "assistant_function_call": "C:"},
        system_prompt="S",
        join="|",
    )

    assert prompt(templates, USER, CALL, RESULT, grammar=True) == (
        "0U:userfalsefalseS|1C:assistant_function_callfalsefalseS|2toolweathertruetrueS"
    )


def test_a_message_of_which_its_template_makes_nothing_is_left_out() -> None:
    templates = Templates(chat_message='{{if ne .RoleName "system"}}{{.Content}}{{end}}', join=", ")

    assert prompt(templates, USER, SYSTEM, RESULT) == "Hi <you>, rain"


def test_a_message_of_spaces_stays() -> None:
    assert prompt(Templates(chat_message=" {{.Content}}"), Message(role="user"), USER) == " \n Hi <you>"


@pytest.mark.parametrize(
    ("roles", "message", "expected"),
    [
        ({}, USER, "Hi <you>"),
        ({"user": "USER: "}, USER, "USER: Hi <you>"),
        ({"user": "USER: "}, Message(role="user"), ""),
        ({}, CALL, CALL_JSON),
        ({"assistant": "A:"}, CALL, f"A: {CALL_JSON}"),
        ({"assistant": "A:", "assistant_function_call": "F:"}, CALL, f"F: {CALL_JSON}"),
        ({"assistant": "A:"}, OLD_CALL, 'A:Look\nA: {"arguments":"{}","name":"f"}'),
        ({}, OLD_CALL, 'Look\n{"arguments":"{}","name":"f"}'),
        ({"assistant_function_call": "F:"}, Message(role="assistant", content="x"), "x"),
    ],
)
def test_without_its_template_a_message_is_prefix_text_and_calls(
    roles: dict[str, str], message: Message, expected: str
) -> None:
    assert prompt(Templates(roles=roles), message) == expected


@pytest.mark.parametrize(
    ("join", "expected"), [("\n", "Hi <you>\nrain"), ("", "Hi <you>rain"), ("<s>", "Hi <you><s>rain")]
)
def test_messages_are_joined_by_the_characters_of_the_model(join: str, expected: str) -> None:
    assert prompt(Templates(join=join), USER, RESULT) == expected


def test_the_template_of_functions_stands_in_for_the_chat_where_tools_may_be_called() -> None:
    templates = Templates(chat="chat {{.Input}}", function="{{range .Functions}}{{toJson .}} {{end}}{{.Input}}")

    assert prompt(templates, USER, tools=(WEATHER, Tool(name="stop"))) == (
        '{"name":"weather","description":"Weather","strict":false,"parameters":{"maximum":10,"type":"object"}} '
        '{"name":"stop","description":"","strict":false,"parameters":null} Hi <you>'
    )
    assert prompt(templates, USER, tools=(WEATHER,), calling=False) == "chat Hi <you>"
    assert prompt(templates, USER) == "chat Hi <you>"


def test_the_template_of_a_chat_sees_the_request() -> None:
    templates = Templates(
        chat="{{.SystemPrompt}}|{{.SuppressSystemPrompt}}|{{len .Functions}}|{{.ReasoningEffort}}|{{.Metadata.user}}|{{.Metadata.none}}",
        system_prompt="S",
    )

    asked = prompt(templates, USER, tools=(WEATHER,), reasoning_effort="low", metadata={"user": "me"})

    assert asked == "S|false|1|low|me|<no value>"
    assert prompt(templates, SYSTEM, USER) == "S|true|0||<no value>|<no value>"


def test_with_a_message_template_the_system_prompt_is_not_suppressed() -> None:
    templates = Templates(chat="{{.SuppressSystemPrompt}}", chat_message="{{.Content}}")

    assert prompt(templates, SYSTEM, USER) == "false"


@pytest.mark.parametrize(
    ("templates", "messages", "expected"),
    [
        (Templates(system_prompt="S", roles={"system": "SYS: "}), (USER,), "SYS: S\nHi <you>"),
        (Templates(system_prompt="S"), (SYSTEM, USER), "Be kind.\nHi <you>"),
        (Templates(system_prompt="S", chat="{{.Input}}"), (USER,), "Hi <you>"),
        (Templates(system_prompt="S", chat_message="{{.Content}}"), (USER,), "Hi <you>"),
    ],
)
def test_a_system_prompt_without_a_template_opens_a_conversation_that_has_none(
    templates: Templates, messages: tuple[Message, ...], expected: str
) -> None:
    assert prompt(templates, *messages) == expected


def test_the_file_beside_the_weights_serves_where_there_is_no_other() -> None:
    prompts = Prompts.of(Templates(every="<{{.Input}}>", completion="({{.Input}})"))

    assert prompts.of_chat(Conversation(messages=(USER, RESULT))) == "<Hi <you>\nrain>"
    assert prompts.of_completion("x") == "(x)"
    assert prompts.of_edit("x", "y") == "<x>"


def test_a_completion_goes_through_its_template_or_stays() -> None:
    templates = Templates(
        completion="{{.SystemPrompt}} {{.Input}} {{.ReasoningEffort}}{{.Metadata.a}}", system_prompt="S"
    )

    assert (
        Prompts.of(templates).of_completion("x {{.y}}", reasoning_effort="low", metadata={"a": "b"})
        == "S x {{.y}} lowb"
    )
    assert Prompts.of(Templates(completion="")).of_completion(" x ") == " x "


def test_an_edit_goes_through_its_template() -> None:
    prompts = Prompts.of(Templates(edit="{{.Instruction}}: {{.Input}} {{.ReasoningEffort}}{{.Metadata.a}}"))

    assert prompts.of_edit("cat", "shout", reasoning_effort="low", metadata={"a": "b"}) == "shout: cat lowb"


def test_without_a_template_an_edit_still_says_its_instruction() -> None:
    text = Prompts.of(Templates()).of_edit("cat {{.x}}", "shout")

    assert text == EDIT.replace("{{.Instruction}}", "shout").replace("{{.Input}}", "cat {{.x}}")


@pytest.mark.parametrize("field", ["chat", "chat_message", "completion", "edit", "function"])
def test_a_broken_template_is_named_by_its_field(field: str) -> None:
    with pytest.raises(TemplateBroken, match=rf"^template\.{field}:2:3: this {{{{if}}}} has no"):
        Prompts.of(Templates(**{field: "a\n{{if .Input}}"}))  # type: ignore[arg-type] # only fields of texts


def test_a_template_that_cannot_be_filled_is_an_error_and_not_left_out() -> None:
    with pytest.raises(TemplateBroken, match=r"^template\.chat_message:1:3: there is no field \.Text here; "):
        prompt(Templates(chat_message="{{.Text}}"), USER)
    with pytest.raises(
        TemplateBroken, match=r"^the \.tmpl file beside the weights:1:3: there is no field \.Prompt here; "
    ):
        prompt(Templates(every="{{.Prompt}}"), USER)


@pytest.mark.parametrize(
    ("message", "tools"),
    [
        (Message(role="assistant", function_call={"a": [[[]]]}), (Tool(name="x", parameters={"a": "deep"}),)),
        (USER, (Tool(name="x", parameters={"a": "deep"}),)),
        (Message(role="assistant", function_call={"a": "deep"}), ()),
    ],
)
@pytest.mark.parametrize("chat_message", [None, CHATML])
def test_what_is_nested_without_end_is_the_callers_mistake(
    message: Message, tools: tuple[Tool, ...], chat_message: str | None
) -> None:
    deep: object = []
    for _ in range(10_000):
        deep = [deep]
    message = Message(role=message.role, function_call={"a": deep}) if message.function_call else message
    tools = tuple(Tool(name=tool.name, parameters={"a": deep}) for tool in tools)

    with pytest.raises(InvalidInput, match="nested more than 64 deep") as caught:
        prompt(Templates(chat="{{.Input}}", chat_message=chat_message), message, tools=tools)

    assert caught.value.param == "messages"


def test_faults_that_are_only_told_leave_the_template_out_as_in_localai() -> None:
    told: list[str] = []
    templates = Templates(
        chat="{{.RoleName}}",
        chat_message='{{if .FunctionCall}}{{index .FunctionCall "name"}}{{else}}<{{.Content}}>{{end}}',
        completion="{{-.Input}}",
        edit="{{.Text}}",
        roles={"assistant": "A:"},
    )
    prompts = Prompts.of(templates, tell=lambda fault: told.append(str(fault).partition(": ")[0]))

    assert prompts.of_chat(Conversation(messages=(USER, CALL))) == f"<Hi <you>>\nA: {CALL_JSON}"
    assert prompts.of_completion("x") == "x"
    assert prompts.of_edit("x", "y") == Prompts.of(Templates()).of_edit("x", "y")
    assert told == ["template.completion:1:3", "template.chat_message:1:23", "template.chat:1:3", "template.edit:1:3"]


def test_a_system_message_whose_template_fails_suppresses_the_system_prompt() -> None:
    templates = Templates(chat="{{.SuppressSystemPrompt}}", chat_message="{{.Text}}")
    prompts = Prompts.of(templates, tell=lambda _: None)

    assert prompts.of_chat(Conversation(messages=(SYSTEM, USER))) == "true"
    assert prompts.of_chat(Conversation(messages=(USER,))) == "false"
