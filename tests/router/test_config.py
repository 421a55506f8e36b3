from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.router.config import OpenRLHFPolicy, ServiceConfig, read_service_config

LENGTH = {"name": "length", "builtin": "length", "args": {"target": 3}}


def refusal(data: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        ServiceConfig.parse(data, source="rewards.yaml")
    return str(caught.value)


def test_the_first_reward_is_the_main_one_unless_another_is_named() -> None:
    both = [LENGTH, {**LENGTH, "name": "other"}]
    assert ServiceConfig.parse({"rewards": both}, source="x").main_reward == "length"
    assert ServiceConfig.parse({"rewards": both, "default_reward": "other"}, source="x").main_reward == "other"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({}, "key 'rewards' is required and missing"),
        ({"rewards": []}, "at least one reward"),
        ({"rewards": [LENGTH, LENGTH]}, "'length' is there twice"),
        ({"rewards": [LENGTH], "default_reward": "x"}, "'x' is none of length"),
        (
            {"rewards": [{**LENGTH, "candidate": {"args": {"target": 4}}}, {**LENGTH, "name": "length.candidate"}]},
            "'length.candidate' is the name of a candidate's deployment",
        ),
        ({"rewards": [{**LENGTH, "wieght": 1}]}, "unknown key 'rewards.0.wieght'; did you mean 'weight'"),
        ({"rewards": [{"name": "a"}]}, "needs one of import_path, builtin or parts; found none"),
        ({"rewards": [{**LENGTH, "import_path": "a.py::b"}]}, "found import_path and builtin"),
        ({"rewards": [{**LENGTH, "builtin": "lenght"}]}, "unknown builtin 'lenght'; did you mean 'length'"),
        ({"rewards": [{**LENGTH, "name": "v1"}]}, "no path of the service's own"),
        ({"rewards": [{**LENGTH, "name": "a/b"}]}, "a reward's name is letters"),
        ({"rewards": [{**LENGTH, "num_replicas": 1, "autoscaling_config": {"max_replicas": 2}}]}, "not both"),
        ({"rewards": [{**LENGTH, "timeout_s": 0}]}, "timeout_s"),
        ({"rewards": [{**LENGTH, "isolation": "sandbox"}]}, "isolation"),
        ({"rewards": [LENGTH], "openrlhf": {"on_failure": "fallback"}}, "needs a number in 'fallback'"),
        ({"rewards": [LENGTH], "openrlhf": {"fallback": 0}}, "needs a number in 'fallback'"),
        ({"rewards": [LENGTH], "openrlhf": {"on_failure": "fallback", "fallback": ".nan"}}, "fallback"),
        ({"rewards": [LENGTH], "openrlhf": {"answer_within_s": 180}}, "answer_within_s"),
        ({"rewards": [LENGTH], "token": "secret"}, "unknown key 'token'"),
        ({"rewards": [{**LENGTH, "cache_entries": -1}]}, "cache_entries"),
        ({"rewards": [{**LENGTH, "group_size": 0}]}, "group_size"),
        ({"rewards": [{**LENGTH, "hedge_after_s": 0}]}, "hedge_after_s"),
        ({"rewards": [{**LENGTH, "max_batch_tokens": 0}]}, "max_batch_tokens"),
        ({"rewards": [{**LENGTH, "group_wait_s": 0}]}, "group_wait_s"),
        ({"rewards": [LENGTH], "admission": {"total": {"max_samples": 0}}}, "admission.total.max_samples"),
        ({"rewards": [LENGTH], "admission": {"per_calller": {}}}, "did you mean 'per_caller'"),
        ({"rewards": [LENGTH], "token_sha256": "abc"}, "token_sha256"),
        ([LENGTH], "(top level)"),
    ],
)
def test_a_mistake_names_its_key_and_its_remedy(data: Any, reason: str) -> None:
    assert reason in refusal(data)


def test_policies_have_their_defaults() -> None:
    assert OpenRLHFPolicy().on_failure == "neutral"
    assert OpenRLHFPolicy(on_failure="fallback", fallback=0.0).fallback == 0.0


def test_only_the_tokens_hash_travels() -> None:
    config = ServiceConfig.parse({"rewards": [LENGTH]}, source="x")
    assert config.with_token({}).token_sha256 is None
    hashed = config.with_token({"RAYREWARD_TOKEN": "secret"})
    assert hashed.token_sha256 == hashlib.sha256(b"secret").hexdigest()
    assert "secret" not in repr(hashed)
    assert hashed.with_token({"RAYREWARD_TOKEN": "other"}) == hashed


class TestFile:
    def write(self, folder: Path, text: str) -> Path:
        path = folder / "rewards.yaml"
        path.write_text(text)
        return path

    def test_holds_rewards_or_a_serve_application_with_them(self, tmp_path: Path) -> None:
        plain = read_service_config(self.write(tmp_path, "rewards: [{name: a, builtin: length, args: {target: 3}}]"))
        text = "applications: [{name: x, args: {rewards: [{name: a, builtin: length, args: {target: 3}}]}}]"
        assert read_service_config(self.write(tmp_path, text)) == plain
        assert plain.rewards[0].build()(response="one two three").score == 1.0

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("rewards: [{name: a, builtin: lenght}]", "did you mean 'length'"),
            ("- a", "must be a mapping with 'rewards', found list"),
            ("", "must be a mapping with 'rewards', found NoneType"),
            ("applications: []", "key 'rewards' is required"),
            ("applications: {args: {}}", "'applications' must be a list"),
            ("applications: [3]", "'applications' must be a list"),
            ("rewards: [{name: a, import_path: 'nowhere.py::b'}]", "reward 'a': nowhere.py: no such file"),
            ("rewards: [", "not valid YAML"),
        ],
    )
    def test_what_is_wrong_in_it_names_the_file(self, tmp_path: Path, text: str, reason: str) -> None:
        with pytest.raises(ConfigError, match=r"rewards\.yaml") as caught:
            read_service_config(self.write(tmp_path, text))
        assert reason in str(caught.value)
