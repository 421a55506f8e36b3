"""Writes responses that follow a row of instructions: what a checker must accept, made without asking a checker."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

FILLER = "We took the long way home and then sat down near the old tree."
"""Thirteen words, one sentence, no comma, no capital word, English."""

SENTENCES = {
    "ar": "الكلب يركض في الغابة ويبحث عن العصا التي فقدها بالأمس",
    "de": "Der Hund läuft durch den Wald und sucht nach einem Stock.",
    "hi": "कुत्ता जंगल में दौड़ता है और कल खोई हुई छड़ी ढूंढता है",
    "it": "Il cane corre nel bosco e cerca il bastone che ha perso ieri.",
    "ko": "개가 숲을 달리며 어제 잃어버린 막대기를 찾고 있습니다.",
    "mr": "कुत्रा जंगलात धावतो आणि काल हरवलेली काठी शोधतो",
    "pa": "ਕੁੱਤਾ ਜੰਗਲ ਵਿੱਚ ਦੌੜਦਾ ਹੈ ਅਤੇ ਸੋਟੀ ਲੱਭਦਾ ਹੈ",
    "ru": "Собака бежит по лесу и ищет палку, которую вчера потеряла.",
    "sw": "Mbwa anakimbia msituni na kutafuta fimbo aliyoipoteza jana.",
    "te": "కుక్క అడవిలో పరిగెత్తి నిన్న పోగొట్టుకున్న కర్రను వెతుకుతోంది",
    "th": "สุนัขวิ่งผ่านป่าและค้นหาไม้ที่มันทำหายเมื่อวานนี้",
    "vi": "Con chó chạy qua rừng và tìm cây gậy mà nó đã đánh mất hôm qua.",
}


Row = Mapping[str, Mapping[str, Any]]


def write_response(ids: Sequence[str], kwargs: Sequence[Mapping[str, Any]]) -> str | None:
    """A response that follows all of the instructions, None where the writer does not know how."""
    row = dict(zip(ids, kwargs, strict=True))
    repeated = [name for at, name in enumerate(ids) if name in ids[:at]]
    body = _body(row)
    if body is None or set(repeated) - {"keywords:frequency"}:
        return None
    if repeated:
        body = " ".join(
            [*[word for one in kwargs if "keyword" in one for word in [one["keyword"]] * one["frequency"]], body]
        )
    if "detectable_format:json_format" in row:
        return json.dumps({"answer": body}, ensure_ascii=False)
    if "change_case:english_capital" in row:
        body = body.upper()
    if "change_case:english_lowercase" in row:
        body = body.lower()
    if "startend:quotation" in row:
        body = f'"{body}"'
    return body


def _body(row: Row) -> str | None:
    """The text before its case is changed and marks are put around it."""
    lines = [*_opening(row), *_middle(row)]
    paragraphs = row.get("length_constraints:number_paragraphs", {}).get("num_paragraphs")
    ordinal = row.get("length_constraints:nth_paragraph_first_word")
    if ordinal:
        if len(lines) > ordinal["num_paragraphs"]:
            return None
        parts = [*lines, *["And so on."] * (ordinal["num_paragraphs"] - len(lines))]
        parts[ordinal["nth_paragraph"] - 1] = f"{ordinal['first_word']} {parts[ordinal['nth_paragraph'] - 1]}"
        return "\n\n".join([*parts[:-1], " ".join([parts[-1], *_ending(row)])])
    if "combination:two_responses" in row:
        return f"{' '.join(lines)}\n******\n{' '.join(lines)} And again."
    if paragraphs:
        lines = ["\n".join(lines), *["And so on."] * (paragraphs - 1)]
        return "\n***\n".join([*lines[:-1], " ".join([lines[-1], *_ending(row)])])
    return "\n".join([*lines, *_ending(row)])


def _opening(row: Row) -> list[str]:
    prompt = row.get("combination:repeat_prompt", {}).get("prompt_to_repeat")
    title = ["<<A title>>"] if "detectable_format:title" in row else []
    return [*([prompt] if prompt else []), *title]


def _middle(row: Row) -> list[str]:
    if "language:response_language" in row:
        return [SENTENCES[row["language:response_language"]["language"]]] * 3
    lines = ["My answer is yes."] if "detectable_format:constrained_response" in row else [_filler(row)]
    for kind, repeated in (("number_bullet_lists", "- a point"), ("number_highlighted_sections", "*a part of it*")):
        count = next(iter(row.get(f"detectable_format:{kind}", {}).values()), 0)
        lines += [repeated] * count
    sections = row.get("detectable_format:multiple_sections")
    if sections:
        lines += [
            f"{sections['section_spliter']} {number}\nOne part." for number in range(1, sections["num_sections"] + 1)
        ]
    placeholders = row.get("detectable_content:number_placeholders", {}).get("num_placeholders", 0)
    lines += ["[name]"] * placeholders
    return [*lines, *_words(row)]


def _words(row: Row) -> list[str]:
    """What keywords, letters and words in capitals ask for."""
    lines = list(row.get("keywords:existence", {}).get("keywords", ()))
    wanted = row.get("keywords:frequency")
    if wanted and wanted["relation"] == "at least":
        lines += [wanted["keyword"]] * wanted["frequency"]
    letter = row.get("keywords:letter_frequency")
    if letter and letter["let_relation"] == "at least":
        lines.append(letter["letter"] * letter["let_frequency"])
    capitals = row.get("change_case:capital_word_frequency")
    if capitals and capitals["capital_relation"] == "at least":
        lines += ["NOW"] * capitals["capital_frequency"]
    return lines


def _filler(row: Row) -> str:
    """Sentences as long and as many as are wanted, in one line."""
    words = row.get("length_constraints:number_words", {})
    sentences = row.get("length_constraints:number_sentences", {})
    repeats = 1
    if words.get("relation") == "at least":
        repeats = words["num_words"] // 13 + 1
    if sentences.get("relation") == "at least":
        return " ".join([FILLER, *["And then we ate."] * max(sentences["num_sentences"], repeats * 4)])
    if sentences.get("relation") == "less than":
        return " and ".join([FILLER.rstrip(".")] * repeats)
    return " ".join([FILLER] * repeats)


def _ending(row: Row) -> list[str]:
    postscript = row.get("detectable_content:postscript", {}).get("postscript_marker")
    phrase = row.get("startend:end_checker", {}).get("end_phrase")
    return [*([f"{postscript} Write soon."] if postscript else []), *([phrase] if phrase else [])]
