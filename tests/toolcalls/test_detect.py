from __future__ import annotations

import re
from typing import Any

import pytest

from rayreward.messages import Message
from rayreward.toolcalls import Format, ToolCall, parse_calls
from rayreward.toolcalls.call import MAX_CALLS
from rayreward.toolcalls.detect import without_thoughts

ADD = ToolCall("add", {"a": 1})
NOW = ToolCall("now", {})
ADD_JSON = '{"name": "add", "arguments": {"a": 1}}'
NOW_JSON = '{"name": "now", "arguments": {}}'
MILLION = 1_000_000
DS_BEGIN, DS_END = (f"<\uff5ctool\u2581calls\u2581{what}\uff5c>" for what in ("begin", "end"))
DS_OPEN, DS_CLOSE = (f"<\uff5ctool\u2581call\u2581{what}\uff5c>" for what in ("begin", "end"))
DS_SEP = "<\uff5ctool\u2581sep\uff5c>"
DS_OLD = f'{DS_OPEN}function{DS_SEP}add\n```json\n{{"a": 1}}\n```{DS_CLOSE}'
DS_NEW = f"{DS_OPEN}now{DS_SEP}{{}}{DS_CLOSE}"


@pytest.mark.parametrize(
    ("text", "format", "calls"),
    [
        (f"<tool_call>{ADD_JSON}</tool_call>", "hermes", [ADD]),
        (f"So.\n<tool_call>\n{ADD_JSON}\n</tool_call>\n<tool_call>{NOW_JSON}", "hermes", [ADD, NOW]),
        (f"<think>\n<tool_call>{NOW_JSON}</tool_call>?</think><tool_call>{ADD_JSON}</tool_call>", "hermes", [ADD]),
        (f"pre-filled thought</think>\n<tool_call>{ADD_JSON}</tool_call><|im_end|>", "hermes", [ADD]),
        ('{"name": "add", "parameters": {"a": 1}}', "llama3", [ADD]),
        ('<|python_tag|>{"name": "add", "parameters": {"a": 1}}<|eom_id|>', "llama3", [ADD]),
        (f'{{"type": "function", "name": "add", "parameters": {{"a": 1}}}} ; {NOW_JSON};', "llama3", [ADD, NOW]),
        (f"[TOOL_CALLS] [{ADD_JSON}, {NOW_JSON}]</s>", "mistral", [ADD, NOW]),
        ('I look.[TOOL_CALLS]add[ARGS]{"a": 1}[TOOL_CALLS]now[ARGS]{}', "mistral", [ADD, NOW]),
        ('[TOOL_CALLS]add[CALL_ID]abc123def[ARGS]{"a": 1}', "mistral", [ADD]),
        ('[TOOL_CALLS]add{"a": 1}', "mistral", [ADD]),
        ("[add(a=1), now()]", "pythonic", [ADD, NOW]),
        ("add(a=1)", "pythonic", [ADD]),
        ("<|python_start|>[add(a=1)]<|python_end|>", "pythonic", [ADD]),
        ("[ math.add(a=-1, b=[1, (2.5, 'x')], c={'k': None}, d=true)]", "pythonic",
         [ToolCall("math.add", {"a": -1, "b": [1, [2.5, "x"]], "c": {"k": None}, "d": True})]),
        (f"```json\n{ADD_JSON}\n```", "json", [ADD]),
        (f"First ```python\nprint(1)\n``` then ```\n[{ADD_JSON}, {NOW_JSON}]\n```", "json", [ADD, NOW]),
        (f"[{ADD_JSON}]", "json", [ADD]),
        (f"I add:\n\n{ADD_JSON}\n\nThat is it.", "json", [ADD]),
        (f"I call [{ADD_JSON}, {NOW_JSON}]", "json", [ADD, NOW]),
        (f"Either {ADD_JSON} or {NOW_JSON}.", "json", [ADD, NOW]),
        ("So:\n```python\nadd(a=1)\nnow()\n```", "json", [ADD, NOW]),
        ("```tool_code\n[add(a=1), now()]\n```", "json", [ADD, NOW]),
        ("add(a=1)\nnow()", "pythonic", [ADD, NOW]),
        ('{"name": "add", "parameters": {"a": 1}}\n{"name": "now", "parameters": {}}', "llama3", [ADD, NOW]),
        ('<function=add>{"a": 1}</function>', "function_tags", [ADD]),
        ('So <function=add>{"a": 1}</function><function=now>{}</function><|eom_id|>', "function_tags", [ADD, NOW]),
        ('<function=add>{"a": 1}', "function_tags", [ADD]),
        ('<function=f>{"a": "</function>"}</function>', "function_tags", [ToolCall("f", {"a": "</function>"})]),
        (f"{DS_BEGIN}{DS_OLD}{DS_END}<\uff5cend\u2581of\u2581sentence\uff5c>", "deepseek", [ADD]),
        (f"<think>?</think>So.{DS_BEGIN}{DS_OLD}\n{DS_NEW}{DS_END}", "deepseek", [ADD, NOW]),
        ('<function=f>{"a": "<tool_call>"}</function>', "function_tags", [ToolCall("f", {"a": "<tool_call>"})]),
    ],
)  # fmt: skip
def test_a_format_is_found_and_read(text: str, format: Format, calls: list[ToolCall]) -> None:
    parsed = parse_calls(text)
    assert (parsed.format, list(parsed.calls), parsed.problem) == (format, calls, None)
    assert list(parse_calls(text, format).calls) == calls


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("<function=f>\n<parameter=a>\n1\n</parameter>\n</function>", {"a": "1"}),
        ("<tool_call>\n<function=f>\n<parameter=a>\nx\n  y\n</parameter>\n</function>\n</tool_call>", {"a": "x\n  y"}),
        ("<tool_call><function=f></function></tool_call>", {}),
        ("<function=f><parameter=a></parameter><parameter=b>{</parameter></function>", {"a": "", "b": "{"}),
    ],
)
def test_parameters_in_tags_are_texts(text: str, arguments: dict[str, str]) -> None:
    parsed = parse_calls(text)
    assert (parsed.calls, parsed.problem) == ((ToolCall("f", arguments, are_texts=True),), None)


@pytest.mark.parametrize(
    ("fields", "calls"),
    [
        (
            {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}]},
            [ADD],
        ),
        ({"tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}]}, [ADD]),
        ({"tool_calls": [{"name": "now", "arguments": ""}]}, [NOW]),
        ({"tool_calls": [{"function": {"name": "now", "arguments": None}}]}, [NOW]),
        ({"function_call": {"name": "now", "arguments": "{}"}}, [NOW]),
        ({"tool_calls": [{"name": "now"}], "content": "<tool_call>"}, [NOW]),
    ],
)
def test_openai_calls_stand_beside_the_content(fields: dict[str, Any], calls: list[ToolCall]) -> None:
    parsed = parse_calls(Message(role="assistant", **fields))
    assert (parsed.format, list(parsed.calls), parsed.problem) == ("openai", calls, None)


@pytest.mark.parametrize(
    "text",
    [
        "", "It is four.", "4", "[1, 2]", '{"name": "Ann", "age": 4}', "```python\nprint(1)\n```", "```json\n[1]\n```",
        "```python\nimport os\nos.getcwd()\n```", "```\nx = 1\n```", 'Her data: {"name": "Ann", "age": 4}.',
        "<think>[add(a=1)]", "Sure (of course)", "f(x", "see f(x) above", "[", "{", "[see (1)]",
    ],
)  # fmt: skip
def test_other_texts_call_nothing(text: str) -> None:
    parsed = parse_calls(text)
    assert (parsed.calls, parsed.format, parsed.problem) == ((), None, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<tool_call>{</tool_call>", "what a <tool_call> holds"),
        (f"<tool_call>{ADD_JSON}<tool_call>{NOW_JSON}</tool_call>", "does not end"),
        (f"<tool_call>{ADD_JSON}</tool_call><tool_call>add(a=1)</tool_call>", "no JSON"),
        (f"<tool_call>[{ADD_JSON}]</tool_call>", "must be an object"),
        ('<tool_call>{"name": "add", "arguments": {"a": 1, "a": 2}}</tool_call>', "same key twice"),
        ('<tool_call>{"name": "", "arguments": {}}</tool_call>', "no name"),
        ('<tool_call>{"name": "f", "arguments": {}, "parameters": {}}</tool_call>', "both arguments and parameters"),
        ('<tool_call>{"name": "f", "arguments": [1]}</tool_call>', "must be an object, found list"),
        (f"{ADD_JSON} {NOW_JSON}", "';' between"),
        (f"{ADD_JSON}; and more", "Llama"),
        (f"<|python_tag|>{ADD_JSON}<|python_tag|>{NOW_JSON}", "';' between"),
        ("[TOOL_CALLS]", "behind"),
        ("[TOOL_CALLS]add[ARGS]", "behind"),
        (f"[TOOL_CALLS][{ADD_JSON}] or maybe another", "text follows"),
        ("[add(1)]", "without names"),
        ("[add(a=1, a=2)]", "twice"),
        ("[add(**{'a': 1})]", r"has \*\*"),
        ("[add(a=b)]", "must be literals"),
        ("[add(a=1+1)]", "must be literals"),
        ("[add(a=f'{1}')]", "must be literals"),
        ("[add(a=__import__('os').system('true'))]", "must be literals"),
        ("[add(a={1: 2})]", "keys of a dict"),
        ("[add(a=1)(b=2)]", "plain or a dotted name"),
        ("[add(a=1), 3]", "a list of calls"),
        ("add(a=1", "no Python calls"),
        ("```json\n{\n```", "where calls should be"),
        ("```tool_code\nx = 1\n```", "calls are needed"),
        (f"I call {ADD_JSON[:-1]}", "where a call should be"),
        (f"{ADD_JSON}\nand more", "';' between"),
        ('<function=add>{"a": }</function>', "what <function=add> holds"),
        ('<function=add>{"a": 1} and more</function>', "does not end"),
        ("<function=add>a=1</function>", "does not end"),
        ("<function=add>", "does not end"),
        ("<function=>{}</function>", "no name"),
        ("<function=f><parameter=a>1</function>", "without an end"),
        ("<function=f><parameter=a>1</parameter><parameter=a>2</parameter></function>", "same one twice"),
        (f"{DS_BEGIN}nothing{DS_END}", "something else"),
        (f"{DS_BEGIN}{DS_OPEN}{DS_CLOSE}{DS_END}", "no name"),
        (f"{DS_BEGIN}{DS_OPEN}f{DS_SEP}[{DS_CLOSE}", "DeepSeek's arguments"),
        (f"{DS_BEGIN}{DS_OPEN}f{DS_SEP}{{}} or not{DS_CLOSE}", "does not end"),
        (f"{DS_BEGIN}{DS_NEW}and more", "something else"),
        (f"{DS_BEGIN}{DS_NEW * (MAX_CALLS + 1)}", "more than 64"),
        ("<function=now>{}</function>" * (MAX_CALLS + 1), "more than 64"),
        (f"```json\n[{ADD_JSON}, 1]\n```", "mixes calls"),
        ("[" + "now()," * (MAX_CALLS + 1) + "]", "more than 64"),
        (f"<tool_call>{NOW_JSON}</tool_call>" * (MAX_CALLS + 1), "more than 64"),
        (";".join([NOW_JSON] * (MAX_CALLS + 1)), "more than 64"),
        ("[TOOL_CALLS]now{}" * (MAX_CALLS + 1), "more than 64"),
        ('<tool_call>{"name": "f", "arguments": {"a": ' + "[" * 40 + "]" * 40 + "}}</tool_call>", "levels deep"),
    ],
)  # fmt: skip
def test_what_means_to_call_and_cannot_be_read_has_a_reason(text: str, reason: str) -> None:
    format: Format | None = "pythonic" if text.startswith("add(") else None
    parsed = parse_calls(text, format or "auto")
    assert parsed.calls == ()
    assert parsed.problem is not None
    assert re.search(reason, parsed.problem)


@pytest.mark.parametrize("asked", ["f", {"name": "f"}, [1], [{"name": 1}], [{"name": "f", "arguments": "["}], [None]])
def test_tool_calls_of_another_shape_have_a_reason(asked: Any) -> None:
    assert parse_calls(Message(role="assistant", tool_calls=asked)).problem


@pytest.mark.parametrize(
    "format",
    [
        "auto",
        "openai",
        "hermes",
        "function_tags",
        "llama3",
        "mistral",
        "deepseek",
        "pythonic",
        "json",
    ],
)
@pytest.mark.parametrize(
    "part",
    [
        " ", "<", "{", "[", "(", "-", "a.", "f(", "f(a=", "```", "```json\n{", "<tool_call>", "[TOOL_CALLS]", ";",
        "\x00", "\ud800",
        '{"name":', '"', "[TOOL_CALLS]f{}", '<tool_call>{"name":"f"}</tool_call>', "<|python_tag|>",
        "<think>", "</think>", "<|im_end|>", '{"name":"f","arguments":{}};', "x[CALL_ID]", "9",
        "<function=f>", "<function=f><parameter=a>", "<function=f>{}</function>", '{"name":"f","arguments":', DS_OPEN,
        DS_BEGIN, DS_NEW,
    ],
)  # fmt: skip
def test_a_million_characters_are_no_hang(format: Format, part: str) -> None:
    for text in (part * (MILLION // len(part)), "[f(a=" + part * 60_000, "[TOOL_CALLS]" + part * 60_000):
        parsed = parse_calls(text, format)
        assert len(parsed.calls) <= MAX_CALLS


def test_a_warning_of_pythons_parser_is_nobodys() -> None:
    assert parse_calls(r"[f(a='\d')]").calls[0].arguments == {"a": r"\d"}


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("<think>a</think> b", "b"),
        ("a</think>b</think>c", "c"),
        ("  <think>a", ""),
        ("[THINK]a[/THINK]b", "b"),
        ("b</s><|im_end|> ", "b"),
        ("plain", "plain"),
    ],
)
def test_thoughts_and_stop_tokens_are_left_out(text: str, rest: str) -> None:
    assert without_thoughts(text) == rest
