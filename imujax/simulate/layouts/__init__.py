"""Simulated people in files of the layouts of real data sets: stand-ins to try builders on.

A module has the name of the builder that reads its files, and write(subjects, out, seed) -> folder,
where subjects is None for as many as the study had.
"""

import contextlib
import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from imujax.data import datasets
from imujax.errors import UserError

MARK = "The people in this folder are simulated; their files have the layout of {name}.\n"
LAYOUTS = ("movi", "tan2021_running", "camargo2021", "tan2022_knee_moment")


def write(name: str, subjects: int | None, out: Path, seed: int) -> Path:
    """Write simulated people into OUT/NAME in the layout of that builder -> the folder."""
    if name not in LAYOUTS:
        raise UserError(f"no layout {name!r}: there are {', '.join(LAYOUTS)}")
    module = importlib.import_module(f"imujax.simulate.layouts.{name}")
    return module.write(subjects, out, seed)


@contextlib.contextmanager
def fresh(out: str | Path, name: str) -> Iterator[Path]:
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
        (part / datasets.SIMULATED_MARK).write_text(MARK.format(name=name))
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
