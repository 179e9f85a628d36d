"""The processes of one run: finding each other, going first, keeping others out, being stopped.

The only file that looks into jax's own ways of finding processes (`jax._src`).  Where a program
runs is asked in this order: the flags of the command line, the variables IMUJAX_COORDINATOR,
IMUJAX_PROCESSES and IMUJAX_PROCESS, what jax detects (TPU pod, SLURM under srun, Open MPI,
Kubernetes); a process that finds nothing is alone.
"""

import contextlib
import itertools
import json
import os
import pathlib
import re
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple

from imujax.errors import UserError
from imujax.runtime import host

# 128 + SIGTERM: what a shell, SLURM and Kubernetes report of any program that SIGTERM has ended.
# So "run me again" is one number, whether the notice came before, in or after the training, and
# neither 0 (done, nobody starts it again) nor that of a mistake (starting again does not help).
PREEMPTED = 128 + signal.SIGTERM
CONNECT_TIMEOUT = 300  # s for the processes to find each other
MAIN_TIMEOUT = 7 * 24 * 3600  # s for what one process does while the others wait, e.g. a data set
FAILURE_GRACE = 5  # s that a failing process waits for others that fail
PLACE_FIELDS = ("coordinator", "processes", "process")
CLAIM_TIMEOUT = 120  # s to wait for another run in the same folder to end; NFS frees locks after 90
LOCK_FILE = "run.lock"  # in the folder that a run writes to: who writes there


class Place(NamedTuple):
    """One process of several: HOST:PORT of process 0, how many there are, which one this is, and
    the numbers of its GPUs on this node (None: all that it sees)."""

    coordinator: str
    processes: int
    process: int
    devices: list[int] | None = None


def find_place(given: Mapping = {}, environ: Mapping = os.environ) -> Place | None:
    """The place of this process among several, None where it is alone.

    given: those of FIELDS that stand on the command line, None for those that do not.  Raises
    UserError for settings that are not whole or do not fit together.
    """
    named, values = {}, {}
    for field in PLACE_FIELDS:
        flag, variable = f"--{field}", f"IMUJAX_{field.upper()}"
        found = {flag: given.get(field), variable: environ.get(variable) or None}
        named[field], values[field] = next(
            ((name, value) for name, value in found.items() if value is not None),
            (f"{flag} (or {variable})", None),
        )
    for field in PLACE_FIELDS[1:]:
        if values[field] is not None:
            values[field] = _count(named[field], values[field])
    if values["processes"] == 1 and not values["process"]:
        return None  # alone, whatever is around
    missing = [field for field in PLACE_FIELDS if values[field] is None]
    if len(missing) == len(PLACE_FIELDS):
        return _detected(environ)
    if missing:
        there = next(named[field] for field in PLACE_FIELDS if field not in missing)
        raise UserError(
            f"{there} is given but not {' and '.join(named[field] for field in missing)}: "
            "several processes need all three"
        )
    if not re.fullmatch(r".+:\d+", values["coordinator"]):
        raise UserError(
            f"{named['coordinator']} must be HOST:PORT of process 0, not {values['coordinator']!r}"
        )
    if values["process"] >= values["processes"]:
        raise UserError(
            f"{named['process']} is {values['process']} but {named['processes']} is "
            f"{values['processes']}: processes are counted from 0"
        )
    return Place(**values)


def _count(name: str, value) -> int:
    if not str(value).isdigit():
        raise UserError(f"{name} must be a whole number from 0 on, not {value!r}")
    return int(value)


def _detected(environ: Mapping) -> Place | None:
    """What jax finds by itself.  It reads os.environ; `environ` is for what it leaves out."""
    from jax._src import clusters

    ids = environ.get("JAX_LOCAL_DEVICE_IDS")
    address = environ.get("JAX_COORDINATOR_ADDRESS")
    if _without_srun(environ):
        return None  # jax would wait for tasks that nobody starts
    try:
        with warnings.catch_warnings(action="ignore"):  # in a pod, of what it would need to look
            place = Place(
                *clusters.ClusterEnv.auto_detect_unset_distributed_params(
                    address,
                    None,
                    None,
                    [int(i) for i in ids.split(",")] if ids else None,
                    None,
                    CONNECT_TIMEOUT,
                )
            )
    except Exception as error:  # of any kind: each cluster asks in its own way
        if "KUBERNETES_SERVICE_HOST" in environ and "JOB_COMPLETION_INDEX" not in environ:
            return None  # a pod by itself, which has nobody to find
        raise UserError(
            f"the other processes cannot be found ({' '.join(str(error).split())[:200]}); say "
            "where they are with --coordinator, --processes and --process"
        ) from error
    if place.processes is None and address:
        raise UserError(
            "JAX_COORDINATOR_ADDRESS is set, but jax knows neither how many processes there are "
            "nor which one this is; set IMUJAX_COORDINATOR, IMUJAX_PROCESSES and IMUJAX_PROCESS"
        )
    if place.processes in (None, 1):
        return None
    seen = [gpu for gpu in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
    if place.devices and seen and max(place.devices) >= len(seen):
        # SLURM has bound GPUs to each task, which then sees only its own; jax counts over the node.
        place = place._replace(devices=None)
    return place


def _without_srun(environ: Mapping) -> bool:
    """Whether this is the shell of a SLURM job of several tasks, not one of the tasks."""
    tasks = environ.get("SLURM_NTASKS", "1")
    step = environ.get("SLURM_STEP_NUM_TASKS", tasks)  # 1 in the shell that salloc opens on a node
    task = "SLURM_STEP_NODELIST" in environ and step == tasks
    return tasks != "1" and not task and "OMPI_COMM_WORLD_SIZE" not in environ


def warning_if_alone(environ: Mapping = os.environ) -> str | None:
    """For a process that is alone: what looks as if it should not be, None if nothing does."""
    if _without_srun(environ):
        return (
            f"SLURM has {environ['SLURM_NTASKS']} tasks for this job but this is one process by "
            "itself: start it with srun"
        )
    if "JOB_COMPLETION_INDEX" in environ:
        return (
            f"this is pod {environ['JOB_COMPLETION_INDEX']} of an indexed job but trains by "
            "itself: set IMUJAX_COORDINATOR, IMUJAX_PROCESSES and IMUJAX_PROCESS"
        )
    return None


def warning_if_gpus_idle(used: int, environ: Mapping = os.environ) -> str | None:
    """What to say where GPUs of this node stand idle, None where none does.

    used: the GPUs that jax uses in this process.
    """
    node = environ.get("SLURM_GPUS_ON_NODE", "")
    seen = [gpu for gpu in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
    tasks = environ.get("SLURM_STEP_TASKS_PER_NODE") or environ.get("SLURM_NTASKS_PER_NODE", "")
    tasks = int(re.match(r"\d*", tasks)[0] or 1)  # "4(x2)": four on each of two nodes
    if node.isdigit() and used * tasks < int(node):
        return (
            f"{int(node) - used * tasks} of the {node} GPUs of this node stand idle ({tasks} "
            f"processes of {used}): start a task for each GPU, srun --ntasks-per-node={node}, or "
            "name those of one process in JAX_LOCAL_DEVICE_IDS"
        )
    if not node and used < len(seen):
        return (
            f"{len(seen) - used} of the {len(seen)} GPUs in CUDA_VISIBLE_DEVICES stand idle: jax "
            f"uses {used} in this process; is jax[cuda] installed, and JAX_LOCAL_DEVICE_IDS right?"
        )
    return None


@contextlib.contextmanager
def join_run(given: Mapping = {}):
    """Join the other processes of the run, if there are any; to be entered before jax is used.

    given: as for `find`.  One of several processes that fails ends at once: to leave in good order
    it would wait for the others, which wait for it.  Raises UserError where they do not meet.
    """
    import jax

    from imujax.runtime import sharding  # noqa: F401, sets what devices need before they start

    place = find_place(given)
    if place is None:
        _say(warning_if_alone())
    else:
        # Over gloo, the collectives of two programs must not overtake each other.
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        try:
            jax.distributed.initialize(
                *place,
                cluster_detection_method="deactivate",
                initialization_timeout=CONNECT_TIMEOUT,
            )
        except RuntimeError as error:
            raise UserError(
                f"process {place.process} of {place.processes} does not meet the others at "
                f"{place.coordinator} ({' '.join(str(error).split())[:200]}); start all of them, "
                "with the same HOST:PORT, free on the machine of process 0"
            ) from error
    try:
        if place is not None and jax.default_backend() == "cpu":
            # Of several CPU processes only number 0 fills the cache, and only it finds something
            # there.  A program from the cache exchanges arrays in another order than the same
            # program compiled anew by the others: gloo aborts.
            jax.config.update("jax_enable_compilation_cache", False)
        wanted = not os.environ.get("JAX_PLATFORMS", "").startswith("cpu")
        if wanted and {"SLURM_GPUS_ON_NODE", "CUDA_VISIBLE_DEVICES"} & os.environ.keys():
            _say(
                warning_if_gpus_idle(
                    jax.local_device_count() if jax.default_backend() == "gpu" else 0
                )
            )
        yield
    except (Exception, KeyboardInterrupt) as error:
        if place is None:
            raise
        status = 1
        if isinstance(error, UserError):
            status = 2
            _say(f"process {place.process}: {error}")
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


def _say(text: str | None):
    if text:
        print(f"imujax: {text}", file=sys.stderr)


def is_main() -> bool:
    """Whether this is the process that writes and speaks for all: number 0, or the only one."""
    return _number() == 0


def _number() -> int:
    from jax._src import distributed  # jax.process_index would start the devices

    return distributed.global_state.process_id


def _client():
    """What processes leave notes for each other with, None for a process that is alone."""
    from jax._src import distributed  # jax's own barrier and orbax's give up after minutes

    return distributed.global_state.client


_turns = itertools.count()  # numbers the calls of `first` and `every`, alike on all processes
_asked = itertools.count(1)  # numbers the calls of `reached`: jax means 1 if told before any


def on_main(make: Callable[[], object]):
    """make() on process 0, while the others wait; its value, which JSON must hold, on all of them.

    Raises UserError on all processes where process 0 did.
    """
    client = _client()
    if client is None:
        return make()
    key = f"imujax/first/{next(_turns)}"
    if is_main():
        try:
            value = make()
        except UserError as error:
            client.key_value_set(key, json.dumps({"error": str(error)}))
            raise
        client.key_value_set(key, json.dumps({"value": value}))
    said = json.loads(client.blocking_key_value_get(key, MAIN_TIMEOUT * 1000))
    if "error" in said:
        raise UserError(f"process 0 has stopped: {said['error']}")
    return said["value"]


def on_all(check: Callable[[], object]):
    """check() on all processes.  Raises UserError on all of them where one did."""
    client, mine = _client(), None
    if client is None:
        check()
        return
    try:
        check()
    except UserError as error:
        mine = str(error)
    key, number = f"imujax/every/{next(_turns)}", _number()
    client.key_value_set(f"{key}/{number}", json.dumps([number, mine]))
    client.wait_at_barrier(key, MAIN_TIMEOUT * 1000)
    said = sorted(json.loads(value) for _, value in client.key_value_dir_get(key))
    for other, text in said:
        if mine or text:
            raise UserError(mine or f"process {other} has stopped: {text}")


@contextlib.contextmanager
def claim_folder(folder: str | pathlib.Path):
    """Keep other runs out of `folder`, which is made, while this one writes there.

    Process 0 holds the lock for all; it ends with that process, however it ends.  Where another run
    has it, this one waits PATIENCE s, then raises UserError: the other may be about to end, or the
    file system about to find that its machine is lost.  Where no file can be locked nobody is kept
    out.
    """
    held = []
    try:
        on_main(lambda: held.extend(_locked(pathlib.Path(folder))))
        yield
    finally:
        for file in held:
            file.close()


def _locked(folder: pathlib.Path) -> list:
    """The lock file of `folder`, held; empty where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_FILE).open("ab+", buffering=0)
        file.seek(0)
    except OSError:
        return []  # who has more to write there will say so
    if not host.lock(file, 0):
        other = f"another run writes to {folder} ({file.read().decode().strip()})"
        _say(f"{other}: waiting up to {CLAIM_TIMEOUT} s for it to end")
        if not host.lock(file, CLAIM_TIMEOUT):
            file.close()
            raise UserError(
                f"{other}: stop it, take another --workdir, or, if its machine is lost, delete "
                f"{folder / LOCK_FILE}"
            )
    with contextlib.suppress(OSError):
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return [file]


class PreemptionNotice:
    """Takes SIGTERM as a wish to save and end, while it is open.

    A process that is alone hears it itself.  Of several, jax tells all when one has heard it, and
    agrees on the step: `reached` is true on all of them at the same call.
    """

    def __init__(self):
        self.heard, self.before = False, None

    def __enter__(self):
        from jax import distributed

        # jax has its own handler where there are several; only the main thread may have one.
        main = threading.current_thread() is threading.main_thread()
        if main and not distributed.is_initialized():
            self.before = signal.signal(signal.SIGTERM, self._hear)
        return self

    def __exit__(self, *exception):
        if self.before is not None:
            signal.signal(signal.SIGTERM, self.before)

    def _hear(self, *_):
        self.heard = True

    def reached(self) -> bool:
        """Whether to save and end now; to be called once after each step."""
        from jax.experimental import multihost_utils

        return self.heard or multihost_utils.reached_preemption_sync_point(next(_asked))


def exit_preempted(text: str):
    """End this process with the status PREEMPTED; process 0 says why."""
    if is_main():
        _say(text)
    raise SystemExit(PREEMPTED)
