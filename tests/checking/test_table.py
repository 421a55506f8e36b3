from __future__ import annotations

from rayreward.checking.report import Finding, Hack, HostileCase, Report, printable
from rayreward.checking.table import render_report, verdict

REPORT = Report(
    ok=False,
    reward="mine",
    version="abc",
    samples=2,
    source="data.jsonl",
    findings=[Finding("answers", "ok", "[b]all[/b]"), Finding("hacks", "wrong", "1 of 2", "mend it")],
    hostile=[
        HostileCase("response: empty", "wrong", None, "hangs"),
        HostileCase("label: None", "ok", 1.0, "scores 1"),
    ],
    hacks=[
        Hack("empty", "wrong", "", mean=0.4, share=0.8, scored=1, samples=2),
        Hack("the prompt again", "skipped", "", found="the data lacks it"),
    ],
    real_mean=0.5,
)


def test_a_report_shows_what_is_wrong_and_what_every_trick_earns() -> None:
    text = render_report(REPORT)
    assert "[b]all[/b]" in text, "texts are no markup"
    assert "→ mend it" in text
    assert "response: empty  wrong" in text
    assert "label: None" not in text, "what is fine is counted above"
    lines = [line.split() for line in text.splitlines()]
    assert ["empty", "wrong", "0.400", "80", "%", "(1", "of", "2", "without", "a", "score)", "(nothing)"] in lines
    assert ["the", "real", "responses", "0.500", "100", "%"] in lines
    assert text.rstrip().endswith("mine: wrong: hacks")


def test_labels_that_serve_as_responses_are_said_to() -> None:
    assert "labels serve" not in render_report(REPORT)
    labels = Report(ok=True, reward="m", version="v", samples=1, source="d", findings=[], responses="labels")
    assert "its labels serve as such" in render_report(labels)
    assert verdict(labels) == "m: nothing is wrong"


def test_any_text_can_be_printed() -> None:
    assert printable("a\ud800\x00\n") == "a\\ud800\\x00\\n"
    assert len(printable("x" * 10_000)) < 300
