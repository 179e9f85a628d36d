"""The whole study from one configuration: data sets, encoders, sweeps, report.

Every step is re-entrant, so the study picks up where it was stopped.
"""

import pathlib
import sys

from imujax.data import datasets
from imujax.errors import UserError

LOSSES = ("symmetric", "one_sided")
ORDERS = ("windows", "blocks")


def check_config(config):
    """UserError for what cannot be in the configuration, before anything is done."""
    from imujax.pretrain import loop

    for name, spec in config.encoders.items():
        if spec.loss not in LOSSES:
            raise UserError(f"encoders.{name}.loss is {spec.loss!r}: there are {', '.join(LOSSES)}")
        if bool(spec.data) == ("stream" in spec):
            raise UserError(
                f"encoders.{name}.data must name data sets to train on, or be empty and `stream` "
                "say what is simulated"
            )
        _known(f"encoders.{name}.order", spec.order, ORDERS)
        if not spec.resident and (spec.order != "blocks" or not spec.data):
            raise UserError(
                f"encoders.{name}.resident is False: data sets that are read batch by batch need "
                "order='blocks'"
            )
        if spec.grouped and spec.order != "windows":
            raise UserError(f"encoders.{name}.grouped is True, which needs order='windows'")
        for key in spec.data:
            _known(f"encoders.{name}.data", key, config.data_sets)
        loop.check_settings(spec, 1)
    for name, spec in config.tasks.items():
        _known(f"tasks.{name}.data", spec.data, config.data_sets)
        for label, arm in spec.arms.items():
            _known(f"tasks.{name}.arms.{label}.encoder", arm.encoder, config.encoders)
            _known(f"tasks.{name}.arms.{label}.weights", arm.weights, ("pretrained", "random"))
        for reference in spec.references:
            there = ("ridge", "trees", *(f"ridge+{arm}" for arm in spec.arms))
            _known(f"tasks.{name}.references", reference, there)


def _known(where: str, name: str, there):
    if name not in there:
        raise UserError(f"{where} names {name!r}: there are {', '.join(there)}")


def find_or_build(spec, data, raw=None) -> pathlib.Path:
    """The folder of one data set of the configuration, built from `raw` where it is not there.

    spec: {builder, raw (folder below `raw`), options}.  An option `card` is a path below `raw`.
    Without `raw` a card may be out of reach: then the one data set of its name is taken.  Raises
    UserError where it is not there.
    """
    options = dict(spec.options)
    if raw is not None:
        if "card" in options:
            options["card"] = str(pathlib.Path(raw) / options["card"])
        return datasets.build(spec.builder, pathlib.Path(raw) / spec.raw, data, **options)
    try:
        if "card" in options and not pathlib.Path(options["card"]).is_file():
            name = pathlib.Path(options["card"]).stem
            built = [path.name for path in pathlib.Path(data, spec.builder).glob(f"{name}_*")]
            if len(built) == 1:
                return datasets.find(data, f"{spec.builder}/{built[0]}")
        return datasets.find(data, datasets.dataset_name(spec.builder, options))
    except UserError as error:
        raise UserError(f"{error}; build it first, or give the raw files with --raw") from error


def pretrain_all(config, data, workdir, raw=None) -> dict[str, pathlib.Path]:
    """Pre-train the encoders of the configuration -> {name: checkpoint folder}.

    Of several processes number 0 builds the data sets, on a path that all of them see.
    """
    from imujax.pretrain import loop
    from imujax.runtime import processes

    for name, folder in checkpoint_folders(config, workdir).items():
        spec = config.encoders[name]
        sets = [config.data_sets[key] for key in spec.data]
        built = processes.on_main(
            lambda sets=sets: [str(find_or_build(s, data, raw)) for s in sets]
        )
        paths = [pathlib.Path(path) for path in built]
        loop.train(spec, paths, folder, config.seed, f"pretrain {name}")
    return checkpoint_folders(config, workdir)


def checkpoint_folders(config, workdir, instead=None) -> dict[str, pathlib.Path]:
    """The checkpoint folder of each encoder; `instead` takes the place of them all."""
    return {name: instead or pathlib.Path(workdir) / "encoders" / name for name in config.encoders}


def sweep_all(config, data, folders, workdir, raw=None, only=None) -> list[pathlib.Path]:
    """Run the sweep of every task of the configuration, or of the one named -> their folders."""
    from imujax.sweep import sweep

    if only is not None:
        _known("--task", only, config.tasks)
    done = []
    for name in config.tasks if only is None else [only]:
        spec = config.tasks[name]
        folder = pathlib.Path(workdir) / "tasks" / name
        labelled = find_or_build(config.data_sets[spec.data], data, raw)
        done.append(sweep.run_sweep(spec, labelled, folders, folder, config.seed, name))
    return done


def run_study(config, data, workdir, raw=None) -> list[pathlib.Path]:
    """All of it -> the files of the report."""
    from imujax.report import report

    sweep_all(config, data, pretrain_all(config, data, workdir, raw), workdir, raw)
    return report.write_report([pathlib.Path(workdir)], pathlib.Path(workdir) / "report")


def run_quickstart(config, workdir) -> list[pathlib.Path]:
    """Simulate the sets that the configuration names, then run its study -> files of the report."""
    from imujax.simulate import people

    check_config(config)
    if "simulate" not in config:
        raise UserError(
            "the configuration has no section `simulate`: take simulated, or run `imujax study`"
        )
    workdir = pathlib.Path(workdir)
    sets = {name: people.spec(name, more.to_dict()) for name, more in config.simulate.items()}
    for name, spec in sets.items():
        people.write(name, spec, workdir / "raw")
    print(
        "The people, their movements and forces are SIMULATED: this shows how the study works, "
        "not what it finds on real people.",
        file=sys.stderr,
    )
    return run_study(config, workdir / "data", workdir, workdir / "raw")
