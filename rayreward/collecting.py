"""Python's cyclic collector in processes through which bursts of samples go.

What arrives: the wish that it looks seldom for as long as some object lives. What leaves: a higher threshold of the
process, and the usual one when the last such object is gone. The collector is never switched off, and a threshold that
is higher, or was set by somebody else meanwhile, is left as it is.

By default it looks whenever 700 objects have come and not gone. A burst of a thousand samples is some twenty thousand
in the process that asks, all of which go by themselves once it is answered. But each look hands those that live on to
the older generations, and whenever these have grown by a quarter it walks through all that the process has imported:
160,000 objects where Ray is. That was a third of the CPU of a sample there.
"""

from __future__ import annotations

import gc
import threading
import weakref

BURST_OBJECTS = 50_000
"""Objects that come before the collector looks: a burst of about 2,500 samples. More would save nothing for the usual
ones, and as much cyclic garbage may wait."""

_lock = threading.RLock()  # a collection, and so the end of an owner, may come within
_owner_count = 0
_usual = gc.get_threshold()


def collect_seldom(owner: object) -> None:
    """Have the collector look seldom until `owner` is gone."""
    global _owner_count, _usual
    with _lock:
        if _owner_count == 0:
            _usual = gc.get_threshold()
            if 0 < _usual[0] < BURST_OBJECTS:
                gc.set_threshold(BURST_OBJECTS, *_usual[1:])
        _owner_count += 1
    weakref.finalize(owner, _release).atexit = False


def _release() -> None:
    global _owner_count
    with _lock:
        _owner_count -= 1
        if _owner_count == 0 and gc.get_threshold()[0] == BURST_OBJECTS:
            gc.set_threshold(*_usual)
