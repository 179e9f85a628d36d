"""That nobody is trained on and tested, under whatever name: the signals themselves are compared.

Copies are known again by their content (imujax/data/content.py), which lies with every data set
and, since that may be on another machine, with every pre-training.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from imujax.data import content, datasets, targets
from imujax.data.content import Content
from imujax.errors import UserError
from imujax.pretrain import lineage, packed
from imujax.sweep import grid

Pretrainings = Mapping[str, Sequence[Path | str]]


def require_separate(
    data_path: Path | str,
    encoder_paths: Pretrainings,
    tested: Mapping[str, Sequence[Sequence[str] | None]] | None = None,
):
    """Require that a labelled data set has no person twice, and nothing that an encoder has seen.

    Parameters
    ----------
    data_path : Path or str
        Folder of the labelled data set.
    encoder_paths : mapping of str to sequence of Path
        Folders of each encoder's pre-trainings.
    tested : mapping of str to sequence, optional
        For each of these the subjects on whom it is tested, where they are not all, which None
        says.

    Raises
    ------
    UserError
        One name in two spellings, the same signals under two names, or in a pre-training too; both
        places are named. A data set or pre-training without content, as of an older imujax.
    """
    labelled = content.read(data_path)
    _require_people(data_path, labelled)
    for key, folders in encoder_paths.items():
        names = (tested or {}).get(key) or [None] * len(folders)
        for seen, own in zip(map(packed.read_content, folders), names, strict=True):
            _require_unseen(data_path, _of_subjects(labelled, own), key, seen)


def _of_subjects(labelled: Content, names: Sequence[str] | None) -> Content:
    """What a content has of these subjects, or of all."""
    if names is None:
        return labelled
    return content.leave_out(labelled, set(labelled.subject.tolist()) - set(names))


def audit_configuration(
    config: ConfigDict,
    data_paths: Mapping[str, Path | str],
    encoder_paths: Pretrainings | None = None,
) -> Iterator[str]:
    """Make all comparisons that a configuration asks for, before anything is trained.

    Parameters
    ----------
    config : ConfigDict
    data_paths : mapping of str to Path
        Folder of each data set of the configuration.
    encoder_paths : mapping of str to sequence of Path, optional
        Folders of each encoder's pre-trainings; without it what an encoder will see is taken from
        its data sets, and from its parent's.

    Yields
    ------
    str
        What was compared, how many hashes of signals there are, and that nothing was wrong.

    Raises
    ------
    UserError
        See `require_separate`.
    """
    contents = {name: content.read(path) for name, path in data_paths.items()}
    for name, path in data_paths.items():
        count = _require_people(path, contents[name])
        yield (
            f"data set {name}: {count} subjects, {len(contents[name].hash)} hashes; "
            "no signals under two names"
        )
    for name, task in config.tasks.items():
        for key in sorted({arm.encoder for arm in task.arms.values()}):
            section = config.encoders[key]
            names: list[list[str] | None] = [None]
            if "without" in section:
                names = [*tested_subjects(task, data_paths[task.data], config.seed)]
            if encoder_paths is None:
                members = [
                    lineage.read_seen(key, config.encoders, data_paths, own or ()) for own in names
                ]
            else:
                members = [packed.read_content(folder) for folder in encoder_paths[key]]
            names = [own for own in names for _ in range(len(members) // len(names))]
            for seen, own in zip(members, names, strict=True):
                tested = _of_subjects(contents[task.data], own)
                _require_unseen(data_paths[task.data], tested, key, seen)
            count, what = len(contents[task.data].hash), "nothing is in both"
            if "without" in section:
                what = "nothing of a fold's test subjects is in both"
            yield (
                f"task {name}, encoder {key}: {count} hashes against {len(members[0].hash)}; {what}"
            )


def tested_subjects(config: ConfigDict, data_path: Path | str, seed: int) -> list[list[str]]:
    """Say who is tested in each fold of a task.

    Parameters
    ----------
    config : ConfigDict
        Of the task.
    data_path : Path or str
        Folder of the labelled data set.
    seed : int
        See folds.py.

    Returns
    -------
    list of list of str
        Of those who have a label that is estimated.
    """
    data = targets.select(datasets.read(data_path), config.targets, str(data_path))
    return grid.tested_subjects(config, sorted(set(data.subject.tolist())), seed)


def _require_people(path: Path | str, labelled: Content) -> int:
    """The number of subjects of a data set, everybody with one name."""
    subjects = datasets.read_metadata(path)["subjects"]
    content.require_separate_subjects(labelled, subjects, path)
    return len(subjects)


def _require_unseen(data_path: Path | str, labelled: Content, key: str, seen: Content):
    copy = content.find_copy(labelled, seen)
    if copy is not None:
        raise UserError(
            f"encoder {key} was pre-trained on signals of {data_path}: {copy[0]} is also "
            f"{copy[1]}, so test subjects would stand on both sides; pre-train it on other "
            "recordings"
        )
