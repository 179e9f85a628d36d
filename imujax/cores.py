"""Which cores this process may use."""

import os


def allowed() -> list[int]:
    """Numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def keep_to(core: int):
    """Run this process on one core: XLA's threads of several get into each other's way."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
