"""The whole study from one configuration: data sets, encoders, sweeps, report.

Every step is re-entrant, so the study picks up where it was stopped.
"""

import pathlib

from imujax import datasets
from imujax.errors import UserError


def data_set(spec, data, raw=None) -> pathlib.Path:
    """The folder of one data set of the configuration, built from `raw` where it is not there.

    spec: {builder, raw (folder below `raw`), options}.  An option `card` is a path below `raw`.
    Raises UserError where it is not there and `raw` is not given.
    """
    options = dict(spec.options)
    if raw is not None:
        if "card" in options:
            options["card"] = str(pathlib.Path(raw) / options["card"])
        return datasets.build(spec.builder, pathlib.Path(raw) / spec.raw, data, **options)
    try:
        return datasets.find(data, datasets.reference(spec.builder, options))
    except UserError as error:
        raise UserError(f"{error}; build it first, or give the raw files with --raw") from error


def encoders(config, data, workdir, raw=None) -> dict[str, pathlib.Path]:
    """Pre-train the encoders of the configuration -> {name: checkpoint folder}."""
    from imujax import pretrain

    for name, folder in checkpoints(config, workdir).items():
        spec = config.encoders[name]
        sets = [data_set(config.data_sets[key], data, raw) for key in spec.data]
        pretrain.train(spec, sets, folder, config.seed, f"pretrain {name}")
    return checkpoints(config, workdir)


def checkpoints(config, workdir, instead=None) -> dict[str, pathlib.Path]:
    """The checkpoint folder of each encoder; `instead` takes the place of them all."""
    return {name: instead or pathlib.Path(workdir) / "encoders" / name for name in config.encoders}


def sweeps(config, data, folders, workdir, raw=None) -> list[pathlib.Path]:
    """Run the sweep of every task of the configuration -> their folders."""
    from imujax import sweep

    done = []
    for name, spec in config.tasks.items():
        folder = pathlib.Path(workdir) / "tasks" / name
        labelled = data_set(config.data_sets[spec.data], data, raw)
        done.append(sweep.run(spec, labelled, folders, folder, config.seed, name))
    return done


def run(config, data, workdir, raw=None) -> list[pathlib.Path]:
    """All of it -> the files of the report."""
    from imujax import report

    sweeps(config, data, encoders(config, data, workdir, raw), workdir, raw)
    return report.report([pathlib.Path(workdir)], pathlib.Path(workdir) / "report")
