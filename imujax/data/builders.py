"""The builders there are, and a data set built by one of them.

A builder is a package, `data_builders/<name>` or one that another package offers by the entry point
`imujax.data_builders`; what it must have says data_builders/README.md.
"""

import contextlib
import errno
import hashlib
import importlib
import importlib.metadata
import io
import os
import pkgutil
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from imujax.data.datasets import read_metadata
from imujax.errors import UserError
from imujax.runtime import files
from imujax.runtime.settings import describe_changes

if TYPE_CHECKING:
    from imujax.data.recordings import Recording

# Where builders lie, and the group of entry points by which other packages name theirs.
BUILDERS = "imujax.data_builders"
LOCK_FILE = "build.lock"  # in a folder that is written to, as long as it is
TRIED = 4  # files that `try_out` reads


def complete_options(defaults: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Complete a builder's options with their defaults.

    Parameters
    ----------
    defaults : dict
        All options of the builder.
    options : dict
        Those that are set.  Where the default is None any value will do; otherwise it is converted
        to the default's type.

    Returns
    -------
    dict
        All options.

    Raises
    ------
    UserError
        For an option that the builder does not have, or a value of another type.
    """
    for name, value in options.items():
        if name not in defaults:
            raise UserError(f"no option {name!r}: this builder has {', '.join(defaults)}")
        kind = type(defaults[name])
        if defaults[name] is not None and value is not None and not isinstance(value, kind):
            try:
                if kind is bool:
                    value = ("false", "true").index(str(value).lower())
                if kind is tuple or (int(float(value)) != float(value) and kind is int):
                    raise ValueError(value)
                options = {**options, name: kind(value)}
            except (TypeError, ValueError) as error:
                kinds = "true or false" if kind is bool else kind.__name__
                raise UserError(f"option {name} must be {kinds}, not {value!r}") from error
    return {**defaults, **options}


def builder_names() -> list[str]:
    """List the builders that are installed.

    Returns
    -------
    list of str
        Sorted names: those below imujax.data_builders, and those that other packages offer by an
        entry point of that group.
    """
    return sorted(_builder_packages())


def _builder_packages() -> dict[str, list[str]]:
    """Name of each builder -> the packages that have one of that name, in a fixed order."""
    folder = importlib.import_module(BUILDERS)
    names = [module.name for module in pkgutil.iter_modules(folder.__path__) if module.ispkg]
    packages = {name: {f"{BUILDERS}.{name}"} for name in names}
    for entry in importlib.metadata.entry_points(group=BUILDERS):
        packages.setdefault(entry.name, set()).add(entry.value)
    return {name: sorted(offered) for name, offered in packages.items()}


def _builder_package(name: str) -> str:
    """The package of a builder; UserError where there is none, or more than one."""
    packages = _builder_packages()
    if name not in packages:
        raise UserError(f"no builder {name!r}: there are {', '.join(sorted(packages))}")
    if len(packages[name]) > 1:
        raise UserError(
            f"the builder {name!r} lies in more than one package, {' and '.join(packages[name])}: "
            "uninstall one of them, or give its entry point another name"
        )
    return packages[name][0]


def _import_builder(package: str, name: str):
    """The class Builder in the module <name>_dataset_builder of a package."""
    path = f"{package}.{name}_dataset_builder"
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if not error.name or not f"{path}.".startswith(f"{error.name}."):
            raise UserError(
                f"the builder {name!r} of {package} needs the module {error.name}, which cannot be "
                "found: install it"
            ) from error
        module = None
    builder = getattr(module, "Builder", None)
    if builder is None:
        raise UserError(
            f"the builder {name!r} of {package} cannot be imported: it needs a module "
            f"{name}_dataset_builder with the class Builder"
        )
    return builder


def propose_card(raw: str | Path) -> str:
    """Propose a card for the builder `tabular`.

    Parameters
    ----------
    raw : str or Path
        Folder of the recordings.

    Returns
    -------
    str
        TOML with comments.

    Raises
    ------
    UserError
        There is nothing that could be a recording.
    """
    module = importlib.import_module(f"{_builder_package('tabular')}.proposal")
    return module.propose_card(Path(raw))


def read_recordings(
    card: str | Path,
    raw: str | Path | None = None,
    files: Sequence[str | Path] = (),
    with_events: bool = False,
    out: str | Path | None = None,
) -> "Iterator[Recording]":
    """Read recordings by the sensors part of a card of `tabular`.

    Parameters
    ----------
    card : str or Path
        Its targets and labels are left aside.
    raw : str or Path, optional
        Folder below which the files lie, by default that of the card.
    files : sequence of (str or Path)
        Of these alone; all that the card takes by default.
    with_events : bool
        Whether its [events] are looked for too: a recording has them as `events["events"]`.
    out : str or Path, optional
        A file that will be written: refused where the card would take it for a recording.

    Returns
    -------
    iterator of Recording

    Raises
    ------
    UserError
        The card is wrong, or a file is not what it says.
    """
    module = importlib.import_module(f"{_builder_package('tabular')}.reading")
    raw = (Path(card).parent if raw is None else Path(raw)).expanduser().absolute()
    chosen, out = [Path(file) for file in files], None if out is None else Path(out)
    return module.read_sensors(Path(card), raw, chosen, with_events, out)


def build(
    name: str,
    raw: str | Path,
    data: str | Path,
    workers: int | None = None,
    beam: list[str] | None = None,
    **options: Any,
) -> Path:
    """Build a data set from raw files.

    A finished data set from the same files returns at once.  What a killed build has left is swept
    first; a build that fails leaves nothing.

    Parameters
    ----------
    name : str
        Of the builder.
    raw : str or Path
        The folder of the raw files.
    data : str or Path
        The folder below which data sets lie.
    workers : int, optional
        Processes that read the raw files; all cores by default.  They are spawned, so a script that
        calls this needs `if __name__ == "__main__":`.
    beam : list of str, optional
        A runner (DirectRunner if it is left out) and its pipeline options: Apache Beam reads the
        files instead (data_builders/beam.py).
    **options
        Those of the builder (see its README); each set of options has a folder of its own.

    Returns
    -------
    Path
        The folder of the data set.

    Raises
    ------
    UserError
        For a builder, a folder or an option that does not exist, raw files that are wrong or have
        changed since the data set was built, a full disk, another build that writes there.
    """
    builder, data = _make_builder(name, raw, data, options, workers, beam)
    path = Path(builder.data_dir)
    if (path / "dataset_info.json").is_file():
        _require_unchanged(path, builder.source_files())
        return path
    new_folders = [folder for folder in path.parents if not folder.exists()]
    try:
        with explain_full_disk(data):
            path.parent.mkdir(parents=True, exist_ok=True)
            with lock_folder(path.parent):
                for leftover in path.parent.glob("*incomplete*"):
                    shutil.rmtree(leftover)
                # TFDS makes a folder where downloads would go.
                with _silence_tfds(), tempfile.TemporaryDirectory() as unused:
                    builder.download_and_prepare(file_format="array_record", download_dir=unused)
    finally:
        for folder in new_folders:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only where it is empty: the build has failed
    return path


def _make_builder(
    name: str,
    raw: str | Path,
    data: str | Path,
    options: dict[str, Any],
    workers: int | None = None,
    beam: list[str] | None = None,
) -> tuple[Any, Path]:
    """The builder, and the folder of all data sets."""
    package = _builder_package(name)
    raw, data = Path(raw).expanduser().absolute(), Path(data).expanduser().absolute()
    if not raw.is_dir():
        raise UserError(f"no folder {raw}: give the folder of the raw files of {name}")
    builder_class = _import_builder(package, name)
    with _silence_tfds():
        return builder_class.from_options(options, raw, data, workers, beam), data


def describe(name: str, raw: str | Path, data: str | Path, **options: Any) -> dict[str, Any]:
    """Say what a build would make, once its options, its card and its raw files have been found.

    Parameters
    ----------
    name, raw, data, **options
        As of `build`; nothing is read but a card, and nothing is written.

    Returns
    -------
    dict
        sensors, rate [Hz], window [samples], targets, ..., as of the builder's `describe`.

    Raises
    ------
    UserError
        As of `build`, but for what stands in the raw files.
    """
    builder, _ = _make_builder(name, raw, data, options)
    builder.source_files()
    return builder.module.describe(builder.builder_config.options)


def try_out(
    name: str, raw: str | Path, data: str | Path, picture: str | Path, **options: Any
) -> list[str]:
    """Say what a build would make of the first, the last and a few recordings between them.

    Parameters
    ----------
    name, raw, data, **options
        As of `build`; nothing is written to `data`.
    picture : str or Path
        PNG to be written, of a few examples.

    Returns
    -------
    list of str
        Lines on what was read, kept, dropped, mended and warned of.

    Raises
    ------
    UserError
        As of `build`.
    """
    builder, _ = _make_builder(name, raw, data, options)
    examples, dropped, lines = builder.try_out(TRIED)
    subjects = {example["subject"] for example in examples}
    head = f"{builder.name}: {len(examples)} examples of {len(subjects)} subjects from a few files"
    lines = [head, *(f"  {n} {why}" for why, n in sorted((+dropped).items())), *lines]
    if examples:
        drawn = builder.draw(examples)
        files.write_whole(Path(picture), lambda path: path.write_bytes(drawn))
    return lines


@contextlib.contextmanager
def explain_full_disk(data: Path) -> Iterator[None]:
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
def lock_folder(folder: Path, wait: bool = False) -> Iterator[None]:
    """Hold a lock on the folder, so that two who write into it do not sweep each other.

    wait: until the other is done; otherwise that there is another is a UserError.  Where the file
    system knows no locks nobody is kept out.
    """
    # Where there are no locks, what the library takes instead would outlive a killed build.
    lock = filelock.FileLock(folder / LOCK_FILE, fallback_to_soft=False)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except filelock.Timeout:
        raise UserError(f"another build is writing to {folder}: wait for it") from None
    except OSError:
        pass  # who has more to write there will say so
    try:
        yield
    finally:
        if lock.is_locked:  # else it is another's
            with contextlib.suppress(OSError):  # while it is held: who waits makes another one
                (folder / LOCK_FILE).unlink()
            lock.release()


@contextlib.contextmanager
def _silence_tfds():
    """Keep back what TFDS prints and logs about downloads, of which there are none."""
    from absl import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(level)


def sha256(path: Path | str) -> str:
    """Take the checksum of a file's content.

    Parameters
    ----------
    path : Path or str

    Returns
    -------
    str
        Hexadecimal.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_unchanged(path: Path, sources: dict[str, Path]) -> None:
    """Raise UserError unless `sources` (name -> file) are those the data set was built from.

    Like make: only a file newer than the data set is read again.
    """
    built = read_metadata(path)["sources"]
    finished = (path / "dataset_info.json").stat().st_mtime
    if set(built) != set(sources):
        changes = describe_changes(dict.fromkeys(built, ""), dict.fromkeys(sources, ""))
        raise UserError(
            f"{path} was built from other raw files ({changes}): remove that folder or build into "
            "another one"
        )
    for name, source in sources.items():
        if source.stat().st_mtime > finished and sha256(source) != built[name]:
            raise UserError(
                f"{source} has changed since {path} was built: remove that folder and build again"
            )


def dataset_name(name: str, options: dict[str, Any]) -> str:
    """Name the data set that `build` makes with these options, without building it.

    Parameters
    ----------
    name : str
        Of the builder.
    options : dict
        Those of the builder that are set.

    Returns
    -------
    str
        <name>/<config>, as `find_dataset` takes it.

    Raises
    ------
    UserError
        For a builder or an option that does not exist.
    """
    files = _import_builder(_builder_package(name), name).module
    return f"{name}/{files.folder_name(files.complete_options(options))}"
