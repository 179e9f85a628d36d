"""What this process takes of its machine: cores and memory."""

import ctypes
import mmap
import os


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
    """Let the process keep what its arrays have freed, for the next ones; only glibc can.

    Else a step on a CPU takes gigabytes from the system anew, page by page, for a good part of its
    time.  Where Linux gives huge pages to those who ask, half the machine's memory is asked for in
    such pages; none is taken before it is used.  To be called before jax is imported: threads that
    have begun with memory of their own go on with it.
    """
    libc = ctypes.CDLL(None) if os.name == "posix" else None
    if not hasattr(libc, "mallopt"):
        return
    one_arena, no_maps, no_trim = (-8, 1), (-4, 0), (-1, -1)  # malloc.h
    for option in (one_arena, no_maps, no_trim):
        libc.mallopt(*option)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        _ask_for_huge_pages(libc)


def run_on_calling_thread():
    """Let jax run programs on a CPU in the thread that calls them, which else waits beside them.

    A large step is up to a fifth faster so; many small ones are slower, for the caller prepares
    nothing meanwhile.  To be called before jax looks for its devices.
    """
    import jax

    jax.config.update("jax_cpu_enable_async_dispatch", False)


def _ask_for_huge_pages(libc):
    """Mark half the machine's memory, as it lies ahead of the heap, for pages of 2 MiB."""
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    size = mmap.PAGESIZE * os.sysconf("SC_PHYS_PAGES") // 2
    block = libc.malloc(size)
    if block is None:  # a limit on this process's memory
        return
    start = -(-block // mmap.PAGESIZE) * mmap.PAGESIZE
    libc.madvise(start, block + size - start, mmap.MADV_HUGEPAGE)
    libc.free(block)  # stays the heap's, as nothing is given back
