import importlib.util
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from rayreward.jobs.openrlhf import cpu_sources
from rayreward.jobs.openrlhf.cpu import CPU_SITE, SUPPORTED_OPENRLHF
from rayreward.jobs.openrlhf.cpu_sources import RULES, NoCuda, Rule, adapt, install
from rayreward.jobs.openrlhf.parser import installed_version

MODULES = sorted({rule.module for rule in RULES})
needs_openrlhf = pytest.mark.skipif(installed_version() != SUPPORTED_OPENRLHF, reason="needs OpenRLHF 0.11.2")


def source_of(module: str) -> str:
    package = importlib.util.find_spec("openrlhf")
    assert package is not None
    assert package.origin is not None
    return (Path(package.origin).parents[1] / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")


@needs_openrlhf
@pytest.mark.parametrize("module", MODULES)
def test_every_rule_matches_the_installed_sources_as_often_as_it_says(module: str) -> None:
    adapted = adapt(module, source_of(module))

    compile(adapted, module, "exec")
    assert 'device="cuda"' not in adapted


@needs_openrlhf
def test_no_module_on_a_training_s_path_still_asks_for_cuda() -> None:
    # Reached with ring attention and CUDA IPC only, which the CPU profile refuses and avoids.
    left_alone = {"openrlhf.models.ring_attn_utils", "openrlhf.trainer.ray.utils"}
    package = importlib.util.find_spec("openrlhf")
    assert package is not None
    assert package.origin is not None
    root = Path(package.origin).parent

    asking = set()
    for path in root.rglob("*.py"):
        module = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        if "torch.cuda." in adapt(module, path.read_text(encoding="utf-8")):
            asking.add(module)

    assert asking == left_alone


def test_every_rule_says_why_and_what_is_replaced_once() -> None:
    assert all(rule.reason for rule in RULES)
    assert max(Counter((rule.module, rule.old) for rule in RULES).values()) == 1


def test_a_rule_that_does_not_match_is_an_error_that_says_so() -> None:
    rules = (Rule("openrlhf.a", "old", "new", 2, "why"),)

    assert adapt("openrlhf.a", "old old", rules) == "new new"
    assert adapt("openrlhf.b", "old", rules) == "old"
    with pytest.raises(ImportError, match=r"openrlhf\.a holds 'old' 1 times instead of 2; .*openrlhf==0\.11\.2"):
        adapt("openrlhf.a", "old", rules)


def test_another_openrlhf_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_sources.importlib.metadata, "version", lambda _: "0.12.0")
    before = list(sys.meta_path)

    with pytest.raises(ImportError, match=r"knows openrlhf 0\.11\.2 only, found 0\.12\.0; pip install"):
        install()
    assert sys.meta_path == before


def test_a_dependency_that_lost_the_replaced_function_is_an_error() -> None:
    with pytest.raises(ImportError, match=r"json\.gone is gone; install the versions of constraints\.txt"):
        cpu_sources._replace("json", "gone", None)


def test_the_stand_in_for_cuda_does_nothing_and_says_cpu() -> None:
    NoCuda.set_device(0)
    NoCuda.synchronize()
    NoCuda.empty_cache()

    assert NoCuda.current_device() == "cpu"
    assert not NoCuda.is_available()
    assert NoCuda.current_stream() is None


def run_with_cpu_site(code: str, *paths: Path) -> str:
    """What `code` prints in a process that finds our sitecustomize."""
    env = {"PYTHONPATH": ":".join(map(str, (CPU_SITE, *paths))), "PATH": "/usr/bin:/bin", "DS_ACCELERATOR": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_process_without_openrlhf_imports_nothing_of_ours() -> None:
    code = "import sys; print([name for name in sys.modules if name.startswith(('rayreward', 'pydantic', 'torch'))])"

    assert run_with_cpu_site(code) == "[]"


def test_a_sitecustomize_further_along_the_path_still_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('the other one')\n")

    assert run_with_cpu_site("print('and the program')", tmp_path) == "the other one\nand the program"


@needs_openrlhf
def test_a_process_that_imports_openrlhf_gets_the_adapted_modules() -> None:
    code = (
        "import openrlhf.utils.distributed_util as adapted, inspect;"
        "print(adapted.cpu_sources.__name__);"
        "print('torch.cuda.' in inspect.getsource(adapted))"  # what is on disk is untouched
    )

    assert run_with_cpu_site(code).splitlines() == ["rayreward.jobs.openrlhf.cpu_sources", "True"]
