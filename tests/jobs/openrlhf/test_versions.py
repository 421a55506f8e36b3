import json
from dataclasses import replace
from pathlib import Path

import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.parser import OpenRLHFParser, parser_of
from rayreward.jobs.openrlhf.versions import (
    FIRST_DOTTED,
    KNOWN_FLAGS_FILE,
    NEWEST,
    OLDEST,
    SUPPORTED_VERSIONS,
    KnownFlag,
    at_least,
    dotted_names,
    is_dotted,
    known_flags,
    names_in,
    supported_version,
    tabulate_flags,
    versions_with,
    write_known_flags,
)

LAST_FLAT = "0.10.1"


def undated(rows: list[KnownFlag]) -> dict[str, KnownFlag]:
    return {row.flag: replace(row, first="", last="") for row in rows}


@pytest.mark.openrlhf
def test_the_table_says_what_the_real_parsers_say(real_parsers: dict[str, OpenRLHFParser]) -> None:
    for version, real in real_parsers.items():
        told = undated([*known_flags(version).values()])

        assert told == undated(tabulate_flags({version: real.parser})), version


def test_the_shipped_table_is_what_its_own_parsers_give_again(tmp_path: Path) -> None:
    path = tmp_path / "known_flags.json"

    write_known_flags({version: parser_of(version).parser for version in SUPPORTED_VERSIONS}, path)

    assert json.loads(path.read_text()) == json.loads(KNOWN_FLAGS_FILE.read_text())


def test_a_table_that_lacks_a_version_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{OLDEST}.* are missing"):
        write_known_flags({NEWEST: parser_of(NEWEST).parser}, tmp_path / "known_flags.json")


@pytest.mark.parametrize(
    ("version", "expected"), [("0.11.2", "0.11.2"), ("0.10.1.post2", "0.10.1"), ("0.11.2+cu12", "0.11.2")]
)
def test_a_post_release_has_the_flags_of_its_release(version: str, expected: str) -> None:
    assert supported_version(version) == expected


@pytest.mark.parametrize(
    ("version", "nearest"), [("0.12.0", "0.11.2"), ("0.7.5", "0.8.11"), ("0.9.11", "0.9.10"), ("main", "0.8.11")]
)
def test_a_version_that_nobody_looked_at_is_refused_with_the_nearest(version: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=rf"known from 0\.8\.11 to 0\.11\.2; the nearest is {nearest}"):
        supported_version(version)


def test_flags_are_flat_up_to_0_10_1_and_dotted_after() -> None:
    for version in SUPPORTED_VERSIONS:
        dotted = [flag for flag in known_flags(version) if "." in flag]

        assert bool(dotted) == is_dotted(version) == at_least(version, FIRST_DOTTED)


def test_every_flat_flag_has_a_successor_or_is_known_to_be_gone() -> None:
    flat = {flag for version in SUPPORTED_VERSIONS if not is_dotted(version) for flag in known_flags(version)}

    assert flat - dotted_names().keys() - known_flags(NEWEST).keys() == {
        "--actor_init_on_gpu",
        "--bf16",
        "--generate_max_len",
        "--perf",
        "--prompt_max_len",
        "--ptx_coef",
        "--use_icepop",
    }


@pytest.mark.parametrize("flat", sorted(dotted_names()))
def test_a_successor_takes_the_same_values_and_has_the_same_default(flat: str) -> None:
    old = known_flags(LAST_FLAT)[flat]

    for name in dotted_names()[flat]:
        new = known_flags(FIRST_DOTTED)[name]
        assert (new.type, new.nargs, new.choices, new.default) == (old.type, old.nargs, old.choices, old.default)


@pytest.mark.parametrize(
    ("version", "flag", "expected"),
    [
        ("0.11.2", "--rollout.batch_size", ("--rollout.batch_size",)),
        ("0.9.10", "--rollout.batch_size", ("--rollout_batch_size",)),
        ("0.11.2", "--rollout_batch_size", ("--rollout.batch_size",)),
        ("0.11.2", "--lr_scheduler", ("--actor.lr_scheduler", "--critic.lr_scheduler")),
        ("0.9.10", "--actor.min_lr_ratio", ()),
        ("0.11.2", "--never_heard_of", ()),
    ],
)
def test_a_flag_is_found_by_its_name_in_another_version(version: str, flag: str, expected: tuple[str, ...]) -> None:
    assert names_in(version, flag) == expected


def test_it_is_known_which_versions_have_a_flag() -> None:
    assert versions_with("--actor.loss_agg_mode") == ("0.11.2",)
    assert versions_with("--async_queue_size")[0] == "0.9.1"
