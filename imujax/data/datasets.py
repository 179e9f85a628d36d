"""Data sets on disk: finding one and reading it as arrays.

A data set is a TFDS folder of array_record shards, `<data>/<name>/<config>/<version>`. Building
needs its builder (`builders`); reading needs the path only.
"""

import contextlib
import csv
import json
import zipfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imujax.errors import UserError, shorten

if TYPE_CHECKING:
    import pandas

SPLIT = "train"
SUBJECTS_FILE = "subjects.csv"  # in the folder of a data set: how much there is of whom
# In a folder of raw files: they are simulated, see imujax/simulate/layouts.
SIMULATED_MARK = "SIMULATED.txt"
STRING_FEATURES = ("subject", "recording", "activity", "condition")
READ_CHUNK = 512  # examples that are read at once


@dataclass(frozen=True, eq=False)
class Dataset:
    """N examples in memory, in the order of the files.

    Attributes
    ----------
    acc : ndarray, [N, L, S, 3], float32
        m/s^2, gravity included.
    gyr : ndarray, [N, L, S, 3], float32
        rad/s
    length : ndarray, [N], int32
        Valid samples.
    subject, recording, activity, condition : ndarray, [N], str
    start : ndarray, [N], float32
        s
    target : ndarray, [N, K], float32, or None
    curve : ndarray, [N, Lt, C], float32, or None
        Value i belongs to sample i * info["curve_every"] of its window; 0 beyond `length`.
    info : dict
        The metadata of the data set (rate, sensors of these arrays, targets, dropped, ...).
    """

    acc: np.ndarray
    gyr: np.ndarray
    length: np.ndarray
    subject: np.ndarray
    recording: np.ndarray
    activity: np.ndarray
    condition: np.ndarray
    start: np.ndarray
    target: np.ndarray | None
    info: dict[str, Any]
    curve: np.ndarray | None = None

    def __repr__(self) -> str:
        """What it is, in one line."""
        count, samples, sensors, _ = self.acc.shape
        named, curves = (
            ", ".join(
                f"{one['name']} [{one['unit']}]" if one["unit"] else one["name"] for one in each
            )
            for each in (self.info["targets"], self.info.get("curves", []))
        )
        return (
            f"{count} examples of {len(set(self.subject.tolist()))} subjects, {samples} samples at "
            f"{self.info['rate']:g} Hz, {sensors} sensor{'s' if sensors > 1 else ''}"
            + (f", target {named}" if named else "")
            + (f", curve {curves}" if curves else "")
        )

    def table(self) -> "pandas.DataFrame":
        """Tell what each example is; needs pandas.

        Returns
        -------
        pandas.DataFrame
            A row an example, in the order of the arrays: subject, recording, activity, condition,
            start [s], length [samples], and a column for each target, under its name.

        Raises
        ------
        UserError
            Where pandas is not installed.
        """
        columns = {name: getattr(self, name) for name in (*STRING_FEATURES, "start", "length")}
        if self.target is not None:
            names = [target["name"] for target in self.info["targets"]]
            columns |= dict(zip(names, self.target.T, strict=True))
        return make_table(columns)


def make_table(columns: dict[str, np.ndarray]) -> "pandas.DataFrame":
    """Lay columns [N] side by side by their names; UserError where pandas is not installed."""
    try:
        import pandas
    except ImportError as error:
        raise UserError("a table needs pandas, which is not installed") from error
    return pandas.DataFrame(columns)


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Read the metadata of a data set.

    Parameters
    ----------
    path : str or Path
        The folder of the data set.

    Returns
    -------
    dict
        rate, window, sensors, units, targets, dropped, sources, ...

    Raises
    ------
    UserError
        Where it is no finished data set, or cannot be read.
    """
    file = Path(path) / "metadata.json"
    if not file.is_file():
        raise UserError(f"{path} is no finished data set: it has no {file.name}")
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise UserError(
            f"{file} cannot be read ({error}): remove {path} and build again"
        ) from error


def find_dataset(data: str | Path, ref: str | Path) -> Path:
    """Find the folder of a data set.

    Parameters
    ----------
    data : str or Path
        The folder below which data sets lie.
    ref : str or Path
        <name>/<config> (the newest version is taken), <name>/<config>/<version>, or the path of a
        version folder.

    Returns
    -------
    Path

    Raises
    ------
    UserError
        Where there is none; lists what is below `data`.
    """
    if (Path(ref) / "dataset_info.json").is_file():
        return Path(ref)
    folders = sorted(p.parent for p in Path(data).glob("*/*/*/dataset_info.json"))
    folders = [folder for folder in folders if "incomplete" not in folder.name]
    names = {folder: folder.relative_to(data) for folder in folders}
    name = str(ref).strip("/")
    matches = [f for f, known in names.items() if name in (str(known), str(known.parent))]
    if not matches:
        listed = ", ".join(sorted({str(known.parent) for known in names.values()})) or "nothing"
        raise UserError(f"no data set {name!r} below {data}: there is {listed}")
    return max(matches, key=_version)


def _version(folder: Path) -> list[int]:
    return [int(x) for x in folder.name.split(".")]


def _newest_version(path: str | Path) -> Path:
    """The folder of a data set, where the path may leave out the version."""
    folders = [file.parent for file in Path(path).glob("*.*.*/dataset_info.json")]
    folders = [folder for folder in folders if "incomplete" not in folder.name]
    return max(folders, key=_version) if folders else Path(path)


def read(
    path: str | Path, sensors: Sequence[str] | None = None, limit: int | None = None
) -> Dataset:
    """Read a data set, or its first examples, into memory; no builder is imported.

    Parameters
    ----------
    path : str or Path
        The folder of the data set, as `imujax build` prints it; without the version the newest one.
    sensors : sequence of str, optional
        Picks and orders axis 2; all by default.
    limit : int, optional
        How many examples; all by default.

    Returns
    -------
    Dataset
        In the order of the files.

    Raises
    ------
    UserError
        For a sensor that is not there (those that are, are named), and where the data set is not
        finished or cannot be read.
    """
    path = _newest_version(path)
    metadata, columns = _select_sensors(path, sensors)
    with explain_damage(path):
        source = _open_source(path)
        count = len(source) if limit is None else min(limit, len(source))
        return _read_examples(source, metadata, columns, range(count))


def iter_arrays(
    path: str | Path, sensors: Sequence[str] | None = None, size: int = READ_CHUNK
) -> Iterator[Dataset]:
    """The same as `read`, `size` examples at a time: for what does not fit in memory."""
    metadata, columns = _select_sensors(path, sensors)
    with explain_damage(path):
        source = _open_source(path)
        for first in range(0, len(source), size):
            rows = range(first, min(first + size, len(source)))
            yield _read_examples(source, metadata, columns, rows)


def _select_sensors(path, sensors: Sequence[str] | None) -> tuple[dict[str, Any], list[int]]:
    """The metadata with `sensors` for those that are there, and their places on axis 2."""
    metadata = read_metadata(path)
    known = metadata["sensors"]
    names = list(known if sensors is None else sensors)
    absent = [name for name in names if name not in known]
    if absent or not names:
        raise UserError(f"{path} has no sensor {', '.join(absent)}: there are {', '.join(known)}")
    return {**metadata, "sensors": names}, [known.index(name) for name in names]


@contextlib.contextmanager
def explain_damage(path: str | Path, verb: str = "build") -> Iterator[None]:
    """Say in one sentence that what lies at `path` is damaged, and what to do again."""
    try:
        yield
    except UserError:
        raise
    # array_record's and zip's words for damage
    except (RuntimeError, OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path} cannot be read ({shorten(error)}): remove it and {verb} again"
        ) from error


def _open_source(path):
    """The examples of a data set, by number."""
    import tensorflow_datasets as tfds

    builder: Any = tfds.builder_from_directory(path)
    return builder.as_data_source(split=SPLIT)


def _read_examples(source, metadata: dict, columns: list[int], rows: range) -> Dataset:
    """These examples of `source`, of the sensors at the places `columns`."""
    shape = (len(rows), metadata["window"], len(columns), 3)
    signals = {"acc": np.empty(shape, np.float32), "gyr": np.empty(shape, np.float32)}
    examples = []  # but for their signals
    for first in range(0, len(rows), READ_CHUNK):
        chunk = list(rows[first : first + READ_CHUNK])
        for i, example in enumerate(source.__getitems__(chunk), first):
            signals["acc"][i] = example.pop("acc")[:, columns]
            signals["gyr"][i] = example.pop("gyr")[:, columns]
            examples.append(example)
    strings = {k: np.array([e[k].decode() for e in examples], dtype=str) for k in STRING_FEATURES}
    return Dataset(
        **signals,
        **strings,
        length=np.array([e["length"] for e in examples], np.int32),
        start=np.array([e["start"] for e in examples], np.float32),
        target=np.stack([e["target"] for e in examples]) if metadata["targets"] else None,
        info=metadata,
        curve=np.stack([e["curve"] for e in examples]) if metadata.get("curves") else None,
    )


def fingerprint(path: str | Path) -> dict[str, Any]:
    """Tell one build from another without a machine's paths.

    Parameters
    ----------
    path : str or Path
        The folder of the data set.

    Returns
    -------
    dict
        name: <name>/<config>; version; files: of each raw file its name and the first 12 digits of
        its checksum.
    """
    path = Path(path)
    sources = read_metadata(path)["sources"]
    files = [f"{name} {digest[:12]}" for name, digest in sorted(sources.items())]
    return {"name": "/".join(path.parts[-3:-1]), "version": path.name, "files": files}


def describe_size(path: str | Path, without: Collection[str] = ()) -> dict[str, Any]:
    """Say how much a data set holds.

    Parameters
    ----------
    path : str or Path
        The folder of the data set.
    without : collection of str
        Subjects that do not count.

    Returns
    -------
    dict
        name: <name>/<config>; subjects and examples: how many; hours: of its recordings.
    """
    info = read_metadata(path)
    counts = {"subjects": len(info["subjects"]), "examples": info["kept"], "hours": info["hours"]}
    if set(without) & set(info["subjects"]):
        with (Path(path) / SUBJECTS_FILE).open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["subject"] not in without]
        counts = {
            "subjects": len(rows),
            "examples": sum(int(row["examples"]) for row in rows),
            "hours": sum(float(row["seconds"]) for row in rows) / 3600,
        }
    return {"name": "/".join(Path(path).parts[-3:-1]), **counts}
