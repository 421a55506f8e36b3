"""Settings become a template and a backend: the one place where the parts of a reward model are put together.

What arrives: `ModelSettings`. What leaves: a `Template` that makes a model's inputs, and a `Backend` that scores them.
Both read the same checkpoint and recognise the same family, so that they fit. Nothing heavy is loaded before
`Backend.load`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayreward.errors import ConfigError, RewardLoadError
from rayreward.models.backend import Backend
from rayreward.models.checkpoint import Checkpoint, read_checkpoint
from rayreward.models.families import Family, recognise
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.settings import PLAIN_TEXT, ModelSettings
from rayreward.models.template import RewardTemplate, Template
from rayreward.models.tokenising import EosRule, Rules, Tokens, fits_model, load_tokenizer

if TYPE_CHECKING:
    from rayreward.models.probing import StartProbe
    from rayreward.models.verdict import Verdict

_log = logging.getLogger(__name__)


def build_template(settings: ModelSettings) -> Template:
    """What turns samples into this model's inputs: a `RewardTemplate`, or its family's own.

    Raises:
        RewardLoadError: no such checkpoint, one that is no reward model, or one without what its texts need: a
            tokenizer, a chat template, special tokens.
        ConfigError: the settings lack what its family needs.
        MissingExtraError: transformers is not installed.
    """
    checkpoint = read_checkpoint(settings.model_path, revision=settings.revision)
    family = recognise(checkpoint, settings)
    tokenizer = load_tokenizer(checkpoint.folder, trust_remote_code=settings.trust_remote_code)
    rules = Rules(
        limit_tokens=_limit_tokens(checkpoint, family, tokenizer, settings),
        eos=_eos_rule(family, settings),
        cuts_response=settings.too_long == "cut",
        chat_template=_chat_template(checkpoint, family, tokenizer, settings),
        adds_special_tokens=not family.is_openrlhf,  # whose training reads every text as it is
    )
    tokens = Tokens(tokenizer, rules)
    tokens.check_template()
    return _template_of(checkpoint, family, tokens, settings)


def build_backend(settings: ModelSettings, *, tell: Callable[[str], None] | None = None) -> Backend:
    """What runs this model; its weights are read by `Backend.load`.

    Args:
        settings: what to build.
        tell: is told what loading does beside reading weights: "probe".

    Raises:
        RewardLoadError: no such checkpoint, one that is no reward model, or one that the backend cannot run.
        ConfigError: the settings lack what its family needs.
        MissingExtraError: vLLM is not installed.
    """
    checkpoint = read_checkpoint(settings.model_path, revision=settings.revision)
    family = recognise(checkpoint, settings)
    if settings.backend == "vllm":
        from rayreward.models.vllm_building import build_vllm

        return build_vllm(checkpoint, family, settings)
    return LoadingBackend(checkpoint, family, settings, tell=tell)


class LoadingBackend:
    """The backend that the settings name; "auto" takes the packed one, and the padded one where that cannot run it.

    Which one it is is known after `load`, since only the loaded model shows whether it can be packed.

    Attributes:
        verdict: what the probe has found at `load`; None where there was none.
    """

    steps_overlap = False
    lost: str | None = None  # as of the backends that it takes

    def __init__(
        self,
        checkpoint: Checkpoint,
        family: Family,
        settings: ModelSettings,
        *,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._checkpoint, self._family, self._settings = checkpoint, family, settings
        self._backend: Backend | None = None
        self._tell = tell
        self.verdict: Verdict | None = None

    @property
    def chosen(self) -> Backend:
        """The backend that runs.

        Raises:
            RewardLoadError: it is not loaded.
        """
        if self._backend is None:
            raise RewardLoadError(f"{self._checkpoint.name!r} is not loaded: call load() before score()")
        return self._backend

    @property
    def max_step_tokens(self) -> int:
        """See `Backend`."""
        return self._settings.max_step_tokens if self._backend is None else self._backend.max_step_tokens

    @property
    def max_length(self) -> int:
        """See `Backend`."""
        return self._settings.max_length if self._backend is None else self._backend.max_length

    def load(self) -> None:
        """See `Backend.load`."""
        if self._backend is None:
            self._backend = self._load()

    def cost(self, unit: ModelInput) -> int:
        """See `Backend.cost`."""
        return self.chosen.cost(unit)

    def score(self, units: Sequence[ModelInput]) -> list[Reading | Exception]:
        """See `Backend.score`."""
        return self.chosen.score(units)

    def close(self) -> None:
        """See `Backend.close`."""
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    def _load(self) -> Backend:
        from rayreward.models.model_loading import load_model
        from rayreward.models.placing import place

        settings = self._settings
        loaded = load_model(self._checkpoint, self._family, settings)
        trunk_and_head = place(*loaded, device=settings.device, dtype=settings.dtype)
        del loaded
        probe = self._probe(trunk_and_head)
        backend = self._load_backend(trunk_and_head)
        if probe is not None:
            self._say("probe")
            self.verdict = probe.check(backend)
        return backend

    def _say(self, doing: str) -> None:
        if self._tell is not None:
            self._tell(doing)

    def _probe(self, trunk_and_head: tuple[Any, Any]) -> StartProbe | None:
        """The plain forward's own scores, before a backend changes the trunk's attention."""
        settings = self._settings
        if settings.backend == "plain" or not settings.probe:
            return None
        from rayreward.models.probing import StartProbe

        self._say("probe")
        return StartProbe(
            self._checkpoint.name, *trunk_and_head, dtype=settings.precision, max_length=settings.max_length
        )

    def _load_backend(self, trunk_and_head: tuple[Any, Any]) -> Backend:
        from rayreward.models.attention import CannotPackError

        wanted = self._settings.backend
        if wanted == "packed" or (wanted == "auto" and not self._family.is_encoder):
            backend = self._build("packed", trunk_and_head)
            try:
                backend.load()
                return backend
            except CannotPackError as error:
                if wanted == "packed":
                    raise
                _log.warning("%s runs padded: %s", self._checkpoint.name, error)
        backend = self._build("plain" if wanted == "plain" else "padded", trunk_and_head)
        backend.load()
        return backend

    def _build(self, kind: str, trunk_and_head: tuple[Any, Any]) -> Backend:
        from rayreward.models.packed import PackedBackend
        from rayreward.models.padded import PaddedBackend
        from rayreward.models.reference import PlainBackend

        settings = self._settings
        once = [trunk_and_head].pop  # handed over, not kept: closing must free the device
        if kind == "plain":
            return PlainBackend(once, device=settings.device, dtype=settings.dtype, max_length=settings.max_length)
        made = PackedBackend if kind == "packed" else PaddedBackend
        return made(
            once,
            device=settings.device,
            dtype=settings.dtype,
            max_step_tokens=settings.max_step_tokens,
            max_length=settings.max_length,
        )


def _limit_tokens(checkpoint: Checkpoint, family: Family, tokenizer: Any, settings: ModelSettings) -> int:
    from types import SimpleNamespace

    from rayreward.models.pair_template import PAIR_LIMIT_TOKENS
    from rayreward.models.positions import position_limit

    if family.kind == "pair":
        return min(settings.max_length, PAIR_LIMIT_TOKENS)
    positions = position_limit(SimpleNamespace(**checkpoint.config))
    if positions is None and family.is_encoder:  # relative positions know no limit, but training had one
        positions = checkpoint.config.get("max_position_embeddings")
    known: Any = tokenizer.model_max_length
    if not isinstance(known, (int, float)):
        raise RewardLoadError(
            f"{checkpoint.name!r}: tokenizer_config.json has model_max_length={known!r}, no number: correct it"
        )
    return fits_model({"positions": positions, "tokenizer": int(known)}, settings.max_length)


def _eos_rule(family: Family, settings: ModelSettings) -> EosRule:
    if settings.appends_eos is False or (settings.appends_eos == "auto" and not family.is_openrlhf):
        return "as_written"
    return "openrlhf" if family.is_openrlhf else "ensured"


def _chat_template(checkpoint: Checkpoint, family: Family, tokenizer: Any, settings: ModelSettings) -> str | None:
    """The Jinja text to render conversations by; None where texts are read as they are."""
    given = settings.chat_template
    if given == PLAIN_TEXT or family.kind == "pair" or (family.reads_steps and family.kind != "step_labels"):
        return None
    if given is not None:
        return given if "{" in given else _read_template(Path(given))
    found = tokenizer.chat_template
    if isinstance(found, dict):
        found = found.get("default")
    if found or family.is_encoder or (family.reads_steps and family.step_token is None):
        return found or None
    raise RewardLoadError(
        f"{checkpoint.name!r} has no chat template, so it is not known how it was trained to read a conversation: give "
        f"chat_template=… (a Jinja text, or a file's path), or chat_template='plain' where prompt and response were "
        f"read one behind the other"
    )


def _read_template(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"chat_template={str(path)!r} is neither a Jinja text nor a file that can be read ({error}); for models "
            f"without one give {PLAIN_TEXT!r}"
        ) from None


def _template_of(checkpoint: Checkpoint, family: Family, tokens: Tokens, settings: ModelSettings) -> Template:
    if family.kind == "pair":
        from rayreward.models.pair_template import PairTemplate

        return PairTemplate(tokens)
    if family.reads_steps:
        return _step_template(family, tokens, settings)
    if family.is_encoder:
        from rayreward.models.segment_template import SegmentTemplate

        return SegmentTemplate(tokens)
    if family.kind == "gated":
        from rayreward.models.gated_template import OPENINGS, GatedTemplate

        opening = OPENINGS.get(checkpoint.model_type)
        if opening is None:
            raise RewardLoadError(
                f"{checkpoint.name!r} has a gated head on a {checkpoint.model_type}, and where its gate reads is known "
                f"of {', '.join(sorted(OPENINGS))} only"
            )
        return GatedTemplate(tokens, opening)
    return RewardTemplate(tokens)


def _step_template(family: Family, tokens: Tokens, settings: ModelSettings) -> Template:
    from rayreward.models.step_template import StepTemplate

    if family.kind == "step_tokens":
        return StepTemplate(tokens, form="text", step_token=str(settings.step_token))
    if family.kind == "step_value":
        return StepTemplate(tokens, form="parts", step_token=settings.step_token or "\n", closes_prompt="\n")
    token = settings.step_token or str(family.step_token)
    return StepTemplate(tokens, form="chat" if family.step_token else "parts", step_token=token)
