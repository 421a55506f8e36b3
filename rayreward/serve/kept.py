"""Where rewards stand between their versions, kept for as long as the cluster lives.

What arrives: a reward's spec, and where it stands. What leaves: where it stood when the router was last there, so that
a promotion outlives the router's process; or what the configuration says, where that is another one by now.

It is kept in the key-value store of Ray's control service, as Serve keeps its own state: what survives there is what
survives of the application. One entry a reward, so that nothing is left behind by a configuration that is gone.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from rayreward.errors import ServiceUnavailableError
from rayreward.router.rollout import Rollout
from rayreward.spec import RewardSpec
from rayreward.versioning import content_version

_log = logging.getLogger(__name__)

_NAMESPACE = b"rayreward"


class _Entry(msgspec.Struct):
    """What is written: where a reward stands, and of which configuration that is said."""

    configuration: str
    rollout: Rollout


class KeptRollouts:
    """The entries of one application.

    Args:
        app: its name in Serve; two applications may serve a reward of one name.
    """

    def __init__(self, app: str) -> None:
        self._app = app

    async def load(self, spec: RewardSpec) -> Rollout:
        """Where the reward stands; what its spec says, where nothing is kept of that spec."""
        try:
            from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get
        except ImportError:  # seen in 2.55 and 2.60, but no public name: rewards are served without it
            _log.warning("this Ray keeps nothing for us: reward %s starts from its configuration", spec.name)
            return configured(spec)
        found: bytes | None = await asyncio.to_thread(_internal_kv_get, self._key(spec), namespace=_NAMESPACE)
        if found is None:
            return configured(spec)
        entry = _decode(found)
        if entry is not None and entry.configuration == _configuration(spec):
            return entry.rollout
        _log.warning("reward %s was configured anew: it starts from its configuration, nobody is promoted", spec.name)
        await asyncio.to_thread(_internal_kv_del, self._key(spec), namespace=_NAMESPACE)
        return configured(spec)

    async def save(self, spec: RewardSpec, rollout: Rollout) -> None:
        """Keep where the reward stands.

        Raises:
            ServiceUnavailableError: Ray's control service does not answer; nothing was kept.
        """
        entry = msgspec.json.encode(_Entry(_configuration(spec), rollout))
        try:
            from ray.experimental.internal_kv import _internal_kv_put

            await asyncio.to_thread(_internal_kv_put, self._key(spec), entry, namespace=_NAMESPACE)
        except Exception as error:  # the boundary: a private store, whose errors differ between versions of Ray
            raise ServiceUnavailableError(
                f"reward {spec.name!r}: Ray's control service did not keep the change ({error}), so it was not made; "
                f"ask again"
            ) from error

    def _key(self, spec: RewardSpec) -> bytes:
        return f"rollout/{self._app}/{spec.name}".encode()


def configured(spec: RewardSpec) -> Rollout:
    """Where a spec lets its reward begin."""
    if spec.candidate is None:
        return Rollout()
    return Rollout("base", spec.candidate.canary_percent, spec.candidate.shadow_percent)


def _configuration(spec: RewardSpec) -> str:
    return content_version(spec.model_dump())


def _decode(found: bytes) -> _Entry | None:
    try:
        return msgspec.json.decode(found, type=_Entry)
    except (msgspec.DecodeError, ValueError):
        return None  # another version of rayreward wrote it
