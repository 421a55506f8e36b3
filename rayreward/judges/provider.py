"""A judge's endpoint from flat settings, as YAML and constructors have them.

What arrives: keyword settings. What leaves: a metered endpoint, or a `ConfigError` that names the mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

from rayreward.calling.ledger import Budget, Ledger, Prices
from rayreward.errors import ConfigError, did_you_mean
from rayreward.judges.endpoint import Endpoint
from rayreward.judges.metered import MeteredEndpoint


class ProviderSettings(TypedDict, total=False):
    """Where a judge is asked, how fast, and for how much.

    `endpoint` takes an `Endpoint` that is made already, and `model_path` a checkpoint that vLLM runs in this process
    with the arguments in `vllm`, instead of an HTTP connection. `prices` are US
    dollars a million tokens: ``{"prompt": 2.0, "completion": 8.0, "cached": 0.5}``. Budgets are a run's, in this
    process; see `rayreward.calling.ledger`. All others are those of `HttpEndpoint` and `CallLimits`.
    """

    endpoint: Endpoint | None
    model_path: str
    vllm: Mapping[str, Any]
    base_url: str
    key_variable: str
    timeout_s: float
    max_concurrency: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    max_tries: int
    max_wait_s: float
    prices: Mapping[str, float] | Prices | None
    budget_usd: float | None
    budget_tokens: int | None


_OF_HTTP = frozenset({"base_url", "key_variable"})
_OF_VLLM = frozenset({"model_path", "vllm"})
_OF_LIMITS = frozenset(
    {"timeout_s", "max_concurrency", "requests_per_minute", "tokens_per_minute", "max_tries", "max_wait_s"}
)


def build_endpoint(model: str, *, api_key: str | None = None, **settings: Unpack[ProviderSettings]) -> MeteredEndpoint:
    """The endpoint of `model` by `settings`.

    Args:
        model: its name at the server.
        api_key: else the value of the environment variable `key_variable`, OPENAI_API_KEY by default.
        settings: see `ProviderSettings`.

    Raises:
        ConfigError: an unknown or impossible setting.

    Example:
        >>> endpoint = build_endpoint("judge", base_url="http://127.0.0.1:8000/v1", budget_tokens=1_000_000)
        >>> endpoint.ledger.budget.tokens
        1000000
    """
    unknown = [name for name in settings if name not in ProviderSettings.__annotations__]
    if unknown:
        raise ConfigError(
            f"a judge has no setting {unknown[0]!r}; {did_you_mean(unknown[0], ProviderSettings.__annotations__)}"
        )
    ledger = Ledger(_prices(settings.get("prices")), Budget(settings.get("budget_usd"), settings.get("budget_tokens")))
    http: dict[str, Any] = {name: value for name, value in settings.items() if name in _OF_HTTP}
    limits: dict[str, Any] = {name: value for name, value in settings.items() if name in _OF_LIMITS}
    if api_key is not None:
        http["api_key"] = api_key
    endpoint, model_path = settings.get("endpoint"), settings.get("model_path")
    if endpoint is not None:
        _refuse("endpoint", {**http, **limits, **{name: 1 for name in _OF_VLLM if name in settings}})
    elif model_path is not None:
        _refuse("model_path", {**http, **{name: 1 for name in limits if name != "timeout_s"}})
        from rayreward.judges.vllm_endpoint import VllmEndpoint

        endpoint = VllmEndpoint(model_path, **{**settings.get("vllm", {}), **limits})
    else:
        from rayreward.judges.http_endpoint import CallLimits, HttpEndpoint  # httpx is loaded where it is used

        endpoint = HttpEndpoint(model, limits=CallLimits(**limits), **http)
    return MeteredEndpoint(endpoint, ledger)


def _refuse(instead: str, surplus: Mapping[str, Any]) -> None:
    if surplus:
        raise ConfigError(f"{instead}= is no HTTP connection and takes no {min(surplus)}: leave one of them out")


def _prices(given: Mapping[str, float] | Prices | None) -> Prices | None:
    if given is None or isinstance(given, Prices):
        return given
    try:
        return Prices(**given)
    except TypeError:
        raise ConfigError(
            f"prices are prompt, completion and cached in US dollars a million tokens, found {given!r:.120}"
        ) from None
