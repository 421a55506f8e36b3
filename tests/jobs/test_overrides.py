import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.overrides import apply_overrides


def test_overrides_are_read_as_yaml_and_leave_the_data_alone() -> None:
    data = {"name": "a", "rollout": {"batch_size": 8}}

    merged = apply_overrides(data, ["rollout.batch_size=16", "rollout.top_p=0.9", "train.async_rollout=true"])

    assert merged == {"name": "a", "rollout": {"batch_size": 16, "top_p": 0.9}, "train": {"async_rollout": True}}
    assert data == {"name": "a", "rollout": {"batch_size": 8}}


def test_an_override_can_set_a_raw_flag_with_its_dots() -> None:
    assert apply_overrides({}, ["extra_args.train.enable_ema=true"]) == {"extra_args": {"train.enable_ema": True}}


@pytest.mark.parametrize("override", ["rollout.batch_size", "=8", "rollout..batch_size=8", "name=[", "name.first=x"])
def test_a_malformed_override_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="override"):
        apply_overrides({"name": "a"}, [override])


def test_a_spec_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(ConfigError, match="mapping"):
        apply_overrides(["name"], [])
