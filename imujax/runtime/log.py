"""What ran and how far it is: JSON lines, a progress bar, versions and commit."""

import contextlib
import importlib.metadata
import json
import pathlib
import platform
import subprocess
import sys
import time

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


def provenance() -> dict:
    """Versions of what decides the numbers, and the commit of the checkout if there is one."""
    found = {"imujax": importlib.metadata.version("imujax"), "python": platform.python_version()}
    found |= {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"versions": found, "commit": git_commit()}


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

    On resuming, `trim(step)` drops the lines that the resumed run will write again.  mute: write
    nothing, as all but one of several processes.
    """

    def __init__(self, path, mute: bool = False):
        self.path, self.mute = pathlib.Path(path), mute

    def write(self, **values):
        if self.mute:
            return
        line = json.dumps(
            {k: v if isinstance(v, (int, str)) else float(v) for k, v in values.items()}
        )
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def read(self) -> list[dict]:
        """All whole lines; a last line that a kill cut short is left out."""
        if not self.path.exists():
            return []
        found = []
        for line in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(line))
        return [line for line in found if isinstance(line, dict) and "step" in line]

    def trim(self, step: int):
        """Keep the lines up to and including `step`."""
        if self.mute:
            return
        kept = [line for line in self.read() if line["step"] <= step]
        text = "".join(json.dumps(line) + "\n" for line in kept)
        files.write_whole(self.path, lambda part: part.write_text(text, encoding="utf-8"))


class Progress:
    """A bar with rate and time left on a terminal; elsewhere a plain line now and then.

    mute: say nothing, as all but one of several processes.
    """

    def __init__(
        self,
        total: int,
        title: str,
        unit: str,
        done: int = 0,
        every: float = 20.0,
        mute: bool = False,
    ):
        self.total, self.title, self.unit, self.done = total, title, unit, done
        self.mute = mute
        self.first, self.began, self.every = done, time.monotonic(), every
        self.spoke = self.began
        self.bar = None
        if sys.stderr.isatty() and not mute:
            import tqdm

            self.bar = tqdm.tqdm(total=total, initial=done, desc=title, unit=unit, leave=True)

    def update(self, count: int = 1, note: str = ""):
        self.done += count
        if self.bar is not None:
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(count)
        elif time.monotonic() - self.spoke > self.every:
            self.say(note)

    def say(self, note: str):
        if self.mute:
            return
        self.spoke = time.monotonic()
        text = f"{self.title}: {self.done}/{self.total} {self.unit}"
        if self.done > self.first:
            rate = (self.done - self.first) / max(self.spoke - self.began, 1e-9)
            left = (self.total - self.done) / rate
            text += f", {rate:.3g} {self.unit}/s, {left:.0f} s left"
        print(", ".join(filter(None, (text, note))), file=sys.stderr)

    def close(self, note: str = ""):
        if self.bar is not None:
            self.bar.set_postfix_str(note)
            self.bar.close()
        else:
            self.say(note)
