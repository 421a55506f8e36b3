"""The padded backend against each model's own class, one text at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rayreward import Sample
from rayreward.errors import InvalidInputError, InvalidOutputError, RewardLoadError
from rayreward.models.building import build_backend, build_template
from rayreward.models.encoder_head import EncoderHead, WholeModel
from rayreward.models.heads import LinearHead
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.padded import PaddedBackend
from rayreward.models.settings import ModelSettings
from tests.models.checkpoints import ENCODER_TOKENS, deberta_config, make_llama, make_words
from tests.models.tiny import WORDS

PAIRS = [
    ("what is two", "four"), ("", "it is four"), ("a b c", "d e f g h " * 4), ("it", "a"), ("h g f", "what is two"),
    ("what is two", "it is two a"), ("a", "b c d e f g"),
]  # fmt: skip
SIZES = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 64, "initializer_range": 0.5, "num_labels": 1,
}  # fmt: skip


def config_of(kind: str, vocabulary: int, **options: Any) -> Any:
    import transformers

    if kind == "deberta-v2":
        return deberta_config(vocabulary, **options)
    if kind == "distilbert":
        sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64,
                 "initializer_range": 0.5, "num_labels": 1, "pad_token_id": 1, **options}  # fmt: skip
        return transformers.DistilBertConfig(vocab_size=vocabulary, **sizes)
    made = {
        "bert": transformers.BertConfig, "roberta": transformers.RobertaConfig, "electra": transformers.ElectraConfig,
        "modernbert": transformers.ModernBertConfig, "deberta": transformers.DebertaConfig,
        "mpnet": transformers.MPNetConfig,
    }[kind]  # fmt: skip
    if kind == "electra":
        options = {"embedding_size": 16, **options}
    if kind == "deberta":
        options = {"relative_attention": True, "pos_att_type": "p2c|c2p", "position_biased_input": False, **options}
    if kind == "modernbert":
        options = {"local_attention": 8, "cls_token_id": 2, "sep_token_id": 3, **options}
    return made(vocab_size=vocabulary, **{**SIZES, "pad_token_id": 1, **options})


def make(folder: Path, kind: str, **options: Any) -> Path:
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    torch.set_num_threads(1)
    special = ("[UNK]", "[PAD]", *ENCODER_TOKENS[2:])
    named = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"}
    tokenizer = make_words(folder, special=special, words=WORDS, wraps=True, **named)
    config = config_of(kind, len(tokenizer), **options)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


def own_scores(folder: Path) -> list[float]:
    """By the model's own class: one pair a forward, nothing padded."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for prompt, response in PAIRS:
        inputs = dict(tokenizer(*((prompt, response) if prompt else (response,)), return_tensors="pt"))
        if model.config.model_type in ("distilbert", "modernbert", "mpnet", "roberta"):
            inputs.pop("token_type_ids")
        with torch.no_grad():
            found.append(float(model(**inputs).logits[0, 0]))
    return found


def units_of(folder: Path, **options: Any) -> list[ModelInput]:
    template = build_template(ModelSettings(str(folder), **options))
    return [template.encode(Sample(prompt=prompt, response=response)) for prompt, response in PAIRS]


def without_segments(units: list[ModelInput]) -> list[ModelInput]:
    return [ModelInput(unit.ids, marks=unit.marks) for unit in units]


def loaded(folder: Path, **options: Any) -> PaddedBackend:
    backend = build_backend(ModelSettings(str(folder), backend="padded", **options))
    backend.load()
    chosen = backend.chosen  # type: ignore[attr-defined]
    assert isinstance(chosen, PaddedBackend)
    return chosen


def scores_of(backend: PaddedBackend, units: list[ModelInput]) -> list[float]:
    answers = backend.score(units)
    scores = [answer.score for answer in answers if isinstance(answer, Reading)]
    assert len(scores) == len(units), answers
    return scores


def sharing(backend: PaddedBackend) -> PaddedBackend:
    """The same with rows of 512, whatever would cost least."""
    backend._row_tokens = backend._capacity_tokens = 512
    return backend


@pytest.mark.parametrize(
    ("kind", "options", "shares"),
    [
        ("deberta-v2", {}, True),
        ("deberta-v2", {"position_biased_input": True, "type_vocab_size": 2}, True),
        ("deberta-v2", {"conv_kernel_size": 3}, False),
        ("deberta", {}, True),
        ("bert", {}, True),
        ("electra", {}, True),
        ("roberta", {"type_vocab_size": 1}, True),
        ("distilbert", {}, False),
        ("modernbert", {}, False),
        ("modernbert", {"classifier_pooling": "mean"}, False),
        ("mpnet", {}, False),
    ],
    ids=str,
)
def test_scores_are_those_of_the_models_own_class(
    tmp_path: Path, kind: str, options: dict[str, Any], shares: bool
) -> None:
    folder = make(tmp_path, kind, **options)
    backend, units = sharing(loaded(folder)), units_of(folder)
    if kind == "roberta":
        units = without_segments(units)
    assert backend.shares_rows == shares
    readings = backend.score(units)
    scores = [reading.score for reading in readings if isinstance(reading, Reading)]
    assert scores == pytest.approx(own_scores(folder), abs=1e-4)
    computed = sum(reading.computed_tokens for reading in readings if isinstance(reading, Reading))
    real = sum(len(unit.ids) for unit in units)
    assert computed == real if shares else computed > real  # all of these fit into one row
    alone = [backend.score([unit])[0] for unit in units]
    assert [one.score for one in alone if isinstance(one, Reading)] == pytest.approx(scores, rel=1e-5, abs=1e-5)


def test_segments_are_read(tmp_path: Path) -> None:
    folder = make(tmp_path, "bert")
    backend, units = loaded(folder), units_of(folder)
    assert units[0].segments[-1] == 1
    [kept] = backend.score(units[:1])
    [dropped] = backend.score(without_segments(units[:1]))
    assert isinstance(kept, Reading)
    assert isinstance(dropped, Reading)
    assert kept.score != pytest.approx(dropped.score, abs=1e-3)


def test_heads_stay_in_fp32_where_the_trunk_does_not(tmp_path: Path) -> None:
    folder = make(tmp_path, "deberta-v2")
    units = units_of(folder)
    exact, rough = (scores_of(loaded(folder, dtype=dtype), units) for dtype in ("float32", "bfloat16"))
    assert rough == pytest.approx(exact, abs=0.2)
    assert rough != exact
    assert any(float(torch.tensor(score).bfloat16()) != score for score in rough)


def test_steps_of_any_budget_give_the_same_scores(tmp_path: Path) -> None:
    folder = make(tmp_path, "deberta-v2")
    units = units_of(folder)
    expected = scores_of(loaded(folder), units)
    for budget in (1, 20, 60):
        assert scores_of(loaded(folder, max_step_tokens=budget), units) == pytest.approx(expected, abs=1e-5)
        assert scores_of(sharing(loaded(folder, max_step_tokens=budget)), units) == pytest.approx(expected, abs=1e-5)


def test_long_prompts_lose_their_oldest_tokens_and_keep_the_special_ones(tmp_path: Path) -> None:
    folder = make(tmp_path, "deberta-v2")
    template = build_template(ModelSettings(str(folder), max_length=10))
    made = template.encode(Sample(prompt="a b c d e f g h", response="it is four"))
    names = ["[CLS]", "f", "g", "h", "[SEP]", "it", "is", "four", "[SEP]"]
    from transformers import AutoTokenizer

    assert AutoTokenizer.from_pretrained(folder).convert_ids_to_tokens(list(made.ids)) == ["[CLS]", "e", *names[1:]]
    assert (made.truncated_tokens, len(made.segments)) == (4, 10)
    with pytest.raises(InvalidInputError, match=r"the response alone has 13 tokens .* and the model reads 10"):
        template.encode(Sample(prompt="a", response="b " * 10))
    cut = build_template(ModelSettings(str(folder), max_length=10, too_long="cut"))
    assert cut.encode(Sample(prompt="a", response="b " * 9 + "four")).ids[-2] == made.ids[-2]
    with pytest.raises(InvalidInputError, match="no token to score"):
        template.encode(Sample(response=""))


class Trunk(torch.nn.Module):
    """A trunk that fails as devices do: `fails` is asked before each forward."""

    def __init__(self, fails: Callable[[Any], None]) -> None:
        super().__init__()
        self._trunk, self._fails, self.widths = make_llama(20), fails, list[int]()
        self.config, self.dtype = self._trunk.config, torch.float32

    def get_input_embeddings(self) -> Any:
        return self._trunk.get_input_embeddings()

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        self._fails(input_ids)
        self.widths.append(input_ids.numel())
        return self._trunk(input_ids=input_ids, attention_mask=attention_mask)


def failing(fails: Callable[[Any], None], **options: Any) -> tuple[Trunk, PaddedBackend]:
    trunk = Trunk(fails)
    backend = PaddedBackend(lambda: (trunk, LinearHead(torch.ones(1, 16))), device="cpu", **options)
    backend.load()
    return trunk, backend


UNITS = [ModelInput(tuple(range(1, 1 + count))) for count in (3, 9, 5, 8, 2, 7)]


class TestFailures:
    def test_a_device_with_little_memory_gets_smaller_steps_for_good(self, caplog: pytest.LogCaptureFixture) -> None:
        def fails(ids: Any) -> None:
            if ids.numel() > 20:
                raise torch.OutOfMemoryError("CUDA out of memory.")

        _, roomy = failing(lambda _ids: None)
        trunk, backend = failing(fails, max_step_tokens=100)
        with caplog.at_level(logging.WARNING):
            answers = backend.score(UNITS)
        expected = [one.score for one in roomy.score(UNITS) if isinstance(one, Reading)]
        assert [one.score for one in answers if isinstance(one, Reading)] == pytest.approx(expected, abs=1e-5)
        assert backend.max_step_tokens <= 27
        assert "ran out of memory: steps carry at most 27 tokens from now on (before: 100)" in caplog.text
        caplog.clear()
        trunk.widths.clear()
        backend.score(UNITS)
        assert "out of memory" not in caplog.text

    def test_a_unit_that_does_not_fit_alone_fails_alone(self) -> None:
        def fails(ids: Any) -> None:
            if ids.shape[1] > 8:
                raise torch.OutOfMemoryError("CUDA out of memory.")

        _, backend = failing(fails)
        answers = backend.score(UNITS)
        assert [isinstance(one, Reading) for one in answers] == [True, False, True, True, True, True]
        assert "a unit of 9 tokens does not fit on the device" in str(answers[1])

    def test_a_unit_that_breaks_the_model_fails_alone(self) -> None:
        def fails(ids: Any) -> None:
            if (ids == 9).any():
                raise ValueError("nine")

        _, backend = failing(fails)
        answers = backend.score(UNITS)
        assert [isinstance(one, Reading) for one in answers] == [True, False, True, True, True, True]
        assert str(answers[1]) == "nine"

    def test_a_model_that_is_lost_says_so(self) -> None:
        def fails(ids: Any) -> None:
            if is_lost:
                raise RuntimeError("CUDA error: an illegal memory access was encountered")

        is_lost = False
        _, backend = failing(fails)
        is_lost = True
        with pytest.raises(RuntimeError, match="illegal memory access"):
            backend.score(UNITS)

    def test_what_is_no_input_or_no_number_fails_alone(self) -> None:
        trunk, backend = failing(lambda _ids: None, max_length=8)
        trunk.get_input_embeddings().weight[7] = float("nan")
        answers = backend.score([*UNITS, ModelInput(()), ModelInput((1, 99))])
        assert [type(one) for one in answers] == [
            Reading, InvalidInputError, Reading, InvalidOutputError, Reading, InvalidOutputError,
            InvalidInputError, InvalidInputError,
        ]  # fmt: skip

    def test_before_loading_there_is_nothing_to_ask(self) -> None:
        backend = PaddedBackend(lambda: (None, LinearHead(torch.ones(1, 16))))
        with pytest.raises(RewardLoadError, match=r"not loaded: call load\(\)"):
            backend.score(UNITS)


def test_only_heads_that_were_read_are_taken_apart(tmp_path: Path) -> None:
    from rayreward.models.checkpoint import read_checkpoint
    from rayreward.models.families import recognise
    from rayreward.models.model_loading import load_model

    for kind, options, is_whole in (("modernbert", {}, False), ("modernbert", {"classifier_pooling": "mean"}, True)):
        folder = make(tmp_path / str(is_whole), kind, **options)
        settings = ModelSettings(str(folder))
        checkpoint = read_checkpoint(str(folder))
        trunk, head = load_model(checkpoint, recognise(checkpoint, settings), settings)
        assert isinstance(trunk, WholeModel) == is_whole
        assert isinstance(head, EncoderHead) != is_whole
