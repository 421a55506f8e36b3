from __future__ import annotations

import os
import sys

import pytest
import typer

from rayreward import errors
from rayreward.cli.output import errors_rendered, exit_code_of, stdout_kept_for_data


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 2),
        (errors.RewardLoadError("x"), 2),
        (errors.InvalidInputError("x"), 2),
        (errors.UnknownRewardError("x"), 2),
        (errors.AuthenticationError("x"), 2),
        (errors.MissingExtraError("x"), 2),
        (errors.ServiceUnavailableError("x"), 3),
        (errors.BackpressureError("x", 1.0), 3),
        (errors.DeadlineError("x"), 4),
        (errors.InvalidOutputError("x"), 1),
        (errors.JobError("x"), 1),
        (errors.RayRewardError("x"), 1),
    ],
)
def test_each_error_has_the_exit_code_that_a_script_can_act_on(error: errors.RayRewardError, code: int) -> None:
    assert exit_code_of(error) == code


def test_an_error_is_shown_as_it_is_and_ends_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, errors_rendered():
        raise errors.ConfigError("data[0]: " + "long " * 50 + "[red]")
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == "error: data[0]: " + "long " * 50 + "[red]\n"


def test_ctrl_c_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, errors_rendered():
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), errors_rendered():
        _ = 1 / 0


def test_what_others_print_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with stdout_kept_for_data():
        sys.stdout.write("by python\n")
        os.write(1, b"by a process\n")
    sys.stdout.write("data\n")
    out, err = capfd.readouterr()
    assert out == "data\n"
    assert sorted(err.splitlines()) == ["by a process", "by python"]
