"""The whole study from one configuration: data sets, encoders, sweeps, report.

Every step is re-entrant, so the study picks up where it was stopped.  A configuration is a
ConfigDict {seed, data_sets, encoders, tasks}, see configs/README.md.
"""

import contextlib
import dataclasses
import functools
import pathlib
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from imujax import checks
from imujax.data import builders, datasets
from imujax.errors import UserError, require_known
from imujax.runtime import fields

if TYPE_CHECKING:
    from imujax.sweep import shares

Folder = pathlib.Path | str
SEED_STEP = 1000  # between the pre-trainings of an encoder


def check_config(config: ConfigDict) -> None:
    """Check a configuration, before anything is done, and fill in what it leaves out.

    Parameters
    ----------
    config : ConfigDict
        Of `settings_class`.

    Raises
    ------
    UserError
        A field that does not exist, or a value that cannot be.
    """
    from imujax.pretrain import lineage
    from imujax.pretrain.settings import check_encoder
    from imujax.sweep.settings import check_task

    fields.check(settings_class(), config, "")
    fields.complete(settings_class(), config)
    for name, section in config.encoders.items():
        check_encoder(name, section, config.data_sets)
    lineage.parents_first(config.encoders)
    for name, section in config.encoders.items():
        if "without" in section:
            require_known(f"encoders.{name}.without", section.without, config.tasks)
            if config.tasks[section.without].folds == "leave_one_out":
                raise UserError(
                    f"encoders.{name}.without: tasks.{section.without}.folds is leave_one_out; "
                    "give the number of subjects, which is the same"
                )
    for name, section in config.tasks.items():
        check_task(name, section, config.data_sets, config.encoders)


@functools.cache
def settings_class() -> type:
    """The class of a whole configuration, see `imujax.runtime.fields`."""
    from imujax.data.settings import DataSetSettings
    from imujax.pretrain.settings import EncoderSettings
    from imujax.sweep.settings import TaskSettings

    @dataclasses.dataclass(frozen=True)
    class StudySettings:
        """An experiment."""

        seed: int = fields.setting(0, "of everything that is drawn", least=0)
        data_sets: dict[str, DataSetSettings] = fields.setting({}, "by name")
        encoders: dict[str, EncoderSettings] = fields.setting({}, "by name")
        tasks: dict[str, TaskSettings] = fields.setting({}, "by name")
        simulate: dict[str, dict[str, Any]] = fields.setting(
            fields.ABSENT, "for `imujax quickstart`: sets of simulated people to write first"
        )

    return StudySettings


def find_or_build(section: ConfigDict, data: Folder, raw: Folder | None = None) -> pathlib.Path:
    """The folder of one data set of the configuration, built where it is not there.

    Parameters
    ----------
    section : ConfigDict
        {builder, raw (folder below `raw`), options}.  An option `card` is a path below `raw`.
    data : Path
        Folder of the data sets.
    raw : Path, optional
        Folder of the raw files.  Without it nothing is built, and a card may be out of reach: then
        the one data set of its name is taken.

    Returns
    -------
    Path

    Raises
    ------
    UserError
        The data set is not there and cannot be built.
    """
    if raw is not None:
        place, options = _below_raw(section, raw)
        return builders.build(section.builder, place, data, **options)
    options = dict(section.options)
    try:
        if "card" in options and not pathlib.Path(options["card"]).is_file():
            name = pathlib.Path(options["card"]).stem
            built = [path.name for path in pathlib.Path(data, section.builder).glob(f"{name}_*")]
            if len(built) == 1:
                return datasets.find_dataset(data, f"{section.builder}/{built[0]}")
        return datasets.find_dataset(data, builders.dataset_name(section.builder, options))
    except UserError as error:
        raise UserError(f"{error}; build it first, or give the raw files with --raw") from error


def _below_raw(section: ConfigDict, raw: Folder) -> tuple[pathlib.Path, dict[str, Any]]:
    """The folder of a data set's raw files, and the builder's options, below the folder of all."""
    options = dict(section.options)
    if "card" in options:
        options["card"] = str(pathlib.Path(raw) / options["card"])
    return pathlib.Path(raw) / section.raw, options


def find_all(
    config: ConfigDict,
    names: Iterable[str],
    data: Folder,
    raw: Folder | None = None,
) -> dict[str, str]:
    """Find or build data sets, once the cards, options and raw files of all have been looked at.

    Parameters
    ----------
    config : ConfigDict
    names : iterable of str
        Of the data sets.
    data, raw : Path
        See `find_or_build`.

    Returns
    -------
    dict of str to str
        The folder of each.

    Raises
    ------
    UserError
        See `find_or_build`; or what is to be built will not fit an encoder or a task.
    """
    sections = {name: config.data_sets[name] for name in dict.fromkeys(names)}
    if raw is not None:
        described = {}
        for name, section in sections.items():
            place, options = _below_raw(section, raw)
            described[name] = builders.describe(section.builder, place, data, **options)
        checks.require_matching(config, described)
    return {name: str(find_or_build(section, data, raw)) for name, section in sections.items()}


def pretrain_all(
    config: ConfigDict, data: Folder, workdir: Folder, raw: Folder | None = None
) -> dict[str, list[pathlib.Path]]:
    """Pre-train the encoders of the configuration, each as often as its `seeds` says.

    Of several processes number 0 builds the data sets, on a path that all of them see.

    Parameters
    ----------
    config : ConfigDict
    data, workdir : Path
        Folders of the data sets and of the results.
    raw : Path, optional
        See `find_or_build`.

    Returns
    -------
    dict of str to list of Path
        The folders of each encoder's pre-trainings.
    """
    from imujax.pretrain import lineage, loop
    from imujax.runtime import processes

    folders = checkpoint_folders(config, workdir)
    order = lineage.parents_first(config.encoders)
    parents = {name: lineage.parent_folders(name, config.encoders, folders) for name in order}
    used = [key for section in config.encoders.values() for key in section.data]
    used += [
        config.tasks[section.without].data
        for section in config.encoders.values()
        if "without" in section
    ]

    def find() -> tuple[dict[str, str], dict[str, list[list[str]]]]:
        paths = find_all(config, used, data, raw)
        checks.require_enough(config, paths)
        return paths, checks.tested_subjects(config, paths)

    paths, tested = processes.on_main(find)
    for name in order:
        section, members = config.encoders[name], folders[name]
        # Without their number, for more of them may be asked for later.
        one = ConfigDict({key: value for key, value in section.items() if key != "seeds"})
        for number, (folder, (fold, member)) in enumerate(
            zip(members, _fold_members(config, name), strict=True)
        ):
            title = f"pretrain {name}, {number + 1} of {len(members)}"
            seed, own = config.seed + SEED_STEP * member, None
            if "without" in section:  # weights of its own in each fold
                names = tested[section.without][fold]
                own = {"task": section.without, "fold": fold, "subjects": names}
                seed += fold + 1
            parent = parents[name][member % len(parents[name])] if parents[name] else None
            sets = [paths[key] for key in section.data]
            loop.train(one, sets, folder, seed, title, parent, own)
    return folders


def checkpoint_folders(
    config: ConfigDict, workdir: Folder, instead: Folder | None = None
) -> dict[str, list[pathlib.Path]]:
    """The folders of each encoder's pre-trainings, below `workdir`.

    `instead`, the folder of an encoder or of one pre-training, a packed one or the name of one that
    comes with imujax, stands for them all.
    """
    from imujax.pretrain import encoder, packed

    if instead is not None:
        place = packed.find(instead)
        members = encoder.list_members(place) or [place]
        return dict.fromkeys(config.encoders, members)
    folders: dict[str, list[pathlib.Path]] = {}
    for name, section in config.encoders.items():
        root = pathlib.Path(workdir) / "encoders" / name
        folders[name] = [
            encoder.member_folder(
                encoder.fold_folder(root, fold) if "without" in section else root, member
            )
            for fold, member in _fold_members(config, name)
        ]
    return folders


def _fold_members(config: ConfigDict, name: str) -> list[tuple[int, int]]:
    """Fold and number of each pre-training of an encoder; of one for all folds 0 and its number.

    In a fold there are only those that one of its draws starts from (`Arm.start` in sweep/arms.py):
    with fewer draws than `seeds` they differ from fold to fold.
    """
    section = config.encoders[name]
    if "without" not in section:
        return [(0, member) for member in range(section.seeds)]
    task = config.tasks[section.without]
    count = task.folds if isinstance(task.folds, int) else len(task.folds)
    return [
        (fold, member)
        for fold in range(count)
        for member in sorted({(fold + draw) % section.seeds for draw in range(task.draws)})
    ]


def _is_pretrained(config: ConfigDict, workdir: Folder) -> bool:
    """Whether the last step of all encoders is there."""
    return all(
        (folder / str(config.encoders[name].steps)).is_dir()
        for name, members in checkpoint_folders(config, workdir).items()
        for folder in members
    )


def _each_task(
    config: ConfigDict, data: Folder, raw: Folder | None, only: str | None
) -> Iterator[tuple[str, ConfigDict, pathlib.Path]]:
    """Name, section and labelled data set of every task, or of one; UserError for no such task."""
    if only is not None:
        require_known("--task", only, config.tasks)
    for name in config.tasks if only is None else [only]:
        task = config.tasks[name]
        yield name, task, find_or_build(config.data_sets[task.data], data, raw)


def sweep_all(
    config: ConfigDict,
    data: Folder,
    checkpoints: dict[str, list[pathlib.Path]],
    workdir: Folder,
    raw: Folder | None = None,
    only: str | None = None,
    share: "shares.Share | None" = None,
) -> list[pathlib.Path]:
    """Run the sweep of every task of the configuration.

    Parameters
    ----------
    config : ConfigDict
    data : Path
        Folder of the data sets.
    checkpoints : dict of str to list of Path
        See `checkpoint_folders`.
    workdir : Path
        Folder of the results.
    raw : Path, optional
        See `find_or_build`.
    only : str, optional
        This task alone.
    share : Share, optional
        This share of each task alone, once the encoders are there.

    Returns
    -------
    list of Path
        The folder of each task's tables; of those whose tables are there.
    """
    from imujax.report import tables
    from imujax.sweep import sweep

    folders = {}
    for name, task, labelled in _each_task(config, data, raw, only):
        folder = pathlib.Path(workdir) / "tasks" / name
        sweep.run_sweep(task, labelled, checkpoints, folder, config.seed, name, share)
        tables.keep_configuration(workdir, config.to_json_best_effort(indent=1))
        folders[name] = folder
    if share is not None:  # others may have ended a task while this one was at the next
        for name in [name for name, folder in folders.items() if not sweep.is_done(folder)]:
            print(f"{name}: {share} is done, others are not", file=sys.stderr)
            del folders[name]
    return list(folders.values())


def fit_all(
    config: ConfigDict,
    data: Folder,
    checkpoints: dict[str, list[pathlib.Path]],
    workdir: Folder,
    raw: Folder | None = None,
    only: str | None = None,
    **options: Any,
) -> list[pathlib.Path]:
    """Fit a model for every task of the configuration, or for one; see `models.fit.fit_model`.

    Parameters
    ----------
    config, data, checkpoints, workdir, raw, only
        As of `sweep_all`.
    **options
        kind, arm and level of the models.

    Returns
    -------
    list of Path
        The folder of each model.
    """
    from imujax.models import fit

    folders, work = [], pathlib.Path(workdir)
    for name, task, labelled in _each_task(config, data, raw, only):
        place, swept = work / "models" / name, work / "tasks" / name
        arguments = (task, name, labelled, checkpoints, swept, place, config.seed)
        folders.append(fit.fit_model(*arguments, **options))
    return folders


def run_study(
    config: ConfigDict,
    data: Folder,
    workdir: Folder,
    raw: Folder | None = None,
    share: "shares.Share | None" = None,
    checkpoint: Folder | None = None,
) -> list[pathlib.Path]:
    """All of it -> the files of the report; arguments as of `pretrain_all` and `sweep_all`.

    Of several shares the last one writes the report. With the `checkpoint` of an encoder from
    elsewhere, which every arm takes, nothing is pre-trained. UserError where the encoders are not
    there yet and this is a share.
    """
    from imujax.report import report
    from imujax.runtime import processes

    if checkpoint is None:
        checkpoints = _find_encoders(config, data, workdir, raw, share)
    else:
        checkpoints = checkpoint_folders(config, workdir, checkpoint)
    swept = sweep_all(config, data, checkpoints, workdir, raw, share=share)
    if len(swept) < len(config.tasks):
        return []
    folder = pathlib.Path(workdir) / "report"
    claim = processes.claim_folder(workdir, "report.lock")  # two shares may both be the last
    with claim if share else contextlib.nullcontext():
        return report.write_report([pathlib.Path(workdir)], folder)


def _find_encoders(config, data, workdir, raw, share) -> dict[str, list[pathlib.Path]]:
    """The folders of the pre-trainings, made where they are not there; see `run_study`."""
    paths = find_all(config, config.data_sets, data, raw)
    if not _is_pretrained(config, workdir):
        if share is not None:
            raise UserError(
                f"the encoders of {workdir} are not trained to their end; run `imujax pretrain` "
                f"with the same options first, then {share}"
            )
        print("study: looking ahead, before anything is trained", file=sys.stderr)
        for line in checks.look_ahead(config, paths):
            print(f"study: {line}", file=sys.stderr, flush=True)
    if share is None:
        return pretrain_all(config, data, workdir, raw)
    return checkpoint_folders(config, workdir)


def run_quickstart(config: ConfigDict, workdir: Folder) -> list[pathlib.Path]:
    """Simulate the sets that the configuration names, then run its study -> files of the report.

    Raises UserError where the configuration has no section `simulate`.
    """
    from imujax.simulate import people

    check_config(config)
    if "simulate" not in config:
        raise UserError(
            "the configuration has no section `simulate`: take simulated, or run `imujax study`"
        )
    workdir = pathlib.Path(workdir)
    sets = {
        name: people.simulation_settings(name, changes.to_dict())
        for name, changes in config.simulate.items()
    }
    for name, settings in sets.items():
        people.write_set(name, settings, workdir / "raw")
    print(
        "The people, their movements and forces are SIMULATED: this shows how the study works, "
        "not what it finds on real people.",
        file=sys.stderr,
    )
    return run_study(config, workdir / "data", workdir, workdir / "raw")
