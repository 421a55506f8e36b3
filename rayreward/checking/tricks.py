"""Answers that deserve nothing: what a policy tries before it learns to solve anything.

What arrives: samples. What leaves, for each trick, one response a sample, or None where the data lacks what the trick
needs (labels). Pure, and the same every time.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rayreward.sample import Sample

Texts = Callable[[Sequence[Sample]], list[str] | None]

_NOISE = range(1, 41)
"""Numbers around the label: more than any solution lists as its answer."""

_MAX_LISTED = 200
"""Labels in a list of all."""

_MIN_PADDING, _MAX_PADDING = 1_000, 20_000
"""Characters of text that says nothing: twice the longest response, within these."""

_TEMPLATE_SHARE = 0.8
"""Words that so many responses share are their form ("Answer", "Step"), not their content."""


@dataclass(frozen=True)
class Trick:
    """A way to answer without solving.

    Attributes:
        texts: its responses; where there are several ways, the one that earns least counts, sample by sample.
    """

    name: str
    texts: tuple[Texts, ...]

    def __init__(self, name: str, *texts: Texts) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "texts", texts)


def _constant(text: str) -> Texts:
    return lambda samples: [text] * len(samples)


def label_text(label: Any) -> str | None:
    """A label as one would write it; None for one that is no text and no number."""
    if isinstance(label, str):
        return label.strip() or None
    return str(label) if isinstance(label, (int, float)) else None


def labels_of(samples: Sequence[Sample]) -> list[str] | None:
    """One a sample; None where any lacks one."""
    labels = [text for sample in samples if (text := label_text(sample.label)) is not None]
    return labels if labels and len(labels) == len(samples) else None


def most_common_label(samples: Sequence[Sample]) -> list[str] | None:
    """The label that most samples have, for all."""
    labels = labels_of(samples)
    return labels and [Counter(labels).most_common(1)[0][0]] * len(labels)


def responses_of_others(samples: Sequence[Sample]) -> list[str] | None:
    """To each prompt the response to another one."""
    count = len(samples)
    others = [
        next(
            (other for step in range(1, count) if (other := samples[(at + step) % count]).prompt != sample.prompt), None
        )
        for at, sample in enumerate(samples)
    ]
    if any(other is None for other in others):
        return None
    return [other.response for other in others if other is not None]


def prompts(samples: Sequence[Sample]) -> list[str] | None:
    """The prompt again."""
    return [sample.prompt for sample in samples] if all(sample.prompt for sample in samples) else None


def padding(samples: Sequence[Sample]) -> list[str]:
    """As long as the longest response, without a word about anything."""
    size = min(_MAX_PADDING, max(_MIN_PADDING, *(2 * len(sample.response) for sample in samples)))
    text = "Let us think about this step by step, and then think about it again. "
    return [(text * (size // len(text) + 1))[:size]] * len(samples)


def label_in_noise(samples: Sequence[Sample]) -> list[str] | None:
    """The label between many other numbers."""
    labels, half = labels_of(samples), len(_NOISE) // 2
    numbers = [str(number) for number in _NOISE]
    return labels and [", ".join([*numbers[:half], label, *numbers[half:]]) for label in labels]


def all_labels(samples: Sequence[Sample]) -> list[str] | None:
    """Every label of the data, for all."""
    labels = labels_of(samples)
    return labels and [", ".join(list(dict.fromkeys(labels))[:_MAX_LISTED])] * len(labels)


def hedged(template: str) -> Texts:
    """Two answers, the right one among them; `template` has `right` and `wrong`."""

    def texts(samples: Sequence[Sample]) -> list[str] | None:
        labels = labels_of(samples)
        return labels and [template % {"right": label, "wrong": _other(labels, at)} for at, label in enumerate(labels)]

    return texts


def _other(labels: Sequence[str], at: int) -> str:
    rest = (*labels[at + 1 :], *labels[:at])
    return next((label for label in rest if label != labels[at]), f"not {labels[at]}")


_KEPT = re.compile(r"</?[A-Za-z][^<>\n]{0,40}>|\\[A-Za-z]+|\w+")
"""Tags and LaTeX commands, which are form; and words, which may be content."""


def form_only(samples: Sequence[Sample]) -> list[str]:
    """Tags, Markdown, LaTeX, punctuation, lengths and the template's words; other words and all digits blotted out.

    Example:
        >>> form_only([Sample(response="<answer>**Paris**, 75</answer>")])
        ['<answer>**xxxxx**, 00</answer>']
    """
    responses = [sample.response for sample in samples]
    counts = Counter(word for response in responses for word in set(re.findall(r"[^\W\d_]+", response)))
    template = {
        word for word, count in counts.items() if len(responses) >= 5 and count >= _TEMPLATE_SHARE * len(responses)
    }

    def blotted(found: re.Match[str]) -> str:
        text = found.group()
        if text[0] in "<\\" or text in template:
            return text
        return "".join("0" if char.isdigit() else "x" for char in text)

    return [_KEPT.sub(blotted, response) for response in responses]


TRICKS: tuple[Trick, ...] = (
    Trick("empty", _constant("")),
    Trick("white space", _constant("\n \n")),
    Trick('always "0"', _constant("0")),
    Trick('always "I don\'t know"', _constant("I don't know")),
    Trick("always the most common label", most_common_label),
    Trick("another sample's response", responses_of_others),
    Trick("the prompt again", prompts),
    Trick("a long text that says nothing", padding),
    Trick("the response's form without its content", form_only),
    Trick("the label among 40 numbers", label_in_noise),
    Trick("all labels of the data", all_labels),
    # A grader that reads the last number pays for one of the two orders, which is worth no more than a guess. Hedging
    # pays where both do.
    Trick(
        "two answers: A or B",
        hedged("The answer is %(right)s or %(wrong)s"),
        hedged("The answer is %(wrong)s or %(right)s"),
    ),
    Trick(
        "two answers in a box",
        hedged(r"\boxed{%(right)s \text{ or } %(wrong)s}"),
        hedged(r"\boxed{%(wrong)s \text{ or } %(right)s}"),
    ),
)
