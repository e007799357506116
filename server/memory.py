"""How a process that serves for months keeps its memory small: what it looks through, and what it gives back."""

from __future__ import annotations

import ctypes
import gc

_MALLOPT = {
    # malloc.h of the GNU C library: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_ARENA_MAX.
    -3: 128 * 1024,
    -1: 128 * 1024,
    -8: 1,
}


def give_back_what_is_free() -> None:
    """Have the C library return to the system what conversations that are over have left free. Call it before there are
    threads; where the C library is another one, it does nothing.

    By default the thresholds of 128 KiB, above which a block has pages of its own and the end of the heap is cut off,
    grow up to 32 and 64 MiB with the largest block that was ever freed, and each of up to 8 threads a core keeps a heap
    for itself. None of it is lost, but with every conversation some more of it is held.
    Source: mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _MALLOPT.items():
            mallopt(parameter, value)


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
