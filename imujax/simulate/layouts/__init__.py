"""Simulated people in files of the layouts of real data sets: stand-ins to try builders on.

A module has the name of the builder that reads its files, and write(subjects, out, seed) -> folder,
where subjects is None for as many as the study had.
"""

import importlib
from pathlib import Path

from imujax.errors import UserError

LAYOUTS = ("tan2022_knee_moment",)


def write(name: str, subjects: int | None, out: Path, seed: int) -> Path:
    """Write simulated people into OUT/NAME in the layout of that builder -> the folder."""
    if name not in LAYOUTS:
        raise UserError(f"no layout {name!r}: there are {', '.join(LAYOUTS)}")
    module = importlib.import_module(f"imujax.simulate.layouts.{name}")
    return module.write(subjects, out, seed)
