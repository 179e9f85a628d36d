"""What a study can fail at, looked for before its first step: nothing here trains.

First what the configuration, the cards and the names of files say, before anything is built; then
what the data sets say, before anything is trained.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from imujax.data import datasets, rates, sensor_windows, targets
from imujax.errors import UserError, require_known


def require_matching(config: ConfigDict, descriptions: Mapping[str, Mapping[str, Any]]) -> None:
    """Require that data sets have what encoders and tasks ask of them.

    Parameters
    ----------
    config : ConfigDict
        Of the study.
    descriptions : mapping of str to mapping
        Of each data set {sensors, rate, window, targets, ...}, built or not; sets that are not
        named here are not looked at.

    Raises
    ------
    UserError
        Another rate (of a task one that cannot be brought to its encoder's), too short windows, a
        sensor or a target that is not there.
    """
    for name, section in config.encoders.items():
        for key in set(section.data) & set(descriptions):
            described = descriptions[key]
            sensor_windows.require_rate_and_window(
                described, f"data set {key}", section.rate, section.window
            )
            for sensor in section.sensors:
                require_known(f"encoders.{name}.sensors", sensor, described["sensors"])
    for name, task in config.tasks.items():
        if task.data not in descriptions:
            continue
        described = descriptions[task.data]
        targets.require(task.targets, described, f"tasks.{name}.data, {task.data},")
        for sensor in task.sensors:
            require_known(f"tasks.{name}.sensors", sensor, described["sensors"])
        for arm in task.arms.values():
            rate = config.encoders[arm.encoder].rate
            rates.require_labelled(task.targets, described, rate, f"data set {task.data}")


def require_enough(config: ConfigDict, paths: Mapping[str, Path | str]) -> None:
    """Require that the data sets of each encoder fill a batch and leave subjects to train on.

    Parameters
    ----------
    config : ConfigDict
        Of the study.
    paths : mapping of str to Path
        Folders of the data sets.

    Raises
    ------
    UserError
        A batch is larger than all sensor-windows, or all subjects would be held out.
    """
    for name, section in config.encoders.items():
        sets = {key: datasets.read_metadata(paths[key]) for key in section.data}
        if not sets:
            continue
        count = sum(one["kept"] * len(section.sensors or one["sensors"]) for one in sets.values())
        if count < section.batch:
            raise UserError(
                f"encoders.{name}.batch is {section.batch}, but {', '.join(sets)} have "
                f"{count} sensor-windows in all; lower it"
            )
        subjects = [f"{key}/{subject}" for key, one in sets.items() for subject in one["subjects"]]
        sensor_windows.monitor_mask(np.array(subjects), section.monitor, config.seed)


def tested_subjects(
    config: ConfigDict, paths: Mapping[str, Path | str]
) -> dict[str, list[list[str]]]:
    """Say who is tested in each fold of the tasks that encoders are trained fold by fold for.

    Parameters
    ----------
    config : ConfigDict
        Of the study.
    paths : mapping of str to Path
        Folders of the data sets of these tasks and encoders.

    Returns
    -------
    dict of list of list of str
        For each such task, by its name.

    Raises
    ------
    UserError
        The data sets of such an encoder have somebody whom the labelled set does not know: under
        another name it might be a test subject.
    """
    from imujax.sweep import audit

    tested: dict[str, list[list[str]]] = {}
    for name, section in config.encoders.items():
        if "without" not in section:
            continue
        task = config.tasks[section.without]
        if section.without not in tested:
            tested[section.without] = audit.tested_subjects(task, paths[task.data], config.seed)
        labelled = {one for names in tested[section.without] for one in names}
        labelled |= set(datasets.read_metadata(paths[task.data])["subjects"])
        people = {
            one for key in section.data for one in datasets.read_metadata(paths[key])["subjects"]
        }
        strangers = sorted(people - labelled)
        if strangers and not section.others:
            raise UserError(
                f"encoders.{name} is trained without the test subjects of {section.without}, who "
                f"are known by their names, but {', '.join(section.data)} have {strangers[0]}"
                f"{f' and {len(strangers) - 1} more' if strangers[1:] else ''}, whom "
                f"{task.data} does not have: give everybody one name in both, or, where these are "
                "other people, say others=True"
            )
    return tested


def other_axes(config: ConfigDict, descriptions: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Say where an encoder's data sets name their axes in other words than a task's.

    Parameters
    ----------
    config : ConfigDict
        Of the study.
    descriptions : mapping of str to mapping
        Of each data set {frame, ...}.

    Yields
    ------
    str
        A sentence for each task, encoder and data set of which that holds.
    """
    for name, task in config.tasks.items():
        own = descriptions[task.data].get("frame")
        for key in sorted({arm.encoder for arm in task.arms.values()}):
            section = config.encoders[key]
            for data in section.data:
                frame = descriptions[data].get("frame")
                if own and frame and own != frame:
                    yield (
                        f'task {name}, encoder {key}: the axes of {data} are "{frame}", those of '
                        f'{task.data} "{own}", and rotation is {section.rotation:g} degrees: do '
                        "they agree? See Axes in data_builders/README.md"
                    )


def look_ahead(config: ConfigDict, paths: Mapping[str, Path | str]) -> Iterator[str]:
    """Go through what a study does after its data sets are there, short of training.

    Parameters
    ----------
    config : ConfigDict
        Of the study.
    paths : mapping of str to Path
        Folders of all data sets.

    Yields
    ------
    str
        What was looked at.

    Raises
    ------
    UserError
        What pre-training, sweep or audit would raise.
    """
    from imujax.sweep import audit, rehearsal

    described = {name: datasets.read_metadata(path) for name, path in paths.items()}
    require_matching(config, described)
    require_enough(config, paths)
    yield from other_axes(config, described)
    yield from audit.audit_configuration(config, paths)
    for name, task in config.tasks.items():
        found = rehearsal.rehearse(task, paths[task.data], config.encoders, config.seed)
        yield f"task {name}: {found}"
