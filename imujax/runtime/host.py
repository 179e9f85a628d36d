"""What this process takes of its machine: cores and memory."""

import os
import sys

# One heap, which grows by 256 MiB at a time in huge pages and gives nothing back.
KEPT_MEMORY = ":".join(
    f"glibc.malloc.{tunable}"
    for tunable in (
        "arena_max=1",
        "mmap_max=0",
        f"trim_threshold={2**64 - 1}",
        f"top_pad={2**28}",
        "hugetlb=1",
    )
)


def available_cores() -> list[int]:
    """List the cores that this process may use.

    Returns
    -------
    list of int
        Numbers of the cores, ascending.
    """
    if hasattr(os, "sched_getaffinity"):  # Linux only
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin_to_core(core: int):
    """Run this process on one core: XLA's threads of several get into each other's way.

    Parameters
    ----------
    core : int
        One of `available_cores`.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def keep_freed_memory():
    """Start this program again with KEPT_MEMORY, once; only glibc on Linux can.

    Else a step on a CPU takes gigabytes from the system anew, page by page, for a good part of its
    time.  glibc reads its tunables when a process begins, so the interpreter is replaced by another
    one with the same words; what it starts in turn does not inherit them.  Nothing is done where
    the user has set GLIBC_TUNABLES, or where `sys.argv` is not what this process was started with.
    To be called first of all.
    """
    tunables, words = os.environ.get("GLIBC_TUNABLES"), sys.argv[1:]
    if tunables == KEPT_MEMORY:
        del os.environ["GLIBC_TUNABLES"]  # this is the other one
        return
    started_so = sys.orig_argv[len(sys.orig_argv) - len(words) :] == words
    if tunables is None and started_so and sys.platform == "linux":
        os.environ["GLIBC_TUNABLES"] = KEPT_MEMORY
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def run_on_calling_thread():
    """Let jax run programs on a CPU in the thread that calls them, which else waits beside them.

    A large step is up to a fifth faster so; many small ones are slower, for the caller prepares
    nothing meanwhile.  To be called before jax looks for its devices.
    """
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)
