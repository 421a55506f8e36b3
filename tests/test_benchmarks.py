"""The results that are shipped are those of the benchmarks that are shipped."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "benchmarks"
RESULTS = sorted((ROOT / "results").glob("*.json"))


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_a_result_tells_its_method_its_machine_and_its_targets(file: Path) -> None:
    result = json.loads(file.read_bytes())
    method = ast.get_docstring(ast.parse((ROOT / f"{file.stem}.py").read_text()))
    assert " ".join(result["method"].split()) == " ".join((method or "").split())
    assert {"cores", "processor", "memory_gib", "python", "ray", "measured_at"} <= result["machine"].keys()
    for measured in result["targets"].values():
        limit = measured.get("at_most", measured.get("at_least"))
        is_met = measured["measured"] <= limit if "at_most" in measured else measured["measured"] >= limit
        assert measured["is_met"] is is_met


def test_every_benchmark_of_make_bench_has_its_result() -> None:
    makefile = (ROOT.parent / "Makefile").read_text()
    named = re.findall(r"--out benchmarks/results/(\w+)\.json", makefile)
    assert sorted(named) == [file.stem for file in RESULTS]
