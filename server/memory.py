"""How a process that serves for months keeps its memory small: what it looks through, and what it gives back."""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# From malloc.h of the GNU C library.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_SETTINGS = {_M_TRIM_THRESHOLD: 128 * 1024, _M_MMAP_THRESHOLD: 128 * 1024, _M_ARENA_MAX: 1}
_EVERY_S = 5.0


@asynccontextmanager
async def kept_small() -> AsyncIterator[None]:
    """While this is open, what conversations that are over have left free is given back to the system. Enter it before
    there are threads; where the C library is not GNU's, it does nothing.

    By default the thresholds of 128 KiB, above which a block has pages of its own and the end of the heap is cut off,
    grow up to 32 and 64 MiB with the largest block that was ever freed, and each of up to 8 threads a core keeps a heap
    for itself. None of that is lost, but with every conversation some more of it is held. Pages that are free between
    others are looked for every few seconds, on the event loop: 0.6 to 1.5 ms, after 8 conversations at a time.
    Source: mallopt(3), malloc_trim(3).
    """
    library = ctypes.CDLL(None)
    if not hasattr(library, "malloc_trim"):
        yield
        return
    for setting, value in _SETTINGS.items():
        library.mallopt(setting, value)
    trimming = asyncio.create_task(_trim(library))
    try:
        yield
    finally:
        trimming.cancel()


async def _trim(library: ctypes.CDLL) -> None:
    while True:
        await asyncio.sleep(_EVERY_S)
        library.malloc_trim(0)


def set_apart_what_stays() -> None:
    """Modules and models are never garbage. To look through them all again, each time that clients have come and gone,
    stops every conversation for 0.1 s. Call it when they are loaded.

    Conversations that are over are garbage, 150 objects each. Left to its own measure, Python waits for 40,000 objects
    and then looks through them for 20 to 60 ms: looked through often, they are few.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # by how many it found last, it decides how long to wait
    gc.set_threshold(700, 5, 1)
