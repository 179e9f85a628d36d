"""The processes of one run: joining, going first, keeping others out, being stopped.

With `cluster` the only files that look into jax's own ways (`jax._src`).
"""

import contextlib
import itertools
import json
import os
import pathlib
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import filelock

from imujax.errors import UserError, shorten
from imujax.runtime import cluster

# 128 + SIGTERM: what a shell, SLURM and Kubernetes report of any program that SIGTERM has ended.
# So "run me again" is one number, whether the notice came before, in or after the training, and
# neither 0 (done, nobody starts it again) nor that of a mistake (starting again does not help).
PREEMPTED = 128 + signal.SIGTERM
MAIN_TIMEOUT = 7 * 24 * 3600  # s for what one process does while the others wait, e.g. a data set
FAILURE_GRACE = 5  # s that a failing process waits for others that fail
CLAIM_TIMEOUT = 120  # s to wait for another run in the same folder to end; NFS frees locks after 90
BRIEF = 1  # s that a lock may be held without a word
LOCK_FILE = "run.lock"  # in the folder that a run writes to: who writes there


@contextlib.contextmanager
def join_run(flags: Mapping[str, Any] = {}) -> Iterator[None]:
    """Join the other processes of the run, if there are any; to be entered before jax is used.

    One of several processes that fails ends at once: to leave in good order it would wait for the
    others, which wait for it.

    Parameters
    ----------
    flags : mapping
        Those of PLACE_FIELDS that stand on the command line, None for those that do not.

    Yields
    ------
    None

    Raises
    ------
    UserError
        Where the processes do not meet, or the settings of their places do not fit together.
    """
    import jax

    from imujax.runtime import sharding  # noqa: F401, sets what devices need before they start

    place = cluster.find_place(flags)
    if place is None:
        _print_message(cluster.warning_if_alone())
    else:
        # Over gloo, the collectives of two programs must not overtake each other.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        try:
            jax.distributed.initialize(
                *place,
                cluster_detection_method="deactivate",
                initialization_timeout=cluster.CONNECT_TIMEOUT,
            )
        except RuntimeError as error:
            raise UserError(
                f"process {place.process} of {place.processes} does not meet the others at "
                f"{place.coordinator} ({shorten(error, 200)}); start all of them, with the same "
                "HOST:PORT, free on the machine of process 0"
            ) from error
    try:
        if place is not None and jax.default_backend() == "cpu":
            # Of several CPU processes only number 0 fills the cache, and only it finds something
            # there.  A program from the cache exchanges arrays in another order than the same
            # program compiled anew by the others: gloo aborts.
            jax.config.update("jax_enable_compilation_cache", False)
        gpus_expected = not os.environ.get("JAX_PLATFORMS", "").startswith("cpu")
        if gpus_expected and {"SLURM_GPUS_ON_NODE", "CUDA_VISIBLE_DEVICES"} & os.environ.keys():
            used = jax.local_device_count() if jax.default_backend() == "gpu" else 0
            _print_message(cluster.warning_if_gpus_idle(used))
        yield
    except Exception as error:
        if place is None:
            raise
        status = 1
        if isinstance(error, UserError):
            status = 2
            _print_message(f"process {place.process}: {error}")
        else:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        # Those that fail too, most likely of the same, meet here: with process 0 goes the service
        # by which they hear of it, and they would be aborted before they have said why.
        with contextlib.suppress(RuntimeError):
            _client().wait_at_barrier("imujax/failed", FAILURE_GRACE * 1000)
            time.sleep(is_main())
        os._exit(status)


def _print_message(text: str | None):
    if text:
        print(f"imujax: {text}", file=sys.stderr)


def is_main() -> bool:
    """Tell whether this process writes and speaks for all: number 0, or the only one.

    Returns
    -------
    bool
    """
    return _process_number() == 0


def _process_number() -> int:
    from jax._src import distributed  # jax.process_index would start the devices

    return distributed.global_state.process_id


def _client() -> Any:
    """What processes leave notes for each other with, None for a process that is alone."""
    from jax._src import distributed  # jax's own barrier and orbax's give up after minutes

    return distributed.global_state.client


_call_numbers = itertools.count()  # of the calls of on_main and on_all, alike on all processes
_sync_points = itertools.count(1)  # of stop_requested: jax means 1 if told before any call


def on_main(function: Callable[[], Any]) -> Any:
    """Call a function on process 0, while the others wait.

    Parameters
    ----------
    function : Callable
        Its value must be one that JSON can hold.

    Returns
    -------
    Any
        The value, on all processes.

    Raises
    ------
    UserError
        On all processes where process 0 did.
    """
    client = _client()
    if client is None:
        return function()
    key = f"imujax/on_main/{next(_call_numbers)}"
    if is_main():
        try:
            value = function()
        except UserError as error:
            client.key_value_set(key, json.dumps({"error": str(error)}))
            raise
        client.key_value_set(key, json.dumps({"value": value}))
    result = json.loads(client.blocking_key_value_get(key, MAIN_TIMEOUT * 1000))
    if "error" in result:
        raise UserError(f"process 0 has stopped: {result['error']}")
    return result["value"]


def on_all(check: Callable[[], object]):
    """Call a check on all processes.

    Parameters
    ----------
    check : Callable
        Raises UserError where something is wrong.

    Raises
    ------
    UserError
        On all processes where one did.
    """
    client, own_error = _client(), None
    if client is None:
        check()
        return
    try:
        check()
    except UserError as error:
        own_error = str(error)
    key, number = f"imujax/on_all/{next(_call_numbers)}", _process_number()
    client.key_value_set(f"{key}/{number}", json.dumps([number, own_error]))
    client.wait_at_barrier(key, MAIN_TIMEOUT * 1000)
    results = sorted(json.loads(value) for _, value in client.key_value_dir_get(key))
    for other, error in results:
        if own_error or error:
            raise UserError(own_error or f"process {other} has stopped: {error}")


@contextlib.contextmanager
def claim_folder(folder: str | pathlib.Path, file: str = LOCK_FILE) -> Iterator[None]:
    """Keep other runs out of a folder, which is made, while this one writes there.

    Process 0 holds the lock for all; it ends with that process, however it ends.  Where another run
    has it, this one waits CLAIM_TIMEOUT s before it gives up: the other may be about to end, or the
    file system about to find that its machine is lost.  Where no file can be locked nobody is kept
    out.

    Parameters
    ----------
    folder : Path or str
    file : str
        In the folder: runs keep each other out that claim the same one.

    Yields
    ------
    None

    Raises
    ------
    UserError
        Where another run goes on writing there.
    """
    locks = []
    try:
        on_main(lambda: locks.append(_lock_run(pathlib.Path(folder), file)))
        yield
    finally:
        for lock in locks:
            lock.release()


def _lock_run(folder: pathlib.Path, file: str) -> filelock.BaseFileLock:
    """The lock of `folder`, held; not held where no file can be locked."""
    path = folder / file
    # Where there are no locks, what the library takes instead would outlive a killed run.
    lock = filelock.FileLock(path, fallback_to_soft=False)
    other = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(filelock.Timeout):
            lock.acquire(timeout=BRIEF)
        if not lock.is_locked:
            other = f"another run writes to {folder} ({_read_owner(path)})"
            _print_message(f"{other}: waiting up to {CLAIM_TIMEOUT} s for it to end")
            lock.acquire(timeout=CLAIM_TIMEOUT)
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
    except filelock.Timeout:
        raise UserError(
            f"{other}: stop it, take another --workdir, or, if its machine is lost, delete {path}"
        ) from None
    except OSError:
        pass  # who has more to write there will say so
    return lock


def _read_owner(path: pathlib.Path) -> str:
    """Who holds a lock, as the lock file says."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


class PreemptionNotice:
    """Takes SIGTERM as a wish to save and end, while it is open.

    A process that is alone receives it itself.  Of several, jax tells all when one has received it,
    and agrees on the step: `stop_requested` is true on all of them at the same call.

    Attributes
    ----------
    signal_received : bool
        Whether this process has received SIGTERM itself.
    previous_handler
        Of SIGTERM, restored in the end; None where it was not replaced.
    """

    def __init__(self):
        self.signal_received, self.previous_handler = False, None

    def __enter__(self):
        from jax import distributed

        # jax has its own handler where there are several; only the main thread may have one.
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and not distributed.is_initialized():
            self.previous_handler = signal.signal(signal.SIGTERM, self._on_signal)
        return self

    def __exit__(self, *exception):
        if self.previous_handler is not None:
            signal.signal(signal.SIGTERM, self.previous_handler)

    def _on_signal(self, *_):
        self.signal_received = True

    def stop_requested(self) -> bool:
        """Whether to save and end now; to be called once after each step."""
        from jax.experimental import multihost_utils

        return self.signal_received or multihost_utils.reached_preemption_sync_point(
            next(_sync_points)
        )


def exit_preempted(text: str) -> NoReturn:
    """End this process with the status PREEMPTED; process 0 says why.

    Parameters
    ----------
    text : str
        What process 0 prints.
    """
    if is_main():
        _print_message(text)
    raise SystemExit(PREEMPTED)
