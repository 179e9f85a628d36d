"""What this process takes of its machine: cores, and memory."""

import ctypes
import os


def cores() -> list[int]:
    """Numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def keep_to(core: int):
    """Run this process on one core: XLA's threads of several get into each other's way."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def keep_memory():
    """Let the process keep what its arrays have freed, for the next ones; only glibc can.

    Else a step on a CPU takes gigabytes from the system anew, page by page, for a good part of its
    time.  To be called before jax is imported: threads that have begun with memory of their own go
    on with it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        one_arena, no_maps, no_trim = (-8, 1), (-4, 0), (-1, -1)  # malloc.h
        for option in (one_arena, no_maps, no_trim):
            mallopt(*option)
