from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rayreward import Sample
from rayreward.errors import ConfigError, InvalidInputError, RewardLoadError
from rayreward.models.building import build_template
from rayreward.models.settings import ModelSettings
from rayreward.models.template import RewardTemplate
from rayreward.models.tokenising import Rules, Tokens, last_id
from tests.models.checkpoints import (
    CHATML_TEMPLATE,
    LLAMA3_TEMPLATE,
    make_chatml_words,
    make_llama3_words,
    make_scored,
    make_words,
)

CHAT = [
    {"role": "system", "content": "a b"},
    {"role": "user", "content": "what is two"},
    {"role": "assistant", "content": "it is four"},
]


@pytest.fixture(scope="module")
def llama3(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_llama3_words(tmp_path_factory.mktemp("llama3"))


@pytest.fixture(scope="module")
def chatml(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make_chatml_words(tmp_path_factory.mktemp("chatml"))


def template(tokenizer: Any, *, limit_tokens: int = 100, **rules: Any) -> RewardTemplate:
    return RewardTemplate(Tokens(tokenizer, Rules(limit_tokens, **{"chat_template": tokenizer.chat_template, **rules})))


def words(tokenizer: Any, ids: Any) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(list(ids))).replace("\n", "⏎")


def refusal(made: RewardTemplate, *args: Any, **sample: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        made.encode(Sample(*args, **sample))
    return str(caught.value)


class TestChats:
    def test_a_chat_is_the_ids_that_transformers_makes_of_it(self, llama3: Any) -> None:
        made = template(llama3).encode(Sample(CHAT))
        assert list(made.ids) == llama3.apply_chat_template(CHAT)["input_ids"]

    def test_bos_is_there_once_even_where_the_tokenizer_adds_one(self, tmp_path: Path) -> None:
        tokenizer = make_llama3_words(tmp_path, adds_bos=True)
        assert tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
        ids = template(tokenizer).encode(Sample(CHAT)).ids
        assert ids.count(tokenizer.bos_token_id) == 1
        doubled = template(tokenizer, chat_template="{{ bos_token }}" + LLAMA3_TEMPLATE)
        assert doubled.encode(Sample(CHAT)).ids == ids

    def test_the_prefix_is_the_prompt_with_the_answers_beginning(self, llama3: Any) -> None:
        made = template(llama3).encode(Sample(CHAT))
        assert words(llama3, made.ids[made.prefix_tokens :]) == "it is four <|eot_id|>"
        assert words(llama3, made.ids[: made.prefix_tokens]).endswith("assistant <|end_header_id|> ⏎⏎")

    def test_siblings_share_it(self, llama3: Any) -> None:
        made = template(llama3)
        units = [made.encode(Sample(prompt="what is two", response=text)) for text in ("four", "it is", "a")]
        assert len({unit.ids[: unit.prefix_tokens] for unit in units}) == 1

    def test_a_template_that_writes_the_prompt_otherwise_shares_less(self, llama3: Any) -> None:
        backwards = "{% for m in messages | reverse %}{{ m['content'] }} {% endfor %}"
        made = template(llama3, chat_template=backwards).encode(Sample(prompt="a b", response="c"))
        assert (words(llama3, made.ids), made.prefix_tokens) == ("c a b", 0)

    def test_special_tokens_that_a_text_spells_are_read_as_such(self, llama3: Any) -> None:
        """As by transformers' own `apply_chat_template`, and so by those who trained the model."""
        chat = [CHAT[1], {"role": "assistant", "content": "it <|eot_id|> four"}]
        made = template(llama3).encode(Sample(chat))
        assert list(made.ids) == llama3.apply_chat_template(chat)["input_ids"]
        assert made.ids[made.prefix_tokens :].count(llama3.eos_token_id) == 2

    def test_parts_of_text_are_read_as_text(self, llama3: Any) -> None:
        parts = [
            {"role": "assistant", "content": [{"type": "text", "text": "it is"}, {"type": "text", "text": " four"}]}
        ]
        assert "it is four" in words(llama3, template(llama3).encode(Sample(parts)).ids)

    def test_an_empty_response_is_scored_as_one(self, llama3: Any) -> None:
        made = template(llama3).encode(Sample(prompt="what is two", response=""))
        assert words(llama3, made.ids).endswith("⏎⏎ <|eot_id|>")

    def test_threads_share_a_template_whose_tokenizer_would_cut(self, tmp_path: Path) -> None:
        folder = make_scored(tmp_path)
        tokenizer = make_llama3_words(folder)
        tokenizer.backend_tokenizer.enable_truncation(4)
        tokenizer.save_pretrained(folder)
        made = build_template(ModelSettings(str(folder)))
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda _: made.encode(Sample(CHAT)).ids, range(64)))
        assert found == {tuple(llama3_ids(folder))}


def llama3_ids(folder: Path) -> list[int]:
    ids: list[int] = make_llama3_words(folder).apply_chat_template(CHAT)["input_ids"]
    return ids


class TestRefusals:
    def test_what_it_cannot_read_fails_that_sample(self, llama3: Any) -> None:
        made = template(llama3)
        picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "…"}}]}, CHAT[2]]
        assert refusal(made, picture) == "the reward model reads text only, found a part of type 'image_url'"
        robot = [{"role": "robot", "content": "a"}, CHAT[2]]
        assert "messages[0] has the role 'robot'; known are assistant, developer" in refusal(made, robot)
        unanswered = "scored by the assistant's response that ends it, found a message of the role 'user' there"
        assert unanswered in refusal(made, CHAT[:2])

    def test_what_a_template_raises_is_told(self, chatml: Any) -> None:
        tools = [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}, CHAT[2]]
        assert refusal(template(chatml), tools) == (
            "the chat template refuses a conversation of the roles user, tool: no tools here"
        )

    def test_half_of_a_surrogate_pair_is_no_text(self, llama3: Any) -> None:
        for text in (
            {"response": "it \ud800"},
            {"prompt": "\udfff", "response": "it"},
            {"response": "", "metadata": {"query": "\ud800"}},
        ):
            assert "half of a surrogate pair" in refusal(template(llama3), **text)

    def test_ids_that_are_no_numbers_are_told(self, llama3: Any) -> None:
        found = refusal(template(llama3), prompt="what", response="it", token_ids=["a", 1.5])
        assert found == "token_ids must be whole numbers, found ('a', 1.5)"

    def test_nothing_is_no_text(self, llama3: Any) -> None:
        plain = template(llama3, chat_template=None)
        assert refusal(plain, response="") == "the sample's text has no token to score"
        assert refusal(plain, response="x", metadata={"query": ""}) == "the sample's text has no token to score"


class TestTrainersTexts:
    def test_are_taken_as_they_are(self, llama3: Any) -> None:
        query = "<|begin_of_text|> what is two four <|eot_id|> <|eot_id|>"
        made = template(llama3).encode(Sample(prompt="x", response="y", metadata={"query": query}))
        assert list(made.ids) == llama3(query, add_special_tokens=False)["input_ids"]
        assert made.prefix_tokens == 0

    def test_know_their_response_where_their_prompt_begins_them(self, llama3: Any) -> None:
        prompt = "<|begin_of_text|> what is two"
        made = template(llama3).encode(Sample(prompt=prompt, response="four", metadata={"query": f"{prompt} four"}))
        assert words(llama3, made.ids[made.prefix_tokens :]) == "four"

    def test_lose_a_doubled_bos(self, llama3: Any) -> None:
        made = template(llama3).encode(Sample(response="", metadata={"query": "<|begin_of_text|>" * 3 + "a b"}))
        assert words(llama3, made.ids) == "<|begin_of_text|> a b"


class TestTheEnd:
    """What OpenRLHF's training data end in, and what others' do."""

    def test_openrlhf_drops_line_ends_and_appends_what_is_missing(self, chatml: Any) -> None:
        made = template(chatml, eos="openrlhf")
        closed = made.encode(Sample(CHAT))
        assert words(chatml, closed.ids[-2:]) == "four <|im_end|>"
        cut = made.encode(Sample(response="", metadata={"query": "<|im_start|> assistant\n it is\n\n"}))
        assert words(chatml, cut.ids) == "<|im_start|> assistant ⏎ it is <|im_end|>"

    def test_others_read_what_the_template_writes(self, chatml: Any) -> None:
        assert words(chatml, template(chatml).encode(Sample(CHAT)).ids[-2:]) == "<|im_end|> ⏎"
        cut = template(chatml).encode(Sample(response="", metadata={"query": "it is"}))
        assert words(chatml, cut.ids) == "it is"

    def test_ensuring_adds_it_once(self, llama3: Any) -> None:
        made = template(llama3, eos="ensured", chat_template=None)
        assert words(llama3, made.encode(Sample(response="it is")).ids) == "it is <|eot_id|>"
        assert words(llama3, made.encode(Sample(response="it is <|eot_id|>")).ids) == "it is <|eot_id|>"

    @pytest.mark.parametrize(
        ("checkpoint", "setting", "expected"),
        [
            ({}, "auto", "it is"),
            ({"normalize_reward": True}, "auto", "it is <|eot_id|>"),
            ({"normalize_reward": True}, False, "it is"),
            ({}, True, "it is <|eot_id|>"),
        ],
    )
    def test_auto_goes_by_who_trained_it(
        self, tmp_path: Path, checkpoint: dict[str, Any], setting: Any, expected: str
    ) -> None:
        settings = ModelSettings(str(make_scored(tmp_path, **checkpoint)), appends_eos=setting)
        made = build_template(settings).encode(Sample(response="", metadata={"query": "it is"}))
        tokenizer = make_llama3_words(tmp_path)
        assert words(tokenizer, made.ids) == expected


class TestTokenIds:
    def test_are_read_as_they_are_where_they_spell_the_response(self, llama3: Any) -> None:
        ids = llama3("it is four <|eot_id|>", add_special_tokens=False)["input_ids"]
        by_text = template(llama3).encode(Sample(prompt="what is two", response="it is four"))
        assert template(llama3).encode(Sample(prompt="what is two", response="it is four", token_ids=ids)) == by_text
        unfinished = Sample(prompt="what is two", response="it is four", token_ids=ids[:-1])
        assert template(llama3).encode(unfinished) == by_text

    def test_their_own_tokens_stay(self, llama3: Any) -> None:
        """Another way to spell the same text: what the policy sampled is not what its text is tokenised to."""
        ids = llama3("it is four", add_special_tokens=False)["input_ids"]
        unusual = [ids[0], llama3.pad_token_id, *ids[1:]]  # a special token between them is no text
        made = template(llama3).encode(Sample(prompt="what is two", response="it is four", token_ids=unusual))
        assert words(llama3, made.ids[made.prefix_tokens :]) == "it <|eot_id|> is four <|eot_id|>"

    def test_the_template_closes_them_as_it_closes_texts(self, chatml: Any) -> None:
        ids = chatml("it is four <|im_end|>", add_special_tokens=False)["input_ids"]
        sample = Sample(prompt="what is two", response="it is four", token_ids=ids)
        assert words(chatml, template(chatml).encode(sample).ids[-3:]) == "four <|im_end|> ⏎"
        assert words(chatml, template(chatml, eos="openrlhf").encode(sample).ids[-2:]) == "four <|im_end|>"

    def test_another_tokenizers_are_left_alone(self, llama3: Any) -> None:
        by_text = template(llama3).encode(Sample(prompt="what is two", response="it is four"))
        for foreign in ([9, 9, 9], [1_000_000], [-1]):
            sample = Sample(prompt="what is two", response="it is four", token_ids=foreign)
            assert template(llama3).encode(sample) == by_text


class TestTooLong:
    def test_the_prompts_oldest_tokens_go_and_bos_stays(self, llama3: Any) -> None:
        whole = template(llama3).encode(Sample(CHAT))
        made = template(llama3, limit_tokens=12).encode(Sample(CHAT))
        assert (len(made.ids), made.truncated_tokens) == (12, len(whole.ids) - 12)
        assert made.ids == (whole.ids[0], *whole.ids[-11:])
        assert words(llama3, made.ids[made.prefix_tokens :]) == "it is four <|eot_id|>"

    def test_a_response_that_is_too_long_alone_is_refused(self, llama3: Any) -> None:
        message = refusal(template(llama3, limit_tokens=8), prompt="what is two", response="it is four " * 4)
        assert message.startswith("the response alone has 14 tokens with its special ones, and the model reads 8:")
        assert "too_long='cut'" in message

    def test_or_loses_its_beginning_where_that_was_asked_for(self, llama3: Any) -> None:
        made = template(llama3, limit_tokens=8, cuts_response=True)
        found = made.encode(Sample(prompt="what is two", response="it is four " * 4))
        assert words(llama3, found.ids) == "<|begin_of_text|> it is four it is four <|eot_id|>"
        assert found.prefix_tokens <= 1

    def test_the_tail_survives_whatever_the_limit(self, llama3: Any) -> None:
        whole = len(template(llama3).encode(Sample(CHAT)).ids)
        for limit in range(5, whole + 2):
            found = template(llama3, limit_tokens=limit).encode(Sample(CHAT))
            assert words(llama3, found.ids[-4:]) == "it is four <|eot_id|>"
            assert (len(found.ids), found.truncated_tokens) == (min(limit, whole), max(whole - limit, 0))


class TestBuilding:
    def test_limits_are_the_least_of_all(self, tmp_path: Path) -> None:
        folder = make_scored(tmp_path)
        long = {"prompt": "a " * 300, "response": "b"}
        for max_length, expected in ((4096, 128), (50, 50)):
            made = build_template(ModelSettings(str(folder), max_length=max_length)).encode(Sample(**long))
            assert len(made.ids) == expected

    def test_a_tokenizers_limit_that_is_no_number_is_refused(self, tmp_path: Path) -> None:
        folder = make_scored(tmp_path)
        found = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps(found | {"model_max_length": "12"}))
        with pytest.raises(RewardLoadError, match="model_max_length='12', no number"):
            build_template(ModelSettings(str(folder)))

    def test_a_chat_model_without_a_template_is_refused_at_load(self, tmp_path: Path) -> None:
        folder = make_scored(tmp_path)
        make_words(folder, special=["<|eot_id|>"], eos_token="<|eot_id|>")
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        with pytest.raises(RewardLoadError, match=r"has no chat template, so it is not known how .*'plain' where"):
            build_template(ModelSettings(str(folder)))
        plain = build_template(ModelSettings(str(folder), chat_template="plain"))
        assert len(plain.encode(Sample(prompt="what is", response=" two")).ids) == 3

    @pytest.mark.parametrize(("checkpoint", "begins"), [({}, "<|begin_of_text|>"), ({"normalize_reward": True}, "it")])
    def test_plain_texts_get_bos_but_from_openrlhf_which_trains_without(
        self, tmp_path: Path, checkpoint: dict[str, Any], begins: str
    ) -> None:
        folder = make_scored(tmp_path, **checkpoint)
        tokenizer = make_llama3_words(folder, adds_bos=True)
        made = build_template(ModelSettings(str(folder), chat_template="plain")).encode(Sample(response="it is"))
        assert words(tokenizer, made.ids).split()[0] == begins

    def test_a_template_may_be_given_as_text_or_file(self, tmp_path: Path) -> None:
        folder = make_scored(tmp_path / "model")
        file = tmp_path / "chat.jinja"
        file.write_text(CHATML_TEMPLATE)
        by_text, by_file = (build_template(ModelSettings(str(folder), chat_template=one)) for one in (
            CHATML_TEMPLATE, str(file)))  # fmt: skip
        own = build_template(ModelSettings(str(folder)))
        assert by_text.encode(Sample(CHAT)) == by_file.encode(Sample(CHAT)) != own.encode(Sample(CHAT))
        assert by_text.fingerprint == by_file.fingerprint != own.fingerprint
        with pytest.raises(ConfigError, match="neither a Jinja text nor a file that can be read"):
            build_template(ModelSettings(str(folder), chat_template="no/such/file"))

    @pytest.mark.parametrize("text", ["{% for message in messages %}{{ message.content }}", "{{ messages | }}"])
    def test_a_template_with_a_mistake_in_its_grammar_is_refused_before_any_sample(
        self, tmp_path: Path, text: str
    ) -> None:
        folder = make_scored(tmp_path)
        with pytest.raises(RewardLoadError, match=r"no Jinja text that can be read: line 1: "):
            build_template(ModelSettings(str(folder), chat_template=text))

    def test_a_template_that_wants_another_conversation_is_none_of_those(self, tmp_path: Path) -> None:
        folder = make_scored(tmp_path)
        text = "{% if messages|length < 2 %}{{ raise_exception('a question first') }}{% endif %}" + CHATML_TEMPLATE
        made = build_template(ModelSettings(str(folder), chat_template=text))
        assert made.encode(Sample(CHAT)).ids

    def test_the_fingerprint_is_that_of_what_makes_ids(self, llama3: Any, chatml: Any) -> None:
        made = [template(llama3), template(chatml), template(llama3, limit_tokens=9), template(llama3, eos="ensured")]
        assert len({one.fingerprint for one in made}) == 4
        assert template(llama3).fingerprint == made[0].fingerprint

    def test_a_token_is_one(self, llama3: Any) -> None:
        assert llama3.convert_ids_to_tokens(last_id(llama3, "four")) == "four"
        assert llama3.convert_ids_to_tokens(last_id(llama3, "\n\n")) == "\n\n"
        for text in ("it is", "unheard", ""):
            with pytest.raises(RewardLoadError, match="is no single token of this tokenizer"):
                last_id(llama3, text)
