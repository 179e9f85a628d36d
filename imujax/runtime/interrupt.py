"""Ctrl-C: a command ends within seconds, with one sentence and status 130, whatever it is doing.

An exception alone cannot do that: it waits for the step under way, is swallowed where jax calls
back into Python, and a process that unwinds while threads of jax run may crash after its farewell.
What is written is whole at any moment (`files`, `checkpoint`), so that a process may just go.
"""

import contextlib
import multiprocessing
import multiprocessing.util
import os
import pathlib
import signal
import sys
import threading
import time
from typing import NoReturn

STATUS = 128 + signal.SIGINT
GRACE = 1.5  # s in which the main thread may tidy up
_leaving = threading.Lock()


def watch(farewell: str) -> None:
    """From now on leave at a Ctrl-C, GRACE later at the latest.

    Parameters
    ----------
    farewell : str
        The sentence to leave with.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    # The interpreter writes there at once, though its handlers wait for the main thread.
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_wait, args=(reader, farewell), daemon=True).start()
    report = sys.unraisablehook

    def hear(unraisable):
        """Where the exception fell into a callback, which cannot raise it."""
        if unraisable.exc_type is KeyboardInterrupt:
            leave(farewell)
        report(unraisable)

    sys.unraisablehook = hear


def _children() -> set[int]:
    """The processes that this one has started, by their numbers."""
    found = {child.pid for child in multiprocessing.active_children() if child.pid}
    # One whose start is under way is not among them; Linux knows it.
    for file in pathlib.Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found |= set(map(int, file.read_text().split()))
    return found


def _wait(reader: int, farewell: str) -> None:
    while signal.SIGINT not in os.read(reader, 64):
        pass
    time.sleep(GRACE)
    leave(farewell)


def leave(farewell: str) -> NoReturn:
    """End this process and those that it has started, without any more of its code.

    Parameters
    ----------
    farewell : str
        The sentence to leave with.
    """
    if not _leaving.acquire(blocking=False):
        time.sleep(60)  # while another thread is leaving
    with contextlib.suppress(Exception):
        multiprocessing.util._run_finalizers(0)  # type: ignore[attr-defined]  # semaphores go
    for child in _children():
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        print(farewell, file=sys.stderr, flush=True)
    os._exit(STATUS)
