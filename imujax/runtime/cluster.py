"""Where this process is among several: flags, variables, or what jax detects.

Asked in this order: the flags of the command line, the variables IMUJAX_COORDINATOR,
IMUJAX_PROCESSES and IMUJAX_PROCESS, what jax detects (TPU pod, SLURM under srun, Open MPI,
Kubernetes); a process that finds nothing is alone.
"""

import itertools
import os
import re
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

from imujax.errors import UserError, shorten

CONNECT_TIMEOUT = 300  # s for the processes to find each other
PLACE_FIELDS = ("coordinator", "processes", "process")


class Place(NamedTuple):
    """One process of several: HOST:PORT of process 0, how many there are, which one this is, and
    the numbers of its GPUs on this node (None: all that it sees)."""

    coordinator: str
    processes: int
    process: int
    devices: list[int] | None = None


def find_place(
    flags: Mapping[str, Any] = {}, environ: Mapping[str, str] = os.environ
) -> Place | None:
    """The place of this process among several, None where it is alone.

    flags: those of PLACE_FIELDS that stand on the command line, None for those that do not.  Raises
    UserError for settings that are not whole or do not fit together.
    """
    names: dict[str, str] = {}
    values: dict[str, Any] = {}
    for field in PLACE_FIELDS:
        flag, variable = f"--{field}", f"IMUJAX_{field.upper()}"
        settings = {flag: flags.get(field), variable: environ.get(variable) or None}
        names[field], values[field] = next(
            ((name, value) for name, value in settings.items() if value is not None),
            (f"{flag} (or {variable})", None),
        )
    for field in PLACE_FIELDS[1:]:
        if values[field] is not None:
            values[field] = _parse_count(names[field], values[field])
    if values["processes"] == 1 and not values["process"]:
        return None  # alone, whatever is around
    missing = [field for field in PLACE_FIELDS if values[field] is None]
    if len(missing) == len(PLACE_FIELDS):
        return _detect_place(environ)
    if missing:
        present = next(names[field] for field in PLACE_FIELDS if field not in missing)
        raise UserError(
            f"{present} is given but not {' and '.join(names[field] for field in missing)}: "
            "several processes need all three"
        )
    if not re.fullmatch(r".+:\d+", values["coordinator"]):
        raise UserError(
            f"{names['coordinator']} must be HOST:PORT of process 0, not {values['coordinator']!r}"
        )
    if values["process"] >= values["processes"]:
        raise UserError(
            f"{names['process']} is {values['process']} but {names['processes']} is "
            f"{values['processes']}: processes are counted from 0"
        )
    return Place(values["coordinator"], values["processes"], values["process"])


def _parse_count(name: str, value: object) -> int:
    if not str(value).isdigit():
        raise UserError(f"{name} must be a whole number from 0 on, not {value!r}")
    return int(str(value))


def _detect_place(environ: Mapping[str, str]) -> Place | None:
    """What jax finds by itself.  It reads os.environ; `environ` is for what it leaves out."""
    from jax._src import clusters

    ids = environ.get("JAX_LOCAL_DEVICE_IDS")
    address = environ.get("JAX_COORDINATOR_ADDRESS")
    if _lacks_srun(environ):
        return None  # jax would wait for tasks that nobody starts
    try:
        with warnings.catch_warnings(action="ignore"):  # in a pod, of what it would need to look
            devices = [int(i) for i in ids.split(",")] if ids else None
            detected: tuple[Any, ...] = clusters.ClusterEnv.auto_detect_unset_distributed_params(
                address, None, None, devices, None, CONNECT_TIMEOUT
            )
            place = Place(*detected)
    except Exception as error:  # of any kind: each cluster asks in its own way
        if "KUBERNETES_SERVICE_HOST" in environ and "JOB_COMPLETION_INDEX" not in environ:
            return None  # a pod by itself, which has nobody to find
        raise UserError(
            f"the other processes cannot be found ({shorten(error, 200)}); say where they are with "
            "--coordinator, --processes and --process"
        ) from error
    if place.processes is None and address:
        raise UserError(
            "JAX_COORDINATOR_ADDRESS is set, but jax knows neither how many processes there are "
            "nor which one this is; set IMUJAX_COORDINATOR, IMUJAX_PROCESSES and IMUJAX_PROCESS"
        )
    if place.processes in (None, 1):
        return None
    visible = _visible_gpus(environ)
    if place.devices and visible and max(place.devices) >= len(visible):
        # SLURM has bound GPUs to each task, which then sees only its own; jax counts over the node.
        place = place._replace(devices=None)
    return place


def _visible_gpus(environ: Mapping[str, str]) -> list[str]:
    return [gpu for gpu in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]


def _lacks_srun(environ: Mapping[str, str]) -> bool:
    """Whether this is the shell of a SLURM job of several tasks, not one of the tasks."""
    tasks = environ.get("SLURM_NTASKS", "1")
    # 1 in the shell that salloc opens on a node
    step_tasks = environ.get("SLURM_STEP_NUM_TASKS", tasks)
    is_task = "SLURM_STEP_NODELIST" in environ and step_tasks == tasks
    return tasks != "1" and not is_task and "OMPI_COMM_WORLD_SIZE" not in environ


def warning_if_alone(environ: Mapping[str, str] = os.environ) -> str | None:
    """For a process that is alone: what looks as if it should not be, None if nothing does."""
    if _lacks_srun(environ):
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


def warning_if_gpus_idle(used: int, environ: Mapping[str, str] = os.environ) -> str | None:
    """What to say where GPUs of this node stand idle, None where none does.

    used: the GPUs that jax uses in this process.
    """
    node_gpus = environ.get("SLURM_GPUS_ON_NODE", "")
    visible = _visible_gpus(environ)
    # "4(x2)": four on each of two nodes
    layout = environ.get("SLURM_STEP_TASKS_PER_NODE") or environ.get("SLURM_NTASKS_PER_NODE", "")
    tasks = int("".join(itertools.takewhile(str.isdigit, layout)) or 1)
    if node_gpus.isdigit() and used * tasks < int(node_gpus):
        return (
            f"{int(node_gpus) - used * tasks} of the {node_gpus} GPUs of this node stand idle "
            f"({tasks} processes of {used}): start a task for each GPU, srun "
            f"--ntasks-per-node={node_gpus}, or name those of one process in JAX_LOCAL_DEVICE_IDS"
        )
    if not node_gpus and used < len(visible):
        return (
            f"{len(visible) - used} of the {len(visible)} GPUs in CUDA_VISIBLE_DEVICES stand idle: "
            f"jax uses {used} in this process; is jax[cuda] installed, and JAX_LOCAL_DEVICE_IDS "
            "right?"
        )
    return None
