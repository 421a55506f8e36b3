import json
from pathlib import Path

import pytest

from rayreward.jobs.preflight.probes import INVENTED, Probe, Verdict, ask_warm, build_probes, judge
from tests.jobs.conftest import build_spec

REAL = [Probe("2 + 2?", "4", "4"), Probe("2 + 2?", "I do not know.", "4")]


def told(*verdicts: Verdict, probes: list[Probe] | None = None) -> list[tuple[str, bool]]:
    findings = judge("the reward", probes or REAL, verdicts, (-10.0, 10.0))
    return [(finding.found, finding.is_warning) for finding in findings]


def scored(score: float, elapsed_s: float = 0.1) -> Verdict:
    return Verdict(score, None, elapsed_s)


def failed(problem: str) -> Verdict:
    return Verdict(None, problem, 0.1)


def test_probes_are_prompts_with_their_labels_and_one_wrong_answer(prompts: Path) -> None:
    probes = build_probes(build_spec(data={"prompts": str(prompts), "label_key": "label"}))

    assert [(probe.prompt, probe.response, probe.label) for probe in probes] == [
        ("0 + 1 = ?", "1", "1"),
        ("1 + 1 = ?", "2", "2"),
        ("2 + 1 = ?", "3", "3"),
        ("0 + 1 = ?", "I do not know.", "1"),
    ]
    assert probes[0].as_request == {"query": ["0 + 1 = ?1"], "prompts": ["0 + 1 = ?"], "labels": ["1"]}


def test_the_prompt_of_a_chat_is_its_last_message_and_labels_may_be_anything(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"input": chat, "label": {"answer": 4}}))

    data = {"prompts": str(path), "label_key": "label", "apply_chat_template": True}
    probe, _ = build_probes(build_spec(data=data))

    assert (probe.prompt, probe.response, probe.label) == ("hello", '{"answer": 4}', {"answer": 4})


def test_without_labels_the_answers_differ_all_the_same(prompts: Path) -> None:
    probes = build_probes(build_spec(data={"prompts": str(prompts)}))

    assert len({probe.response for probe in probes}) == 4
    assert probes[0].as_request["labels"] == [""]


def test_prompts_that_nobody_can_read_here_are_stood_in_for() -> None:
    assert all(probe.is_invented for probe in build_probes(build_spec(data={"prompts": "owner/name"})))


def test_a_reward_that_tells_right_from_wrong_has_no_findings() -> None:
    assert told(scored(1.0), scored(0.0)) == []


def test_a_reward_that_fails_on_everything_is_an_error_with_its_reasons() -> None:
    ((found, is_warning),) = told(failed("error: KeyError"), failed("timeout: 30 s"), failed("error: KeyError"))

    assert found == "the reward scored none of 3 real prompts: error: KeyError; timeout: 30 s"
    assert not is_warning


def test_a_reward_that_fails_on_invented_prompts_may_need_their_labels() -> None:
    ((found, is_warning),) = told(failed("error: no label"), probes=[*INVENTED])

    assert "1 invented prompts" in found
    assert is_warning


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((scored(1.0), failed("error: odd")), "failed on 1 of 2 real prompts: error: odd"),
        ((scored(0.5), scored(0.5)), "scored all 2 probes with 0.5, a wrong answer among them"),
        ((scored(100.0), scored(0.0)), "scored 100, and the trainer cuts scores to -10..10"),
        ((scored(1.0, 7.5), scored(0.0)), "took 7.5 s for a handful of samples"),
    ],
)
def test_what_is_hardly_meant_so_is_a_warning(verdicts: tuple[Verdict, ...], expected: str) -> None:
    ((found, is_warning),) = told(*verdicts)

    assert expected in found
    assert is_warning


def test_a_score_beyond_all_measure_is_an_error() -> None:
    ((found, is_warning),) = told(scored(-2e6), scored(0.0))

    assert "scored a sample with -2e+06" in found
    assert not is_warning


def test_a_reward_that_had_to_wake_up_is_asked_once_more() -> None:
    answers = [[scored(1.0, 20.0)], [scored(1.0, 0.1)]]

    assert ask_warm(lambda: answers.pop(0)) == [scored(1.0, 0.1)]
    assert ask_warm(lambda: [scored(1.0, 0.2)]) == [scored(1.0, 0.2)]
