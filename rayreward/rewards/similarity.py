"""Responses that read like a reference."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from rayreward.errors import ConfigError, InvalidInputError, shown
from rayreward.function import Isolation, RewardFunction
from rayreward.loading import require_extra
from rayreward.sample import Trajectory
from rayreward.types import RewardOutput

Metric = Literal["ratio", "token_set", "levenshtein", "bleu", "chrf", "rouge1", "rouge2", "rougeL"]

_LIBRARIES = {
    "ratio": "rapidfuzz",
    "token_set": "rapidfuzz",
    "levenshtein": "rapidfuzz",
    "bleu": "sacrebleu",
    "chrf": "sacrebleu",
    "rouge1": "rouge_score",
    "rouge2": "rouge_score",
    "rougeL": "rouge_score",
}

_MAX_REFERENCES = 64


class SimilarityReward(RewardFunction):
    """How alike a response and its reference are; with several references, the most alike. Range [0, 1].

    The label is a text or a list of texts. Cost a pair of 300 characters, and of 20,000:

    | metric | what, by which library | 300 | 20,000 |
    |---|---|---|---|
    | ratio | 1 - insertions and deletions / both lengths (rapidfuzz) | 2 us | 6 ms |
    | levenshtein | 1 - edits / the longer length (rapidfuzz) | 7 us | 10 ms |
    | token_set | words in common, order and repetition ignored (rapidfuzz) | 7 us | 2 ms |
    | bleu | sentence BLEU, effective order (sacrebleu) / 100 | 90 us | 7 ms |
    | chrf | chrF, 6 characters, no words (sacrebleu) / 100 | 0.4 ms | 36 ms |
    | rouge1, rouge2 | F1 of words and of pairs of words, no stemming (rouge-score) | 80 us | 5 ms |
    | rougeL | F1 of the longest common sequence of words (rouge-score's, found by rapidfuzz) | 30 us | 5 ms |

    What games it: token_set is 1 for a reference's words in any noise; BLEU, chrF and ROUGE pay for words, not for
    what they say ("is" and "is not" differ by one). ROUGE sees only letters a to z and digits: 0 for other scripts.

    Args:
        metric: one of the above.
        max_chars: a longer response scores 0, since costs grow with the product of both lengths; a longer reference is
            `invalid_input`.

    Raises:
        ConfigError: an unknown metric, its library is not installed, or a limit below 1.

    Raises (as failures of the sample):
        invalid_input: no reference, one that is no text, or a reference that is too long.

    Example:
        >>> SimilarityReward("ratio")(response="a cat sat", label=["a dog sat", "the cat"]).score > 0.6
        True
    """

    isolation: Isolation = "process"
    deterministic = True
    name = "similarity"

    def __init__(self, metric: Metric = "ratio", *, max_chars: int = 20_000) -> None:
        if metric not in get_args(Metric):
            raise ConfigError(f"SimilarityReward(metric={metric!r}): known are {', '.join(get_args(Metric))}")
        if isinstance(max_chars, bool) or not isinstance(max_chars, int) or max_chars < 1:
            raise ConfigError(f"SimilarityReward(max_chars={max_chars!r}): a number of characters from 1 up")
        for library in {_LIBRARIES[metric], "rapidfuzz"}:
            require_extra(library, "verifiers", asked_by=f"similarity by {metric}")
        self.metric, self.max_chars = metric, max_chars

    def load(self) -> None:
        """Import the metric's library."""
        _measure(self.metric)

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The likeness to the nearest reference."""
        references = self._references(trajectory.label)
        response = trajectory.response
        if len(response) > self.max_chars:
            return RewardOutput(0.0, reason=f"{len(response)} characters: more than {self.max_chars} are not compared")
        measure = _measure(self.metric)
        scores = [measure(response, reference) for reference in references]
        best = max(range(len(scores)), key=scores.__getitem__)
        score = min(1.0, max(0.0, scores[best]))
        return RewardOutput(score, reason=f"{self.metric} {score:.3f} to reference {best + 1} of {len(references)}")

    def _references(self, label: Any) -> Sequence[str]:
        references = [label] if isinstance(label, str) else label
        if (
            not isinstance(references, (list, tuple))
            or not 1 <= len(references) <= _MAX_REFERENCES
            or not all(isinstance(one, str) for one in references)
        ):
            raise InvalidInputError(
                f"similarity needs a label: a text or a list of 1 to {_MAX_REFERENCES} texts, found {shown(label)}"
            )
        longest = max(map(len, references))
        if longest > self.max_chars:
            raise InvalidInputError(f"a reference has {longest} characters: raise max_chars above {self.max_chars}")
        return references


@functools.cache
def _measure(metric: Metric) -> Callable[[str, str], float]:
    """The metric as a function of response and reference, its library imported."""
    if metric in ("bleu", "chrf"):
        return _sacrebleu(metric)
    if metric in ("rouge1", "rouge2", "rougeL"):
        return _rouge(metric)
    from rapidfuzz import fuzz
    from rapidfuzz.distance import Levenshtein

    by_name: dict[str, Callable[[str, str], float]] = {
        "ratio": lambda response, reference: fuzz.ratio(response, reference) / 100,
        "token_set": lambda response, reference: fuzz.token_set_ratio(response, reference) / 100,
        "levenshtein": Levenshtein.normalized_similarity,
    }
    return by_name[metric]


def _sacrebleu(metric: str) -> Callable[[str, str], float]:
    from sacrebleu.metrics import BLEU, CHRF

    scorer = BLEU(effective_order=True) if metric == "bleu" else CHRF()
    return lambda response, reference: float(scorer.sentence_score(response, [reference]).score) / 100


def _rouge(metric: str) -> Callable[[str, str], float]:
    from rapidfuzz.distance import LCSseq
    from rouge_score import rouge_scorer, scoring, tokenizers

    if metric != "rougeL":
        scorer = rouge_scorer.RougeScorer([metric], use_stemmer=False)
        return lambda response, reference: float(scorer.score(reference, response)[metric].fmeasure)
    words = tokenizers.DefaultTokenizer(use_stemmer=False)

    def rouge_l(response: str, reference: str) -> float:
        """rouge-score's own table of the longest common sequence took 1.4 s for 20,000 characters."""
        given, wanted = words.tokenize(response), words.tokenize(reference)
        if not given or not wanted:
            return 0.0
        common = LCSseq.similarity(given, wanted)
        return float(scoring.fmeasure(common / len(given), common / len(wanted)))

    return rouge_l
