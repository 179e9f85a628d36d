"""Data sets on disk: build one from raw files, find it, read it as arrays.

A data set is a TFDS folder of array_record shards, `<data>/<name>/<config>/<version>`. Building
needs the builder (`data_builders/<name>`); reading needs the path only.
"""

import contextlib
import errno
import hashlib
import importlib
import io
import json
import math
import os
import pkgutil
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imujax.errors import UserError
from imujax.runtime import host

SPLIT = "train"
SIMULATED_MARK = (
    "SIMULATED.txt"  # in a folder of raw files: they are made, see imujax/simulate/layouts
)
STRING_FEATURES = ("subject", "recording", "activity", "condition")
READ_CHUNK = 512  # examples that are read at once


@dataclass(frozen=True, eq=False)
class Dataset:
    """N examples in memory, in the order of the files.

    acc, gyr [N, L, S, 3] float32 (m/s^2, rad/s), length [N] int32 (valid samples), subject,
    recording, activity, condition [N] str, start [N] float32 s, target [N, K] float32 or None;
    info: the metadata of the data set (rate, sensors of these arrays, targets, dropped, ...).
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
    info: dict


def complete_options(defaults: dict, given: dict) -> dict:
    """The builder's options with their defaults; UserError for an option that it does not have.

    A default of None takes any value; otherwise a value is converted to the default's type.
    """
    for name, value in given.items():
        if name not in defaults:
            raise UserError(f"no option {name!r}: this builder has {', '.join(defaults)}")
        kind = type(defaults[name])
        if defaults[name] is not None and value is not None and not isinstance(value, kind):
            try:
                if kind is bool:
                    value = ("false", "true").index(str(value).lower())
                if kind is tuple or (int(float(value)) != float(value) and kind is int):
                    raise ValueError(value)
                given = {**given, name: kind(value)}
            except (TypeError, ValueError) as error:
                kinds = "true or false" if kind is bool else kind.__name__
                raise UserError(f"option {name} must be {kinds}, not {value!r}") from error
    return {**defaults, **given}


def builder_names() -> list[str]:
    """Names of the builders that are installed."""
    package = importlib.import_module("imujax.data_builders")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.ispkg)


def build(
    name: str,
    raw: str | Path,
    data: str | Path,
    workers: int | None = None,
    beam: list[str] | None = None,
    **options,
) -> Path:
    """Build data set `name` from the folder `raw` below the folder `data`; returns its Path.

    `options` are the builder's (see its README); each set of options has a folder of its own. A
    finished data set from the same files returns at once; changed files are a UserError. What a
    killed build has left is swept first; a build that fails leaves nothing. `workers` processes
    (default: all cores) read the raw files; they are spawned, so a script that calls this needs
    `if __name__ == "__main__":`. With `beam`, a list of a runner (DirectRunner if it is left out)
    and its pipeline options, Apache Beam does it instead (data_builders/beam.py).
    """
    if name not in builder_names():
        raise UserError(f"no builder {name!r}: there are {', '.join(builder_names())}")
    raw, data = Path(raw).expanduser().absolute(), Path(data).expanduser().absolute()
    if not raw.is_dir():
        raise UserError(f"no folder {raw}: give the folder of the raw files of {name}")
    module = importlib.import_module(f"imujax.data_builders.{name}.{name}_dataset_builder")
    with _quiet():
        builder = module.Builder.of(options, raw, data, workers, beam)
    path = Path(builder.data_dir)
    if (path / "dataset_info.json").is_file():
        _unchanged(path, builder.sources())
        return path
    made = [p for p in path.parents if not p.exists()]
    try:
        with explain_full_disk(data):
            path.parent.mkdir(parents=True, exist_ok=True)
            with lock_folder(path.parent):
                for left in path.parent.glob("*incomplete*"):
                    shutil.rmtree(left)
                # TFDS makes a folder where downloads would go.
                with _quiet(), tempfile.TemporaryDirectory() as nowhere:
                    builder.download_and_prepare(file_format="array_record", download_dir=nowhere)
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only where it is empty: the build has failed
    return path


@contextlib.contextmanager
def explain_full_disk(data: Path):
    """Say in one sentence that the disk of the folder `data` is full, or which file fails."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # array_record raises RuntimeError for both
        if any(os.strerror(e) in str(error) for e in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)):
            raise UserError(f"the disk of {data} is full: make room and build again") from error
        if isinstance(error, OSError) and error.filename:
            raise UserError(f"{error.filename}: {error.strerror}") from error
        raise


@contextlib.contextmanager
def lock_folder(folder: Path, wait: bool = False):
    """Hold a lock on the folder, so that two who write into it do not sweep each other.

    wait: until the other is done; otherwise that there is another is a UserError.  Where the file
    system knows no locks nobody is kept out.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        if not host.lock(handle, math.inf if wait else 0):
            raise UserError(f"another build is writing to {folder}: wait for it")
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _quiet():
    """Keep back what TFDS prints and logs about downloads, of which there are none."""
    from absl import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(level)


def sha256(path: Path) -> str:
    """Hexadecimal checksum of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unchanged(path: Path, sources: dict[str, Path]) -> None:
    """Raise UserError unless `sources` (name -> file) are those the data set was built from.

    Like make: only a file newer than the data set is read again.
    """
    built = read_metadata(path)["sources"]
    finished = (path / "dataset_info.json").stat().st_mtime
    if set(built) != set(sources):
        some = sorted(set(built) ^ set(sources))
        raise UserError(
            f"{path} was built from other raw files ({len(some)} differ, e.g. {some[0]}): "
            "remove that folder or build into another one"
        )
    for name, source in sources.items():
        if source.stat().st_mtime > finished and sha256(source) != built[name]:
            raise UserError(
                f"{source} has changed since {path} was built: remove that folder and build again"
            )


def read_metadata(path: str | Path) -> dict:
    """The metadata of a data set: rate, window, sensors, units, targets, dropped, sources, ..."""
    file = Path(path) / "metadata.json"
    if not file.is_file():
        raise UserError(f"{path} is no finished data set: it has no {file.name}")
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise UserError(
            f"{file} cannot be read ({error}): remove {path} and build again"
        ) from error


def find(data: str | Path, ref: str | Path) -> Path:
    """The folder of a data set: `ref` is <name>/<config> (the newest version is taken),
    <name>/<config>/<version>, or the path of a version folder.

    Raises UserError that lists what is below `data`.
    """
    if (Path(ref) / "dataset_info.json").is_file():
        return Path(ref)
    there = sorted(p.parent for p in Path(data).glob("*/*/*/dataset_info.json"))
    there = [p for p in there if "incomplete" not in p.name]
    names = [p.relative_to(data) for p in there]
    wanted = str(ref).strip("/")
    matches = [p for p, n in zip(there, names, strict=True) if wanted in (str(n), str(n.parent))]
    if not matches:
        listed = ", ".join(sorted({str(n.parent) for n in names})) or "nothing"
        raise UserError(f"no data set {wanted!r} below {data}: there is {listed}")
    return max(matches, key=lambda p: [int(x) for x in p.name.split(".")])


def read_arrays(
    path: str | Path, sensors: tuple[str, ...] | None = None, limit: int | None = None
) -> Dataset:
    """A data set, or its first `limit` examples, in memory; the order is that of the files.

    `sensors` picks and orders axis 2; a name that is not there is a UserError naming those that
    are. The path is enough: no builder is imported.
    """
    about, picked = _picked(path, sensors)
    with explain_damage(path):
        source = _source(path)
        n = len(source) if limit is None else min(limit, len(source))
        return _read(source, about, picked, range(n))


def iter_arrays(
    path: str | Path, sensors: tuple[str, ...] | None = None, size: int = READ_CHUNK
) -> Iterator[Dataset]:
    """The same as `arrays`, `size` examples after the others: for what does not fit in memory."""
    about, picked = _picked(path, sensors)
    with explain_damage(path):
        source = _source(path)
        for first in range(0, len(source), size):
            rows = range(first, min(first + size, len(source)))
            yield _read(source, about, picked, rows)


def _picked(path, sensors: tuple[str, ...] | None) -> tuple[dict, list[int]]:
    """The metadata with `sensors` for those that are there, and their places on axis 2."""
    about = read_metadata(path)
    wanted = list(about["sensors"] if sensors is None else sensors)
    absent = [s for s in wanted if s not in about["sensors"]]
    if absent or not wanted:
        raise UserError(
            f"{path} has no sensor {', '.join(absent)}: there are {', '.join(about['sensors'])}"
        )
    return {**about, "sensors": wanted}, [about["sensors"].index(s) for s in wanted]


@contextlib.contextmanager
def explain_damage(path, again: str = "build"):
    """Say in one sentence that what lies at `path` is damaged, and what to do again."""
    try:
        yield
    except UserError:
        raise
    # array_record's and zip's words for damage
    except (RuntimeError, OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        why = " ".join(str(error).split())[:120]
        raise UserError(f"{path} cannot be read ({why}): remove it and {again} again") from error


def _source(path):
    """The examples of a data set, by number."""
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(path).as_data_source(split=SPLIT)


def _read(source, about: dict, picked: list[int], rows: range) -> Dataset:
    """These examples of `source`, of the sensors at the places `picked`."""
    shape = (len(rows), about["window"], len(picked), 3)
    out = {"acc": np.empty(shape, np.float32), "gyr": np.empty(shape, np.float32)}
    rest = []
    for first in range(0, len(rows), READ_CHUNK):
        some = list(rows[first : first + READ_CHUNK])
        for i, example in enumerate(source.__getitems__(some), first):
            out["acc"][i] = example.pop("acc")[:, picked]
            out["gyr"][i] = example.pop("gyr")[:, picked]
            rest.append(example)
    strings = {k: np.array([e[k].decode() for e in rest], dtype=str) for k in STRING_FEATURES}
    return Dataset(
        **out,
        **strings,
        length=np.array([e["length"] for e in rest], np.int32),
        start=np.array([e["start"] for e in rest], np.float32),
        target=np.stack([e["target"] for e in rest]) if about["targets"] else None,
        info=about,
    )


def dataset_name(name: str, options: dict) -> str:
    """The <name>/<config> under which `build` keeps the data set of these options."""
    if name not in builder_names():
        raise UserError(f"no builder {name!r}: there are {', '.join(builder_names())}")
    module = importlib.import_module(f"imujax.data_builders.{name}.{name}_dataset_builder")
    files = module.Builder.module
    return f"{name}/{files.config(files.complete(options))}"


def fingerprint(path: str | Path) -> dict:
    """What tells one build from another without a machine's paths: name, version, raw files.

    files: the first 12 digits of each raw file's checksum, sorted.
    """
    path = Path(path)
    files = sorted(digest[:12] for digest in read_metadata(path)["sources"].values())
    return {"name": "/".join(path.parts[-3:-1]), "version": path.name, "files": files}
