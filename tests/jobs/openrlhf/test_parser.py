import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.parser import (
    ENTRYPOINT_FILE,
    OpenRLHFParser,
    installed_parser,
    installed_version,
    parser_of,
    rebuild_parser,
    wheel_parser,
)

needs_openrlhf = pytest.mark.skipif(installed_version() is None, reason="OpenRLHF is not installed")


@pytest.fixture(scope="module", params=[pytest.param("installed", marks=needs_openrlhf), "0.11.2", "0.10.4"])
def parser(request: pytest.FixtureRequest) -> OpenRLHFParser:
    found = installed_parser() if request.param == "installed" else parser_of(request.param)
    assert found is not None
    return found


def test_the_flags_are_all_found_those_of_a_loop_too(parser: OpenRLHFParser) -> None:
    assert {"--actor.model_name_or_path", "--actor.adam.lr", "--critic.muon.no_nesterov", "--use_ms"} <= parser.flags
    assert parser.is_switch("--train.async_enable")
    assert not parser.is_switch("--rollout.batch_size")


def test_reading_them_imports_nothing_heavy() -> None:
    code = (
        "import sys; from rayreward.jobs.openrlhf.parser import installed_parser; installed_parser();"
        "print([name for name in ('torch', 'ray', 'vllm', 'openrlhf', 'transformers') if name in sys.modules])"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_a_good_command_line_has_no_mistakes(parser: OpenRLHFParser) -> None:
    assert parser.check(["--rollout.batch_size", "8", "--train.async_enable", "--reward.clip_range", "-10", "10"]) == []


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--rollout.batchsize", "8"], "has no flag '--rollout.batchsize'; did you mean '--rollout.batch_size'?"),
        (["--rollout_batch_size", "8"], "did you mean '--rollout.batch_size'?"),
        (["--rollout.batch", "8"], "has no flag '--rollout.batch'"),
        (["--xyz", "8"], "--help lists them all"),
        (["--rollout.batch_size", "many"], "invalid int value"),
        (["--algo.advantage.estimator", "grpo"], "invalid choice"),
        (["--train.async_enable", "true"], "unrecognized arguments"),
        (["--reward.clip_range", "1"], "expected 2 arguments"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(parser: OpenRLHFParser, flags: list[str], expected: str) -> None:
    (mistake,) = parser.check(flags)

    assert mistake.startswith(f"OpenRLHF {parser.version}")
    assert expected in mistake


def test_a_script_without_a_parser_is_refused() -> None:
    with pytest.raises(ConfigError, match="no argument parser found"):
        rebuild_parser("if __name__ == '__main__':\n    main()\n", source="train.py")


def test_only_the_parser_s_own_statements_are_run() -> None:
    script = (
        "import a_package_that_does_not_exist\n"
        "if __name__ == '__main__':\n"
        "    parser = argparse.ArgumentParser()\n"
        "    for name in ('a', 'b'):\n"
        "        parser.add_argument(f'--{name}')\n"
        "    raise SystemExit('never reached')\n"
    )

    assert rebuild_parser(script, source="train.py").parse_args(["--a", "1"]).a == "1"


@needs_openrlhf
def test_the_installed_package_answers_for_its_own_version() -> None:
    version = installed_version()
    assert version is not None

    assert parser_of(version).flags == getattr(installed_parser(), "flags", None)


def test_another_version_is_checked_without_being_installed() -> None:
    old = parser_of("0.9.10")

    assert old.check(["--rollout_batch_size", "8", "--async_train"]) == []
    (mistake,) = old.check(["--rollout.batch_size", "8"])
    assert "OpenRLHF 0.9.10 has no flag '--rollout.batch_size'; did you mean '--rollout_batch_size'?" in mistake


def test_a_version_that_is_not_supported_has_no_parser() -> None:
    with pytest.raises(ConfigError, match=r"0\.7\.0 is not supported"):
        parser_of("0.7.0")


def test_a_wheel_s_parser_is_found_where_the_wheel_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "openrlhf-0.9.10-cp311-cp311-manylinux1_x86_64.whl"
    script = "if __name__ == '__main__':\n    parser = argparse.ArgumentParser()\n    parser.add_argument('--a')\n"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"openrlhf-0.9.10.data/purelib/{ENTRYPOINT_FILE}", script)

    found = wheel_parser(path)

    assert (found.version, found.flags) == ("0.9.10", frozenset({"--a"}))


@pytest.mark.parametrize("content", ["empty", "broken"])
def test_a_file_that_is_no_wheel_of_openrlhf_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "openrlhf-0.9.10.whl"
    if content == "empty":
        zipfile.ZipFile(path, "w").close()
    else:
        path.write_text("not a zip file")

    with pytest.raises(ConfigError, match=r"no wheel that holds openrlhf/cli/train_ppo_ray\.py"):
        wheel_parser(path)
