"""The token ids of short answers, from servers that can tell them and take them.

What arrives: answers such as "1" to "5". What leaves: the ids of the tokens that spell them, with and without a space
in front, for vLLM's ``logprob_token_ids`` (since 0.29): it then returns their raw log probabilities whatever the model
is about to say, where the twenty likeliest tokens may hold none of them. None for servers that are no such vLLM.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from rayreward.calling.bodies import read_body

_SINCE = (0, 29)

_VERSION = re.compile(r"(\d+)\.(\d+)")


async def find_choice_ids(
    http: httpx.AsyncClient, base_url: str, model: str, choices: Sequence[str], *, headers: Mapping[str, str]
) -> tuple[int, ...]:
    """The ids, or nothing where the server cannot take them or a choice is no single token.

    Raises:
        httpx.RequestError: the server cannot be reached.
        ServiceUnavailableError: it answers without an end.
    """
    root = base_url.removesuffix("/v1")
    version = await _json(http, "GET", f"{root}/version", headers)
    found = _VERSION.match(str(version.get("version", "")))
    if found is None or (int(found[1]), int(found[2])) < _SINCE:
        return ()
    ids: set[int] = set()
    for choice in choices:
        spelled = set()
        for text in (choice, f" {choice}"):
            body = {"model": model, "prompt": text, "add_special_tokens": False}
            tokens = (await _json(http, "POST", f"{root}/tokenize", headers, body)).get("tokens")
            if isinstance(tokens, list) and len(tokens) == 1 and isinstance(tokens[0], int):
                spelled.add(tokens[0])
        if not spelled:
            return ()
        ids |= spelled
    return tuple(sorted(ids))


async def _json(
    http: httpx.AsyncClient, method: str, url: str, headers: Mapping[str, str], body: Any = None
) -> dict[str, Any]:
    """An object, empty where the answer is anything else: other servers have such paths, too."""
    async with http.stream(method, url, json=body, headers=dict(headers)) as answer:
        content = await read_body(answer) if answer.status_code == 200 else b""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
