from __future__ import annotations

import pytest

from textmill.contract import ChatOptions, Message, Named, Sampling, Tool, ToolCall
from textmill.errors import InvalidInput
from textmill.providers.asked import conversation, opened, seeded, settled, template_values, tools_of

CLOCK, WEATHER = Tool(name="clock"), Tool(name="weather", description="Tells it", parameters={"type": "object"})


def test_a_request_comes_before_the_file_and_the_file_before_the_model() -> None:
    made = settled(
        Sampling(temperature=0.0, seed=7),
        Sampling(temperature=0.5, top_p=0.5, repeat_penalty=0.0, logit_bias={3: 1.0}),
        Sampling(top_p=0.1, top_k=20),
        vocabulary=10,
    )

    assert (made.temperature, made.top_p, made.top_k, made.seed) == (0.0, 0.5, 20, 7)
    assert (made.repeat_penalty, made.min_p, made.ignore_eos, made.logit_bias) == (1.0, 0.0, False, {3: 1.0})
    assert None not in [getattr(made, name) for name in ("typical_p", "mirostat_tau", "repeat_last_n")]


def test_a_seed_is_new_each_time_where_none_is_said() -> None:
    seeds = {settled(Sampling(seed=seed), vocabulary=1).seed for seed in (None, -1, None)}

    assert len(seeds) == 3
    assert all(seed is not None and seed >= 0 for seed in seeds)
    assert seeded(Sampling(seed=4), 2).seed == 6
    assert settled(Sampling(seed=2**70), vocabulary=1).seed == 0


def test_tools_that_may_be_called() -> None:
    def tools(choice: object) -> tuple[Tool, ...]:
        return tools_of(ChatOptions(tools=(CLOCK, WEATHER), tool_choice=choice))  # type: ignore[arg-type]

    assert tools("auto") == tools("required") == (CLOCK, WEATHER)
    assert tools("none") == ()
    assert tools(Named("clock")) == (CLOCK,)
    with pytest.raises(InvalidInput, match="'other'"):
        tools(Named("other"))


def test_messages_have_what_templates_read() -> None:
    made = conversation(
        (
            Message(
                role="assistant",
                reasoning="hm",
                tool_calls=(ToolCall("1", "clock", '{"a": 1}'), ToolCall("2", "x", "{")),
            ),
            Message(role="tool", content="9", tool_call_id="1", name="clock"),
        ),
        (),
        told=True,
    )

    assert made == [
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "clock", "arguments": {"a": 1}}},
                {"id": "2", "type": "function", "function": {"name": "x", "arguments": "{"}},
            ],
        },
        {"role": "tool", "content": "9", "tool_call_id": "1", "name": "clock"},
    ]


def test_arguments_that_are_nested_too_deep_stay_as_they_are() -> None:
    for deep in ("[" * 100_000, "[" * 100_000 + "]" * 100_000):
        said = Message(role="assistant", tool_calls=(ToolCall("1", "clock", deep),))
        (made,) = conversation((said,), (), told=True)
        assert made["tool_calls"][0]["function"]["arguments"] == deep


def test_a_system_message_tells_of_tools_where_the_template_does_not() -> None:
    alone = conversation((Message(role="user", content="hi"),), (WEATHER,), told=True)
    beside = conversation((Message(role="system", content="be kind"),), (WEATHER,), told=True)

    assert [each["role"] for each in alone] == ["system", "user"]
    assert '"name": "weather"' in alone[0]["content"]
    assert beside[0]["content"].startswith("be kind\n\n")


@pytest.mark.parametrize(
    ("effort", "given", "wanted"),
    [
        (None, {}, {}),
        ("none", {}, {"enable_thinking": False}),
        ("high", {}, {"enable_thinking": True, "reasoning_effort": "high"}),
        ("none", {"enable_thinking": True, "x": 1}, {"enable_thinking": True, "x": 1}),
    ],
)
def test_effort_sets_variables_that_a_request_may_set_itself(
    effort: str | None, given: dict[str, object], wanted: dict[str, object]
) -> None:
    assert template_values(ChatOptions(reasoning_effort=effort, template_kwargs=given)) == wanted


def test_reasoning_that_the_prompt_opens_is_seen() -> None:
    assert opened("…assistant\n<think>\n") == "<think>"
    assert opened("…assistant\n<think>\n\n</think>\n\n") == ""
