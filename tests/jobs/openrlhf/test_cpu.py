import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.cpu import CPU_SITE, build_cpu_env, fit_to_cpu
from rayreward.jobs.openrlhf.render import render_openrlhf
from rayreward.jobs.render import SET_BY_OPENRLHF, check_env_vars
from tests.jobs.conftest import build_spec


def test_a_cpu_job_is_fitted_when_it_is_rendered() -> None:
    job = render_openrlhf(build_spec(platform="cpu"), run_id="r")

    flags = list(job.flags)
    assert flags[flags.index("--ds.attn_implementation") + 1] == "eager"
    assert flags[flags.index("--vllm.sync_backend") + 1] == "gloo"
    assert "--vllm.enforce_eager" in flags
    assert job.env_vars["DS_ACCELERATOR"] == "cpu"
    assert job.env_vars["PYTHONPATH"] == str(CPU_SITE)


def test_a_gpu_job_is_left_alone() -> None:
    job = render_openrlhf(build_spec(), run_id="r")

    assert job.env_vars.keys() == {"RAYREWARD_BINDING"}
    assert "--ds.attn_implementation" not in job.flags


def test_the_folder_on_the_path_holds_the_sitecustomize() -> None:
    assert (CPU_SITE / "sitecustomize.py").is_file()


def test_local_files_keep_the_hub_out_of_it() -> None:
    assert build_cpu_env(build_spec(platform="cpu"))["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in build_cpu_env(build_spec(platform="cpu", model={"path": "owner/name"}))


def test_the_spec_s_own_variables_win_and_its_path_is_kept() -> None:
    env = build_cpu_env(build_spec(platform="cpu", env_vars={"VLLM_CPU_KVCACHE_SPACE": "4", "PYTHONPATH": "/mine"}))

    assert env["VLLM_CPU_KVCACHE_SPACE"] == "4"
    assert env["PYTHONPATH"] == f"{CPU_SITE}:/mine"


def test_nothing_that_openrlhf_sets_itself_is_set_twice() -> None:
    env = build_cpu_env(build_spec(platform="cpu"))

    assert not SET_BY_OPENRLHF & env.keys()
    assert check_env_vars(env) == []


@pytest.mark.parametrize(
    ("section", "value", "expected"),
    [
        ("model", {"path": "m", "attn_implementation": "flash_attention_2"}, "model.attn_implementation"),
        ("model", {"path": "m", "dtype": "fp16"}, "model.dtype"),
        ("train", {"packing_samples": True}, "train.packing_samples"),
        ("train", {"adam_offload": True}, "train.adam_offload"),
        ("train", {"sleep": True}, "train.sleep"),
        ("resources", {"vllm": {"sleep": True}}, "resources.vllm.sleep"),
        ("resources", {"vllm": {"tensor_parallel": 2}}, "resources.vllm.tensor_parallel"),
        ("resources", {"actor": {"gpus_per_node": 2}}, "set nodes and gpus_per_node to 1"),
    ],
)
def test_what_a_cpu_cannot_do_is_refused_by_its_key(section: str, value: object, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        fit_to_cpu(build_spec(platform="cpu", **{section: value}))


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        fit_to_cpu(build_spec(platform="cpu", train={"packing_samples": True, "sleep": True}))

    assert len(str(caught.value).splitlines()) == 2
