import subprocess
import sys

import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.parser import OpenRLHFParser, installed_parser, installed_version, rebuild_parser

pytestmark = pytest.mark.skipif(installed_version() is None, reason="OpenRLHF is not installed")


@pytest.fixture(scope="module")
def parser() -> OpenRLHFParser:
    found = installed_parser()
    assert found is not None
    return found


def test_the_installed_flags_are_all_found_those_of_a_loop_too(parser: OpenRLHFParser) -> None:
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

    assert mistake.startswith(f"OpenRLHF {installed_version()}")
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
