"""What ran and how far it is: JSON lines, a progress bar, versions and commit."""

import contextlib
import importlib.metadata
import json
import pathlib
import platform
import subprocess
import sys
import time
from typing import Any

from imujax.runtime import files

PACKAGES = (
    "jax",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "scipy",
    "scikit-learn",
    "tensorflow-datasets",
)


def provenance() -> dict[str, Any]:
    """Read the versions of what decides the numbers, and the commit.

    Returns
    -------
    dict
        versions: version by package; commit: as of `git_commit`.
    """
    versions = {"imujax": importlib.metadata.version("imujax"), "python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"versions": versions, "commit": git_commit()}


def git_commit() -> str:
    """Short git commit of the checkout this file lies in; "" for an installed package."""
    root = pathlib.Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return ""


class MetricsLog:
    """Metrics as JSON lines in a file, opened anew for every line: a killed run loses none.

    On resuming, `drop_lines_after(step)` drops the lines that the resumed run will write again.

    Parameters
    ----------
    path : Path or str
    mute : bool
        Write nothing, as all but one of several processes.

    Attributes
    ----------
    path : Path
    mute : bool
    """

    def __init__(self, path: pathlib.Path | str, mute: bool = False):
        self.path, self.mute = pathlib.Path(path), mute

    def append_line(self, **values: Any):
        """Write one line of these values: whole numbers, strings, and what float takes."""
        if self.mute:
            return
        line = json.dumps(
            {k: v if isinstance(v, (int, str)) else float(v) for k, v in values.items()}
        )
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def read_lines(self) -> list[dict[str, Any]]:
        """All whole lines; a last line that a kill cut short is left out."""
        if not self.path.exists():
            return []
        lines = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                lines.append(json.loads(line))
        return [line for line in lines if isinstance(line, dict) and "step" in line]

    def drop_lines_after(self, step: int):
        """Keep the lines up to and including `step`."""
        if self.mute:
            return
        lines = [line for line in self.read_lines() if line["step"] <= step]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        files.write_text(self.path, text)


class Progress:
    """How far a run is, its pace and the time left: a bar on a terminal, plain lines elsewhere.

    The pace is that from the first update on, since what comes before it is mostly compilation.

    Parameters
    ----------
    total : int
        How many units there are.
    title, unit : str
        What is done, and what is counted.
    done : int
        Units that were done before.
    interval : float
        s between plain lines, at least.
    mute : bool
        Print nothing, as all but one of several processes.
    first : str
        What goes on until the first update, if it takes long.

    Attributes
    ----------
    done : int
        Units so far.
    bar : tqdm.tqdm or None
        None where there is no terminal.
    """

    def __init__(
        self,
        total: int,
        title: str,
        unit: str,
        done: int = 0,
        interval: float = 20.0,
        mute: bool = False,
        first: str = "",
    ):
        self.total, self.title, self.unit, self.done = total, title, unit, done
        self.interval, self.mute = interval, mute
        self.last_line_time = time.monotonic()
        self.first_time: float | None = None  # of the first update
        self.timed = 0  # units since then
        self.bar = None
        if mute:
            return
        if sys.stderr.isatty():
            import tqdm

            shape = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit}{postfix}"
            self.bar = tqdm.tqdm(
                total=total, initial=done, desc=title, unit=unit, leave=True, bar_format=shape
            )
            self.bar.set_postfix_str(first)
        elif first:
            self.print_line(first)

    def update(self, count: int = 1, note: str = "", kept: bool = False):
        """Count more units.

        Parameters
        ----------
        count : int
        note : str
            Shown behind them.
        kept : bool
            Whether they were done before and have only been read: they say nothing of the pace.
        """
        now = time.monotonic()
        self.done += count
        if self.first_time is None:
            self.first_time = None if kept else now
        elif not kept:
            self.timed += count
        if self.bar is not None:
            self.bar.set_postfix_str(self._describe_pace(now, note), refresh=False)
            self.bar.update(count)
        elif now - self.last_line_time > self.interval:
            self.print_line(note)

    def restart_pace(self):
        """Forget the pace: what comes now is of another kind."""
        self.first_time, self.timed = None, 0

    def print_line(self, note: str):
        """Print a plain line of how far it is."""
        if self.mute:
            return
        self.last_line_time = time.monotonic()
        text = f"{self.title}: {self.done}/{self.total} {self.unit}"
        pace = self._describe_pace(self.last_line_time, note)
        print(", ".join(filter(None, (text, pace))), file=sys.stderr, flush=True)

    def _describe_pace(self, now: float, note: str) -> str:
        words = [note] if note else []
        if self.first_time is not None and self.timed:
            rate = self.timed / max(now - self.first_time, 1e-9)
            left = f"{(self.total - self.done) / rate:.0f} s left"
            words = [f"{rate:.3g} {self.unit}/s", left, *words]
        return ", ".join(words)

    def close(self, note: str = ""):
        """End the bar, or print a last line."""
        if self.bar is not None:
            self.bar.set_postfix_str(note)
            self.bar.close()
        else:
            self.print_line(note)
