"""Simulated people in files of the layouts of real data sets: stand-ins to try builders on.

A module has the name of the builder that reads its files, and write_files(subjects, out, seed) ->
folder, where subjects is None for as many as the study had.
"""

import contextlib
import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from imujax.data import datasets
from imujax.errors import UserError

MARK_TEXT = "The people in this folder are simulated; their files have the layout of {name}.\n"
LAYOUTS = ("movi", "tan2021_running", "camargo2021", "tan2022_knee_moment")


def write_stand_in(name: str, subjects: int | None, out: Path | str, seed: int) -> Path:
    """Write simulated people into files that a builder reads.

    Parameters
    ----------
    name : str
        Of the builder, one of LAYOUTS.
    subjects : int or None
        How many; None is as many as the study had.
    out : path
        The files go into OUT/NAME.
    seed : int
        Another seed is other people.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UserError
        If there is no such layout, the folder is there already, or the study had fewer subjects.
    """
    if name not in LAYOUTS:
        raise UserError(f"no layout {name!r}: there are {', '.join(LAYOUTS)}")
    module = importlib.import_module(f"imujax.simulate.layouts.{name}")
    return module.write_files(subjects, out, seed)


@contextlib.contextmanager
def new_folder(out: str | Path, name: str) -> Iterator[Path]:
    """A folder to write to, which becomes OUT/NAME when all is written; else nothing is left.

    No file tells that it is simulated, so a mark is put beside them: data sets that are built from
    the folder, and their reports, say it.
    """
    folder = Path(out) / name
    if folder.exists():
        raise UserError(f"{folder} is there already; take another --out or delete it")
    part = folder.with_name(f"{name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        (part / datasets.SIMULATED_MARK).write_text(MARK_TEXT.format(name=name))
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
