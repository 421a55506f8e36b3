"""BFCL's ground truths as calls that must be accepted, and as calls that must be refused.

From each line of ``bfcl_*.jsonl`` (``function``, ``ground_truth``): calls with every accepted value in turn, with what
is optional left out, with texts in other case and spacing, whole numbers for floats, parallel calls in reverse; each
written in seven forms. And calls with one mistake, which is wrong whatever the ground truth's alternatives are: another
value, a value of another type, two values exchanged, an argument missing, surplus or misspelt, another tool's name, a
call missing, twice, or in place of another. Labels are the ground truths, metadata holds the tools; the reward reads
each by ``format="auto"``. What a form cannot say (Python: an argument named like a keyword) is counted and left out.
"""

from __future__ import annotations

import argparse
import copy
import json
import keyword
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from measuring import load, report, target

from rayreward import Sample
from rayreward.rewards import FunctionCallingReward

Calls = list[dict[str, Any]]

SHOWN_MISTAKES = 20


class Row(NamedTuple):
    """A question: its id, its tools, its ground truth."""

    id: str
    tools: list[dict[str, Any]]
    truth: list[dict[str, dict[str, list[Any]]]]


class Made(NamedTuple):
    """Calls of one kind."""

    kind: str
    calls: Calls


def read_rows(folder: Path) -> list[Row]:
    lines = [line for file in sorted(folder.glob("bfcl_*.jsonl")) for line in file.read_text().splitlines()]
    return [Row(row["id"], row["function"], row["ground_truth"]) for row in map(json.loads, lines)]


# What must be accepted


def plain(value: Any) -> Any:
    """An accepted value as a model would write it: of a dict's own alternatives the first, optional keys included."""
    if isinstance(value, dict):
        return {key: plain(first(accepted)) for key, accepted in value.items() if first(accepted) != ""}
    return [plain(one) for one in value] if isinstance(value, list) else value


def first(accepted: list[Any]) -> Any:
    """Of no value at all the empty list: what BFCL's ground truth means by it."""
    return next((one for one in accepted if one != ""), "") if accepted else []


def schema_of(row: Row, name: str) -> dict[str, Any]:
    return next((tool["parameters"] for tool in row.tools if tool["name"] == name), {})


def may_be_left_out(row: Row, name: str, argument: str, accepted: list[Any]) -> bool:
    return "" in accepted and argument not in schema_of(row, name).get("required", ())


def base_calls(row: Row) -> Calls:
    """The first accepted value of everything that has one."""
    calls = []
    for one in row.truth:
        [(name, wanted)] = one.items()
        known = schema_of(row, name).get("properties", {})
        arguments = {
            key: plain(first(accepted))
            for key, accepted in wanted.items()
            if key in known and not (first(accepted) == "" and may_be_left_out(row, name, key, accepted))
        }
        calls.append({"name": name, "arguments": arguments})
    return calls


def accepted(row: Row) -> Iterator[Made]:
    base = base_calls(row)
    yield Made("first values", base)
    if len(base) > 1:
        yield Made("reversed", base[::-1])
    shorter = copy.deepcopy(base)
    for position, one in enumerate(row.truth):
        [(name, wanted)] = one.items()
        known = schema_of(row, name).get("properties", {})
        for key, values in wanted.items():
            if may_be_left_out(row, name, key, values):
                shorter[position]["arguments"].pop(key, None)
            for value in [one for one in values if one != "" and key in known][1:]:
                yield Made("each value", changed(base, position, key, plain(value)))
    if shorter != base:
        yield Made("optional left out", shorter)
    yield from rewritten(row, base)


def rewritten(row: Row, base: Calls) -> Iterator[Made]:
    """What BFCL takes for the same text or number."""
    for position, call in enumerate(base):
        properties = schema_of(row, call["name"]).get("properties", {})
        for key, value in call["arguments"].items():
            if isinstance(value, str) and value:
                yield Made(
                    "case and spacing", changed(base, position, key, " " + value.upper().replace(" ", "-") + ".")
                )
            if isinstance(value, float) and value.is_integer() and properties[key]["type"] == "float":
                yield Made("int for float", changed(base, position, key, int(value)))


def changed(calls: Calls, position: int, key: str, value: Any) -> Calls:
    copied = copy.deepcopy(calls)
    copied[position]["arguments"][key] = value
    return copied


# What must be refused


def loose(value: Any) -> str:
    """What two values share that anybody could call the same: letters and digits, numbers as floats."""
    if isinstance(value, (int, float)):
        return f"number {float(value)}"
    return re.sub(r"[\W_]", "", json.dumps(value).lower())


def refused(row: Row) -> Iterator[Made]:
    base = base_calls(row)
    names = {tool["name"] for tool in row.tools}
    yield Made("no call", [])
    yield Made("last call twice", [*base, base[-1]])
    yield Made("surplus call", [*base, {"name": base[0]["name"], "arguments": {}}])
    if len(base) > 1:
        yield Made("call missing", base[1:])
        if base[0]["name"] != base[1]["name"]:
            yield Made("call in place of another", [base[0], base[0], *base[2:]])
    for position, call in enumerate(base):
        for other in {*names - {one["name"] for one in base}, call["name"] + "_2", call["name"][:-1]}:
            yield Made("another tool", [*base[:position], {**call, "name": other}, *base[position + 1 :]])
        yield Made("surplus argument", changed(base, position, "not_a_parameter", 1))
        for key, value in call["arguments"].items():
            yield from refused_argument(row, base, position, key, value)


def refused_argument(row: Row, base: Calls, position: int, key: str, value: Any) -> Iterator[Made]:
    call = base[position]
    everywhere = [one[call["name"]][key] for one in row.truth if key in one.get(call["name"], {})]
    taken = [one for accepted in everywhere for one in accepted]
    same = {loose(plain(one)) for one in taken}
    exact = {json.dumps(plain(one)) for one in taken}
    if not any("" in one for one in everywhere):
        less = copy.deepcopy(base)
        del less[position]["arguments"][key]
        yield Made("argument missing", less)
    misspelt = copy.deepcopy(base)
    misspelt[position]["arguments"][key + "s"] = misspelt[position]["arguments"].pop(key)
    yield Made("argument misspelt", misspelt)
    for wrong in other_values(value):
        if loose(wrong) not in same:
            yield Made("another value", changed(base, position, key, wrong))
    for wrong in other_types(value, schema_of(row, call["name"])["properties"][key]["type"]):
        if json.dumps(wrong) not in exact:
            yield Made("another type", changed(base, position, key, wrong))
    for other, its in call["arguments"].items():
        if other > key and loose(its) not in same and loose(its) != loose(value):
            exchanged = changed(base, position, key, its)
            exchanged[position]["arguments"][other] = value
            yield Made("values exchanged", exchanged)


def other_values(value: Any) -> Iterator[Any]:
    """Near misses of the same type."""
    match value:
        case bool():
            yield not value
        case int():
            yield from (value + 1, value - 1, value * 10 + 7)
        case float():
            yield from (value + 0.01, value + 1, value * 3 + 0.5)
        case str() if value:
            yield from (value + "x", value[:-1], "q" + value, value.replace(" ", " not ", 1) + " q")
        case list() if value:
            yield from (value[:-1], [*value, value[-1]], value[::-1])
            for wrong in other_values(value[0]):
                yield [wrong, *value[1:]]
        case dict() if value:
            key = next(iter(value))
            yield {**value, "not_a_key": 1}
            for wrong in other_values(value[key]):
                yield {**value, key: wrong}


def other_types(value: Any, declared: str) -> Iterator[Any]:
    """The same content in a type that is not the parameter's."""
    match value:
        case bool():
            yield from (str(value), str(value).lower(), int(value), float(value), [value], None)
        case int() | float():
            yield from (str(value), [value], {"value": value}, None, str(value) + " ")
            if declared == "integer":
                yield float(value)
        case str():
            yield from ([value], {"value": value}, 0, True)
        case list():
            yield from (json.dumps(value), {"0": value}, [value], 1, None)
        case dict():
            yield from (json.dumps(value), [value], list(value.values()), None)


# The forms


def as_openai(calls: Calls) -> list[dict[str, Any]]:
    functions = [{"name": one["name"], "arguments": json.dumps(one["arguments"])} for one in calls]
    asked = [{"id": str(at), "type": "function", "function": one} for at, one in enumerate(functions)]
    return [{"role": "user", "content": "?"}, {"role": "assistant", "content": None, "tool_calls": asked}]


def as_hermes(calls: Calls) -> str:
    blocks = [f"<tool_call>\n{json.dumps(one)}\n</tool_call>" for one in calls]
    return "<think>\nI call <tool_call> now.\n</think>\n\n" + "\n".join(blocks) + "<|im_end|>"


def as_llama3(calls: Calls) -> str:
    return "; ".join(json.dumps({"name": one["name"], "parameters": one["arguments"]}) for one in calls)


def as_mistral_list(calls: Calls) -> str:
    return f"[TOOL_CALLS] {json.dumps(calls, ensure_ascii=False)}</s>"


def as_mistral(calls: Calls) -> str:
    return "".join(f"[TOOL_CALLS]{one['name']}[ARGS]{json.dumps(one['arguments'])}" for one in calls)


def as_pythonic(calls: Calls) -> str | None:
    if any(not is_python(one) for one in calls):
        return None
    written = (f"{one['name']}({', '.join(f'{k}={v!r}' for k, v in one['arguments'].items())})" for one in calls)
    return f"[{', '.join(written)}]"


def is_python(call: dict[str, Any]) -> bool:
    words = [*call["name"].split("."), *call["arguments"]]
    return all(word.isidentifier() and not keyword.iskeyword(word) for word in words)


def as_fenced(calls: Calls) -> str:
    return f"I need this:\n```json\n{json.dumps(calls, indent=1)}\n```"


FORMS: dict[str, Callable[[Calls], Any]] = {
    "openai": as_openai,
    "hermes": as_hermes,
    "llama3": as_llama3,
    "mistral, a list": as_mistral_list,
    "mistral": as_mistral,
    "pythonic": as_pythonic,
    "json": as_fenced,
}


def sample_of(row: Row, written: Any) -> Sample:
    given = {"messages": written} if isinstance(written, list) else {"response": written}
    return Sample(**given, label=row.truth, metadata={"tools": row.tools})


class Tally:
    """How many were judged, how many rightly, and which were not."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.right: Counter[str] = Counter()
        self.mistakes: list[dict[str, Any]] = []

    def count(self, kind: str, is_right: bool, mistake: dict[str, Any]) -> None:
        """One verdict."""
        self.asked[kind] += 1
        self.right[kind] += is_right
        if not is_right:
            self.mistakes.append(mistake)

    def summary(self) -> dict[str, Any]:
        """By kind, and the first mistakes."""
        kinds = {kind: {"asked": count, "right": self.right[kind]} for kind, count in sorted(self.asked.items())}
        return {"asked": self.asked.total(), "kinds": kinds, "mistakes": self.mistakes[:SHOWN_MISTAKES]}

    @property
    def share(self) -> float:
        """Of right verdicts."""
        return self.right.total() / max(1, self.asked.total())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with bfcl_*.jsonl")
    parser.add_argument("--out", type=Path)
    asked, load_before = parser.parse_args(), load()
    reward = FunctionCallingReward()
    tallies = {"accepted": Tally(), "refused": Tally()}
    left_out: Counter[str] = Counter()
    spent_s = 0.0
    rows = read_rows(asked.data)
    for row in rows:
        for verdict, tally in tallies.items():
            for made in accepted(row) if verdict == "accepted" else refused(row):
                for form, write in FORMS.items():
                    written = write(made.calls)
                    if written is None:
                        left_out[form] += 1
                        continue
                    sample = sample_of(row, written)
                    started_s = time.process_time()
                    output = reward.compute_reward(sample)
                    spent_s += time.process_time() - started_s
                    is_right = (output.score == 1.0) is (verdict == "accepted")
                    mistake = {"id": row.id, "kind": made.kind, "form": form, "calls": made.calls}
                    tally.count(made.kind, is_right, {**mistake, "reason": output.reason})
    count = sum(tally.asked.total() for tally in tallies.values())
    result = {
        "questions": len(rows),
        "left_out": dict(left_out),
        "cpu_us_per_sample": spent_s / max(1, count) * 1e6,
        **{verdict: tally.summary() for verdict, tally in tallies.items()},
        "targets": {f"share_{verdict}": target(tally.share, at_least=1.0) for verdict, tally in tallies.items()},
    }
    report(__doc__, result, asked.out, load_before=load_before)


if __name__ == "__main__":
    main()
