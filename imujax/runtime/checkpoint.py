"""Checkpoints that explain themselves; the only file that knows orbax.

A checkpoint folder holds numbered steps.  Each has two items: `state`, the tree {step, params,
stats, opt}, and `card`, JSON with everything needed to use the weights without the training code's
configuration: network, input scales, sensors, rate, window, full configuration, versions, commit.
"""

import contextlib
import errno
import json
import os
import pathlib
import shutil
import sys
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore
from absl import logging

from imujax.errors import UserError, shorten
from imujax.runtime import processes

logging.set_verbosity(logging.ERROR)  # orbax reports every save at length

CARD_KEYS = {"net", "scales", "rate", "window", "settings", "provenance"}  # what a card must have
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
PARTIAL_GLOB = "*.orbax-checkpoint-tmp*"  # what orbax calls a checkpoint that is being written
UNREADABLE = (AttributeError, KeyError, OSError, TypeError, ValueError)  # raised by damaged files


class _Manager(ocp.CheckpointManager):
    """Orbax's, but pretrain's loop alone asks whether to stop: jax takes each question for a step
    (processes.PreemptionNotice)."""

    def reached_preemption(self, step: int) -> bool:
        return False


class Checkpoints:
    """The numbered checkpoints of one folder, which all processes of a run see.

    Every process makes one, calls its methods alike, and closes it.  What a kill has left
    half-written is swept, damaged checkpoints are set aside for the newest sound one.

    Parameters
    ----------
    folder : Path or str
    keep : int
        How many of the newest checkpoints stay.

    Attributes
    ----------
    folder : Path
        Absolute.
    manager : orbax.checkpoint.CheckpointManager

    Raises
    ------
    UserError
        Where no checkpoint is sound.
    """

    def __init__(self, folder: pathlib.Path | str, keep: int = 2):
        self.folder = pathlib.Path(folder).absolute()
        processes.on_main(lambda: repair(self.folder))
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=False)
        with explain_full_disk(self.folder):
            self.manager = _Manager(self.folder, options=options)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.manager.close()

    def latest(self) -> int | None:
        """The newest finished step, None if there is none."""
        return self.manager.latest_step()

    def save(self, step: int, state: Any, card: dict[str, Any]):
        """Write one step; what a full disk interrupts is removed, earlier steps stay.

        Parameters
        ----------
        step : int
        state : pytree of jax.Array
        card : dict
            As JSON can hold it.

        Raises
        ------
        UserError
            Where the disk is full.
        """
        items = ocp.args.Composite(state=ocp.args.StandardSave(state), card=ocp.args.JsonSave(card))
        with explain_full_disk(self.folder):
            self.manager.save(step, args=items, force=True)

    def card(self, step: int) -> dict[str, Any]:
        """The card of `step`."""
        items = ocp.args.Composite(card=ocp.args.JsonRestore())
        return self.manager.restore(step, args=items)["card"]

    def restore(self, step: int, like: Any) -> Any:
        """The state of `step`, placed and typed as the tree `like`; UserError where it is another.

        An older imujax kept another state of the optimiser beside the same weights.
        """
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        items = ocp.args.Composite(state=ocp.args.StandardRestore(abstract))
        try:
            return self.manager.restore(step, args=items)["state"]
        except ValueError as error:
            if "structures do not match" not in str(error):
                raise
            raise UserError(
                f"the run in {self.folder} was begun by another version of imujax and cannot go on "
                f"from step {step}: finish it with that version, or delete the folder to begin anew"
            ) from error


@contextlib.contextmanager
def explain_full_disk(folder: pathlib.Path):
    """Turn a full disk into one sentence and sweep what was half-written under `folder`."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        # tensorstore reports the operating system's words in an error of its own
        if not any(os.strerror(number) in str(error) for number in DISK_FULL):
            raise
        for path in folder.glob(PARTIAL_GLOB):
            shutil.rmtree(path, ignore_errors=True)
        raise UserError(
            f"the disk of {folder} is full: no checkpoint could be written; free some space and "
            "run the same command again, it goes on from the last good checkpoint"
        ) from error


def repair(folder: pathlib.Path):
    """Sweep what is half-written; rename damaged checkpoints, so that the newest one is sound.

    Says so on stderr.  Raises UserError where no checkpoint is sound.
    """
    for path in folder.glob(PARTIAL_GLOB):
        shutil.rmtree(path, ignore_errors=True)
    damaged = {}
    for path in sorted(folder.glob("[0-9]*"), key=lambda p: int(p.stem), reverse=True):
        if not path.name.isdigit():
            continue
        try:
            verify(path)
            break
        except UNREADABLE as error:
            damaged[path] = shorten(error)
    else:
        if damaged:
            path, reason = next(iter(damaged.items()))
            raise UserError(
                f"the checkpoint {path} cannot be read ({reason}) and there is no sound one before "
                f"it; delete {folder} to start from the beginning"
            )
    for path, reason in damaged.items():
        aside = path.with_name(f"{path.name}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        print(
            f"imujax: the checkpoint {path} cannot be read ({reason}): it is now {aside.name}, and "
            "the one before it is used",
            file=sys.stderr,
        )


def verify(folder: pathlib.Path):
    """Read one checkpoint to its last byte; raises one of UNREADABLE where it is damaged.

    Without orbax, which of several processes needs all, and which prints a traceback an array.
    """
    metadata = [folder / "card" / "metadata", folder / "state" / "_METADATA"]
    for path in (*metadata, *(folder / "state" / "array_metadatas").glob("*")):
        json.loads(path.read_bytes())
    store = {"driver": "ocdbt", "base": f"file://{folder}/state/"}
    keys = [key.decode() for key in tensorstore.KvStore.open(store).result().list().result()]
    names = [key.removesuffix(".zarray") for key in keys if key.endswith("/.zarray")]
    if not names:
        raise ValueError("state holds no array")
    for name in names:
        array = {"driver": "zarr", "kvstore": store | {"path": name}}
        tensorstore.open(array).result().read().result()


def read_newest(folder: pathlib.Path | str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the newest checkpoint of a folder on this host; no model code is needed.

    Parameters
    ----------
    folder : Path or str

    Returns
    -------
    card : dict
        With the step that it is of, as `step`.
    state : dict
        {"params": .., "stats": ..}, arrays of NumPy whatever mesh they were saved from.

    Raises
    ------
    UserError
        Where there is no checkpoint, or a damaged one, or one that is not of imujax.
    """
    folder = pathlib.Path(folder).absolute()
    steps = [int(path.parent.name) for path in folder.glob("*/card") if path.parent.name.isdigit()]
    if not steps:
        raise UserError(
            f"{folder} holds no checkpoint; give the folder that `imujax pretrain` wrote, "
            "for instance WORKDIR/encoders/NAME"
        )
    newest = folder / str(max(steps))
    try:
        card, state = _read_step(newest)
    except UNREADABLE as error:
        raise UserError(
            f"the checkpoint {newest} cannot be read ({shorten(error)}); delete that folder, the "
            "one before it is then the newest"
        ) from error
    missing = CARD_KEYS - card.keys()
    if missing:
        raise UserError(f"the card of {newest} lacks {', '.join(sorted(missing))}: not of imujax")
    return card | {"step": max(steps)}, state


def _read_step(folder: pathlib.Path) -> tuple[dict, dict]:
    with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
        card = reader.restore(folder / "card")
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
        tree = reader.metadata(folder / "state").item_metadata.tree
        item = {key: tree[key] for key in ("params", "stats")}
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), item)
        state = reader.restore(
            folder / "state",
            args=ocp.args.PyTreeRestore(item=item, restore_args=as_numpy, partial_restore=True),
        )
    return card, state
