from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import rayreward

ROOT = Path(rayreward.__file__).parent
WITH_EXAMPLES = sorted(path for path in ROOT.rglob("*.py") if ">>>" in path.read_text())


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_examples_of_the_docstrings_run(path: Path) -> None:
    name = ".".join(("rayreward", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(verbose=False)
    for example in finder.find(module):
        runner.run(example)
    result = runner.summarize(verbose=False)
    assert (result.failed, result.attempted > 0) == (0, True)
