from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayreward import RewardFunction
from rayreward.errors import ConfigError, RewardLoadError
from rayreward.rewards import BUILTINS, CompositeReward, LengthReward
from rayreward.spec import RewardSpec, load_reward

FILE = """
from rayreward import RewardFunction, reward_function

@reward_function(isolation="inline", timeout_s=3)
def decorated(response, factor=1.0):
    return len(response) * factor

def plain(response):
    return float(len(response))

class Exact(RewardFunction):
    def __init__(self, want="a"):
        self.want = want

    def compute_reward(self, trajectory):
        return float(trajectory.response == self.want)

made = Exact("made")
number = 3

class NoReward:
    pass
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "my_rewards.py"
    path.write_text(FILE)
    return str(path)


def spec(**data: Any) -> RewardSpec:
    return RewardSpec.parse({"name": "mine", **data}, source="rewards.yaml")


class TestLoadReward:
    def test_finds_functions_classes_and_made_rewards(self, file: str) -> None:
        assert load_reward(f"{file}::plain")(response="four").score == 4.0
        assert load_reward(f"{file}::decorated", {"factor": 2})(response="four").score == 8.0
        assert load_reward(f"{file}::Exact", {"want": "b"})(response="b").score == 1.0
        assert load_reward(f"{file}::made")(response="made").score == 1.0
        assert isinstance(load_reward("length", {"target": 3}), LengthReward)
        assert isinstance(load_reward("rayreward.rewards:LengthReward", {"target": 3}), LengthReward)

    @pytest.mark.parametrize("name", ["composite", "llm_judge", "reward_model"])
    def test_builtins_that_need_arguments_say_so(self, name: str) -> None:
        with pytest.raises(ConfigError, match=f"'{name}' cannot be made with {{}}"):
            load_reward(name)

    @pytest.mark.parametrize(
        ("where", "args", "reason"),
        [
            ("lenght", {}, "no built-in reward and no address .* did you mean 'length'"),
            ("length", {"tolerence": 3}, "no argument 'tolerence'; did you mean 'tolerance'"),
            ("length", {"target": "200"}, "cannot be made with"),
            ("length", {"target": -1}, "found -1"),
            ("{file}::made", {"want": "x"}, "is made already; it takes no arguments"),
            ("{file}::NoReward", {}, "is a class but no RewardFunction"),
            ("{file}::number", {}, "no function but int"),
            ("{file}::plain", {"factor": 2}, "has no parameter 'factor'"),
        ],
    )
    def test_what_is_no_reward_is_refused(self, file: str, where: str, args: dict[str, Any], reason: str) -> None:
        with pytest.raises(ConfigError, match=reason):
            load_reward(where.format(file=file), args)

    def test_what_is_not_there_cannot_be_loaded(self, file: str) -> None:
        with pytest.raises(RewardLoadError, match="has no 'plian'; did you mean 'plain'"):
            load_reward(f"{file}::plian")


class TestSpec:
    def test_name_isolation_and_deadline_are_the_deployments(self, file: str) -> None:
        reward = spec(import_path=f"{file}::decorated", isolation="process", timeout_s=9, memory_bytes=5).build()
        assert (reward.name, reward.isolation) == ("mine", "process")
        assert (reward.timeout_s, reward.memory_bytes) == (9, 5)
        reward = spec(import_path=f"{file}::decorated").build()
        assert (reward.isolation, reward.timeout_s) == ("inline", 3)

    def test_parts_become_a_composite(self, file: str) -> None:
        reward = spec(
            parts=[
                {"import_path": f"{file}::plain", "weight": 0.5},
                {"builtin": "length", "args": {"target": 1}, "weight": 0.5, "optional": True},
                {"name": "inner", "weight": 0.0, "combine": "max", "parts": [{"import_path": f"{file}::plain"}]},
            ]
        ).build()
        assert isinstance(reward, CompositeReward)
        output = reward(response="a")
        assert output.score == 1.0
        assert list(output.metrics) == ["plain", "length", "inner", "inner/plain"]

    def test_a_reward_that_a_file_made_is_not_changed_by_who_uses_it(self, file: str) -> None:
        before = load_reward(f"{file}::made")
        first = spec(import_path=f"{file}::made", name="first", timeout_s=1).build()
        second = spec(import_path=f"{file}::made", name="second", timeout_s=2).build()
        assert (first.name, second.name) == ("first", "second")
        assert (first.timeout_s, second.timeout_s) == (1, 2)
        assert before.name == RewardFunction.name

    def test_what_cannot_load_is_found_without_loading(self, file: str) -> None:
        spec(import_path=f"{file}::plain").check_loadable()
        for where in (f"{file}::plian", "nowhere.py::plain"):
            with pytest.raises(RewardLoadError):
                spec(import_path=where).check_loadable()
            with pytest.raises(RewardLoadError):
                spec(parts=[{"import_path": where}]).check_loadable()

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            ({}, "needs one of import_path, builtin or parts; found none"),
            ({"builtin": "length", "parts": [{"builtin": "length"}]}, "found builtin and parts"),
            ({"parts": [{"builtin": "length"}], "args": {"target": 3}}, "a composite of parts takes no args"),
            ({"parts": [{"builtin": "length", "wieght": 1}]}, "did you mean 'weight'"),
            ({"builtin": "length", "combine": "sum"}, "combine"),
            ({"name": "-x", "builtin": "length"}, "a reward's name is letters"),
            ({"name": "get_reward", "builtin": "length"}, "no path of the service's own"),
            ({"builtin": "length", "process_count": 0}, "process_count"),
            ({"builtin": "length", "in_router": True, "num_replicas": 1}, "without replicas"),
            ({"builtin": "length", "in_router": True, "isolation": "process"}, "without replicas"),
            ({"builtin": "length", "in_router": True, "prompt_affinity": True}, "no replicas for prompts to belong to"),
        ],
    )
    def test_a_mistake_is_named(self, data: dict[str, Any], reason: str) -> None:
        with pytest.raises(ConfigError, match=reason):
            spec(**data)


def test_every_builtin_is_a_reward() -> None:
    assert all(issubclass(reward, RewardFunction) for reward in BUILTINS.values())


class TestCandidates:
    def test_what_a_candidate_leaves_out_is_the_live_versions(self) -> None:
        live = spec(
            builtin="length", args={"target": 3, "tolerance": 1}, num_replicas=2, timeout_s=5,
            candidate={"args": {"target": 4}, "canary_percent": 10},
        )  # fmt: skip
        other = live.candidate_spec
        assert other is not None
        assert (other.name, other.builtin, other.args) == ("mine", "length", {"target": 4, "tolerance": 1})
        assert (other.num_replicas, other.timeout_s, other.candidate) == (2, 5, None)
        assert other.build().version != live.build().version

    def test_one_with_code_of_its_own_has_its_own_args(self) -> None:
        live = spec(builtin="length", args={"target": 3}, candidate={"builtin": "keyword", "args": {"keywords": ["a"]}})
        assert live.candidate_spec is not None
        assert live.candidate_spec.args == {"keywords": ["a"]}

    def test_a_fixed_number_and_autoscaling_take_each_others_place(self) -> None:
        live = spec(
            builtin="length", args={"target": 3}, num_replicas=2, candidate={"autoscaling_config": {"max_replicas": 3}}
        )
        assert live.candidate_spec is not None
        assert (live.candidate_spec.num_replicas, live.candidate_spec.autoscaling_config) == (None, {"max_replicas": 3})

    def test_a_file_is_found_by_its_full_path_by_both(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        live = spec(import_path="a.py::f", candidate={"import_path": "b.py::f"}).with_absolute_paths()
        inherited = spec(import_path="a.py::f", candidate={"args": {"x": 1}}).with_absolute_paths()
        assert live.candidate_spec is not None
        assert live.candidate_spec.import_path == f"{tmp_path / 'b.py'}::f"
        assert inherited.candidate_spec is not None
        assert inherited.candidate_spec.import_path == f"{tmp_path / 'a.py'}::f"

    @pytest.mark.parametrize(
        ("candidate", "reason"),
        [
            ({}, "the candidate is the live version itself: give it an import_path"),
            ({"canary_percent": 10}, "the candidate is the live version itself"),
            ({"args": {}}, "the candidate is the live version itself"),
            ({"canary_percent": 101, "args": {"target": 2}}, "canary_percent"),
            ({"shadow_percent": -1, "args": {"target": 2}}, "shadow_percent"),
            ({"timeout_s": -1}, "candidate: timeout_s: Input should be greater than 0"),
            ({"builtin": "lenght"}, "unknown builtin 'lenght'; did you mean 'length'"),
            ({"canary": 10}, "unknown key 'candidate.canary'; did you mean 'canary_percent'"),
        ],
    )
    def test_nonsense_is_refused(self, candidate: dict[str, Any], reason: str) -> None:
        for args in ({}, {"args": {}}):
            with pytest.raises(ConfigError) as caught:
                spec(builtin="length", candidate=candidate, **args)
            assert reason in str(caught.value)

    def test_one_that_cannot_load_is_refused_before_anything_starts(self) -> None:
        live = spec(builtin="length", args={"target": 3}, candidate={"args": {"traget": 4}})
        with pytest.raises(ConfigError, match="has no argument 'traget'"):
            live.check_loadable()


def test_arguments_are_laid_over_the_specs_own() -> None:
    live = spec(builtin="length", args={"target": 3, "tolerance": 1}, num_replicas=2)
    assert live.with_args({"target": 4}) == live.model_copy(update={"args": {"target": 4, "tolerance": 1}})
    with pytest.raises(ValueError, match="a composite of parts takes no args"):
        spec(parts=[{"builtin": "length", "args": {"target": 3}}]).with_args({"x": 1})


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"builtin": "reward_model", "args": {"model_path": "m"}}, True),
        ({"builtin": "reward_model", "args": {"model_path": "m"}, "num_replicas": 1}, False),
        ({"builtin": "reward_model", "args": {"model_path": "m"}, "prompt_affinity": False}, False),
        ({"builtin": "reward_model", "args": {"model_path": "m"}, "in_router": True}, False),
        ({"parts": [{"builtin": "length"}, {"builtin": "ensemble", "args": {"members": ["m"]}}]}, True),
        ({"builtin": "length"}, False),
        ({"builtin": "length", "prompt_affinity": True}, True),
    ],
)
def test_prompts_belong_to_replicas_where_a_model_gains_by_it(settings: dict[str, Any], expected: bool) -> None:
    assert spec(**settings).keeps_prompts_together is expected
