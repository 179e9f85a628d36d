"""The sweep of one labelled task: every cell of the grid in every arm and stage, and tables out.

Test subjects are seen once, by the final runs.  A row of runs.csv is one cell of the grid in one
arm and stage, at one point of an axis; a row of training.csv is one stop on the way of a run.
"""

import functools
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from imujax.data import datasets, rates, targets
from imujax.errors import UserError
from imujax.pretrain import encoder
from imujax.runtime import files, log, processes
from imujax.runtime.settings import require_same_settings
from imujax.sweep import (
    arms,
    audit,
    choices,
    finals,
    grid,
    reference_runs,
    references,
    results,
    runs,
    shares,
)
from imujax.sweep.settings import TaskSettings

SETTINGS_LOCK = "settings.lock"  # whoever begins a folder holds it for a moment


def run_sweep(
    config: ConfigDict,
    data_path: pathlib.Path | str,
    encoder_paths: Mapping[str, Sequence[pathlib.Path | str]],
    workdir: pathlib.Path | str,
    seed: int,
    name: str,
    share: shares.Share | None = None,
) -> pathlib.Path | None:
    """Run the sweep of one task; called again it goes on, and a finished one returns at once.

    Parameters
    ----------
    config : ConfigDict
        A task's section of a configuration, see configs/common.py.
    data_path : Path
        Folder of the labelled data set.
    encoder_paths : mapping of str to sequence of Path
        Folders of each encoder's pre-trainings.
    workdir : Path
        Folder of the results.
    seed : int
        Of folds, subsets, random weights and batches.
    name : str
        The task's name, for the tables and the progress bar.
    share : Share, optional
        Do this share alone, and write the tables if all others are done.

    Returns
    -------
    Path or None
        `workdir`, with runs.csv, training.csv, predictions.npz and summary.json; None where other
        shares have still to come.

    Raises
    ------
    UserError
        The data set has no target or does not fit an encoder, an encoder is not trained to its end
        or has seen what is tested on, a person stands there under two names, the folder holds
        another sweep, or another run writes there.
    """
    workdir = pathlib.Path(workdir)
    data = read_labelled(config, data_path)
    used = {arm.encoder for arm in config.arms.values()}
    encoders: dict[str, list[encoder.Encoder]] = {key: [] for key in sorted(used)}
    for key, members in encoders.items():
        for path in encoder_paths[key]:
            trained = encoder.load(path)
            rates.require_labelled(config.targets, data.info, trained.rate, str(data_path))
            require_trained(trained.card, key)
            members.append(trained)
    cells = grid.make_grid(config, data.subject, seed)
    tested = {key: _require_own_folds(key, of, data, cells) for key, of in encoders.items()}
    audit.require_separate(data_path, {key: encoder_paths[key] for key in encoders}, tested)
    settings = json.loads(config.to_json()) | {
        "seed": seed,
        "data": [datasets.fingerprint(data_path)],
        "encoders": {
            key: [one.card["settings"] | {"digest": one.weights_digest} for one in members]
            for key, members in encoders.items()
        },
    }
    every = dict.fromkeys((*config.arms, shares.REFERENCES), cells)
    run = functools.partial(run_cells, config, data, encoders, seed, name, cells)
    write = functools.partial(results.write_results, workdir, name, settings, data, encoders)
    parts = workdir / "parts"
    if share is None:
        with processes.claim_folder(workdir):
            begin_folder(workdir, settings)
            if not results.is_complete(workdir):
                results.tell_loss(workdir, name)
                _tell_rates(name, data, encoders)
                write(*run(every, runs.Parts(parts)))
        return workdir
    begin_folder(workdir, settings)
    if results.is_complete(workdir):
        return workdir
    results.tell_loss(workdir, name)
    _tell_rates(name, data, encoders)
    try:
        with processes.claim_folder(workdir, f"run_{share.number}_of_{share.count}.lock"):
            run(shares.own_cells(config, cells, share), runs.Parts(parts))
            is_last = shares.note_done(share, parts)
    except FileNotFoundError:  # of the parts, if others have done this share meanwhile
        if results.is_complete(workdir):
            return workdir
        raise
    if not is_last:
        return None
    with processes.claim_folder(workdir):
        if not results.is_complete(workdir):
            write(*run(every, runs.Parts(parts)))
    return workdir


def run_cells(
    config: ConfigDict,
    data: datasets.Dataset,
    encoders: Mapping[str, Sequence[encoder.Encoder]],
    seed: int,
    name: str,
    cells: Sequence[grid.Cell],
    own: Mapping[str, Sequence[grid.Cell]],
    parts: runs.Parts,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Do the runs of all arms and the references on cells of a task's grid.

    Arms see the windows at the rate of their encoder, those of random weights as those of
    pre-trained ones; references see them as they are.

    Parameters
    ----------
    config, seed, name
        See `run_sweep`.
    data : Dataset
        The labelled examples.
    encoders : mapping of str to sequence of Encoder
        The pre-trainings of each encoder.
    cells : sequence of Cell
        The grid of the task.
    own : mapping of str to sequence of Cell
        Those to be done, of each arm and of shares.REFERENCES.
    parts : Parts

    Returns
    -------
    rows, training : list of dict
        See `finals.final_rows`.
    """
    progress = log.Progress(count_runs(config, cells, own), name, "run", first="compiling")
    rows, training, arm_by_label, trainers = [], [], {}, {}
    at_rate: dict[float, datasets.Dataset] = {}
    for label, spec in config.arms.items():
        members = encoders[spec.encoder]
        rate = members[0].rate
        if rate not in at_rate:
            at_rate[rate] = rates.at_rate(data, rate)
        arm = arms.Arm(label, config, at_rate[rate], cells, members, spec, seed, trainers)
        chosen, inner = choices.choose_settings(arm, own[label], data.subject, parts, progress)
        final, outer = finals.final_rows(arm, own[label], chosen, parts, progress)
        rows, training = rows + final, training + inner + outer
        arm_by_label[label] = arm
    rows += reference_runs.reference_rows(
        config, arm_by_label, own[shares.REFERENCES], data, seed, parts, progress
    )
    progress.close()
    return rows, training


def is_done(workdir: pathlib.Path) -> bool:
    """Say whether the tables of a task are there."""
    return results.is_complete(workdir)


def read_labelled(config: ConfigDict, data_path: pathlib.Path | str) -> datasets.Dataset:
    """Read the labelled examples of a task; UserError where there is no such target or sensor, or a
    reference does not fit it."""
    data = datasets.read(data_path, sensors=tuple(config.sensors) or None)
    data = targets.select(data, config.targets, str(data_path))
    references.require_fit(config.references, data)
    return data


def _tell_rates(
    name: str, data: datasets.Dataset, encoders: Mapping[str, Sequence[encoder.Encoder]]
) -> None:
    """Say on stderr which arms see the windows at another rate than references do."""
    own = data.info["rate"]
    for key, members in encoders.items():
        if not rates.are_same(own, members[0].rate):
            print(
                f"{name}: all arms of encoder {key} see the windows brought from {own:g} to "
                f"{members[0].rate:g} Hz, references see them as they are",
                file=sys.stderr,
            )


def require_trained(card: dict, key: str) -> None:
    """UserError if a pre-training of encoder `key` has not come to its end."""
    steps = card["settings"]["steps"]
    if card["step"] < steps:
        raise UserError(
            f"encoder {key} stands at step {card['step']} of {steps}; "
            "finish `imujax pretrain` first"
        )


def _require_own_folds(
    key: str,
    members: Sequence[encoder.Encoder],
    data: datasets.Dataset,
    cells: Sequence[grid.Cell],
) -> list[list[str] | None]:
    """Whom each pre-training is tested on; None for one that serves all folds.

    UserError where one was made without others than those whom its fold tests, or a fold has none.
    """
    names: dict[int, set[str]] = {cell.fold: set() for cell in cells}
    for cell in cells:
        names[cell.fold] |= set(data.subject[cell.test].tolist())
    served = [encoder.own_fold(one.card) for one in members]
    for fold, one in zip(served, members, strict=True):
        if fold is None:
            return [None] * len(members)
        without = one.card["settings"]["without"]["subjects"]
        own = names.get(fold, set())
        if not own or not own <= set(without):
            raise UserError(
                f"encoder {key} was trained without {', '.join(without)} for fold {fold}, in which "
                f"{', '.join(sorted(own)) or 'nobody'} is tested: give `imujax pretrain` another "
                "folder"
            )
    if missing := sorted(names.keys() - set(served)):
        raise UserError(
            f"encoder {key} is trained fold by fold, and fold {missing[0]} has none: give the "
            "folder of the whole study, WORKDIR"
        )
    return [sorted(names[fold]) for fold in served if fold is not None]


def begin_folder(workdir: pathlib.Path, settings: dict):
    """Make the folder of a task and note what runs there; other settings in it are a UserError."""
    with processes.claim_folder(workdir, SETTINGS_LOCK):
        _require_settings(workdir, settings)


def _require_settings(workdir: pathlib.Path, settings: dict):
    for file, read in (("settings.json", dict), ("summary.json", lambda kept: kept["config"])):
        try:
            old = read(json.loads((workdir / file).read_text(encoding="utf-8")))
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{workdir / file} is damaged: delete {workdir}, and the task is run again"
            ) from None
        require_same_settings(old, settings, workdir, TaskSettings)
    workdir.mkdir(parents=True, exist_ok=True)
    if not (workdir / "settings.json").exists():
        text = json.dumps(settings, indent=1, sort_keys=True)
        files.write_text(workdir / "settings.json", text, is_shared=True)


def count_runs(
    config: ConfigDict, cells: Sequence[grid.Cell], own: Mapping[str, Sequence[grid.Cell]]
) -> int:
    """How many runs there are on some cells of a grid, for the progress bar."""
    width = max(len(cell.train) for cell in cells)
    inner = (choices.count_inner(config, cell, width) for arm in config.arms for cell in own[arm])
    return sum(map(len, own.values())) + sum(inner)
