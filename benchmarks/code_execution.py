"""Programs of HumanEval and MBPP, graded in the sandbox of this machine.

`--data` names a folder with `humaneval.jsonl` and `mbpp.jsonl`, as their authors publish them. Every canonical solution
is graded by its own tests and must pass all; then every one with its function under test replaced by one that returns
None, of which none may pass all. Wall time and CPU are of the canonical solutions, one at a time: this process, the
sandbox and the judge with all that they fork; starting them is left out. Beside it stands the CPU of a fresh
`python -I` and `python -I -S` that runs solution and tests in one process, without any isolation, for every fifth one.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from measuring import load, report, spread, target

from rayreward import RewardOutput, Sample
from rayreward.rewards import CodeExecutionReward


class Task(NamedTuple):
    name: str
    program: str
    row: dict[str, Any]
    entry_point: str
    tests: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of humaneval.jsonl and mbpp.jsonl")
    parser.add_argument("--out", type=Path, help="a JSON file beside what is printed")
    options = parser.parse_args()
    load_before = load()
    sets = {"humaneval": read_humaneval(options.data), "mbpp": read_mbpp(options.data)}
    reward = CodeExecutionReward(parallel=1)
    reward.load()
    result: dict[str, Any] = {"targets": {}, "sets": {}}
    for name, tasks in sets.items():
        result["sets"][name] = figures = measure(reward, tasks)
        counts = {"canonical solutions that fail": "failed", "stubs that pass": "stubs_passed"}
        for what, key in counts.items():
            result["targets"][f"{name}: {what}"] = target(len(figures[key]), at_most=0)
    reward.close()
    report(__doc__, result, options.out, load_before=load_before)


def read_humaneval(folder: Path) -> list[Task]:
    return [
        Task(
            row["task_id"],
            row["prompt"] + row["canonical_solution"],
            {key: row[key] for key in ("test", "entry_point", "prompt")},
            row["entry_point"],
            f"{row['test']}\ncheck({row['entry_point']})\n",
        )
        for row in map(json.loads, (folder / "humaneval.jsonl").read_text().splitlines())
    ]


def read_mbpp(folder: Path) -> list[Task]:
    tasks = []
    for row in map(json.loads, (folder / "mbpp.jsonl").read_text().splitlines()):
        keys = ("test_list", "test_setup_code")
        names = re.findall(r"^def\s+(\w+)", row["code"], re.MULTILINE)
        called = next(name for name in names if re.search(rf"\b{name}\b", row["test_list"][0]))
        tests = "\n".join((row["test_setup_code"], *row["test_list"]))
        tasks.append(Task(f"MBPP/{row['task_id']}", row["code"], {key: row[key] for key in keys}, called, tests))
    return tasks


def measure(reward: CodeExecutionReward, tasks: Sequence[Task]) -> dict[str, Any]:
    grade(reward, tasks[0], tasks[0].program)
    before_s, walls_s = cpu_s(), []
    failed, outputs = {}, []
    for task in tasks:
        began = time.perf_counter()
        outputs.append(grade(reward, task, task.program))
        walls_s.append(time.perf_counter() - began)
        if outputs[-1].score != 1.0:
            failed[task.name] = str(outputs[-1].failure or outputs[-1].reason)
    spent_s = cpu_s() - before_s
    stubs = {
        task.name: grade(reward, task, f"{task.program}\n\ndef {task.entry_point}(*a, **k):\n    return None\n")
        for task in tasks
    }
    fresh = tasks[::5]
    return {
        "tier": outputs[0].metadata["tier"],
        "programs": len(tasks),
        "tests": sum(output.metadata.get("tests", 0) for output in outputs),
        "failed": failed,
        "stubs_passed": [name for name, output in stubs.items() if output.score == 1.0],
        "stubs_not_scored": {name: str(output.failure) for name, output in stubs.items() if output.failure},
        "stubs_mean_fraction": sum(output.score or 0.0 for output in stubs.values()) / len(stubs),
        "wall_s": spread(walls_s),
        "cpu_s_a_program": spent_s / len(tasks),
        "fresh_python_cpu_s_a_program": {
            flags: fresh_cpu_s(fresh, flags.split()) / len(fresh) for flags in ("-I", "-I -S")
        },
    }


def grade(reward: CodeExecutionReward, task: Task, program: str) -> RewardOutput:
    [output] = reward.score([Sample(response=f"```python\n{program}\n```", label=task.row)])
    return output


def cpu_s() -> float:
    """Of this process, of those that it has started, and of those that these have waited for."""
    times = psutil.Process().cpu_times()
    total = times.user + times.system
    for child in psutil.Process().children(recursive=True):
        times = child.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
    return total


def fresh_cpu_s(tasks: Sequence[Task], flags: Sequence[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for task in tasks:
        with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
            file.write(f"{task.program}\n{task.tests}")
            file.flush()
            subprocess.run([sys.executable, *flags, file.name], check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
