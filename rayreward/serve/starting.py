"""What replicas do while they start, told past Serve: it lets nobody ask a replica whose constructor has not ended.

What arrives: the condition of a reward that loads, in a replica. What leaves: a note in the key-value store of Ray's
control service, while it loads; and in the router, what each reward that is not ready is at. A note that nobody renews
is of a replica that died: it is not believed, and swept away by the next reader. Without that store rewards start as
they do with it, and nobody is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping

import msgspec

from rayreward.condition import Condition
from rayreward.router.lane import Lane, Start

_log = logging.getLogger(__name__)

_NAMESPACE = b"rayreward"

_TELL_PAUSE_S = 0.5
"""Between two looks at what a reward does; it is written where it has changed, and before a reader forgets it."""

_RENEW_S = 5.0

_BELIEVE_S = 20.0
"""A replica whose loading keeps its loop from running (an import of seconds) still renews within this."""

_READ_PAUSE_S = 1.0


class Note(msgspec.Struct):
    """What a replica writes, by the clock on the wall: the reader is another process."""

    doing: str
    started_s: float
    written_s: float


@contextlib.asynccontextmanager
async def telling_start(condition: Callable[[], Condition]) -> AsyncIterator[None]:
    """Tell what a reward does until the block ends."""
    key = _own_key()
    if key is None:
        yield
        return
    telling = asyncio.get_running_loop().create_task(_keep_telling(key, condition))
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        with contextlib.suppress(Exception):  # the boundary: a private store
            await asyncio.to_thread(_delete, key)


async def keep_starts_known(lanes: Mapping[str, Lane], app: str) -> None:
    """Give each lane whose reward is not ready the newest note of its replicas."""
    while True:
        for name, lane in lanes.items():
            if lane.state != "starting":
                lane.start = None
            else:
                try:
                    lane.start = await asyncio.to_thread(read_start, app, name)
                except Exception as error:  # noqa: BLE001 - the boundary: a private store, which may be away
                    _log.debug("what reward %s does while it starts cannot be read: %s", name, error)
        await asyncio.sleep(_READ_PAUSE_S)


def read_start(app: str, deployment: str, *, now: Callable[[], float] = time.time) -> Start | None:
    """What the replica of a deployment that began to start first is at; None where none says."""
    from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_list

    notes = []
    for key in _internal_kv_list(_prefix(app, deployment), namespace=_NAMESPACE):
        found = _internal_kv_get(key, namespace=_NAMESPACE)
        note = None if found is None else msgspec.json.decode(found, type=Note)
        if note is not None and now() - note.written_s <= _BELIEVE_S:
            notes.append(note)
        elif note is not None:
            _delete(key)
    if not notes:
        return None
    first = min(notes, key=lambda note: note.started_s)
    return Start(first.doing, round(now() - first.started_s, 1))


async def _keep_telling(key: bytes, condition: Callable[[], Condition]) -> None:
    started_s, said, written_s = time.time(), "", 0.0
    while True:
        doing = condition().doing or "loading"
        if doing != said or time.time() - written_s >= _RENEW_S:
            said, written_s = doing, time.time()
            try:
                await asyncio.to_thread(_put, key, msgspec.json.encode(Note(doing, started_s, written_s)))
            except Exception as error:  # noqa: BLE001 - the boundary: a private store; rewards start without it
                _log.debug("nobody is told what this replica does while it starts: %s", error)
        await asyncio.sleep(_TELL_PAUSE_S)


def _own_key() -> bytes | None:
    """Where this replica writes; None outside of one."""
    from ray import serve
    from ray.serve.exceptions import RayServeException

    try:
        context = serve.get_replica_context()
    except RayServeException:
        return None
    return _prefix(context.app_name, context.deployment) + str(context.replica_tag).encode()


def _prefix(app: str, deployment: str) -> bytes:
    return f"starting/{app}/{deployment}/".encode()


def _put(key: bytes, value: bytes) -> None:
    from ray.experimental.internal_kv import _internal_kv_put

    _internal_kv_put(key, value, namespace=_NAMESPACE)


def _delete(key: bytes) -> None:
    from ray.experimental.internal_kv import _internal_kv_del

    _internal_kv_del(key, namespace=_NAMESPACE)
