"""The files of SisFall: layout, parsing, units. For the workers: no tfds here."""

import io
import re
from pathlib import Path

import numpy as np

from imujax.data import builders, windows
from imujax.data.recordings import Recording, to_si
from imujax.errors import UserError

RATE = 200.0  # Hz
COLUMNS = 9
ACC = 32 / 2**13  # ADXL345: 13 bits over +-16 g
GYR = 4000 / 2**16  # ITG3200: 16 bits over +-2000 deg/s
FILE_NAME = re.compile(r"(?P<activity>[DF]\d\d)_(?P<subject>S[AE]\d\d)_R\d\d\.txt")

OPTIONS = {"rate": 100.0, "window": 128, "stride": None, "motion": 0.3}


def complete_options(given: dict) -> dict:
    """All options; the stride is the window where it is not given."""
    options = builders.complete_options(OPTIONS, given)
    options["stride"] = int(options["stride"] or options["window"])
    return options


def folder_name(options: dict) -> str:
    """Name of the folder, e.g. 100hz_w128_s128; an unusual motion threshold is added to it."""
    name = "{rate:g}hz_w{window}_s{stride}".format(**options)
    if options["motion"] != OPTIONS["motion"]:
        name += "_m{motion:g}".format(**options)
    return name


def describe(options: dict) -> dict:
    """Metadata that follow from the options."""
    return {
        "sensors": ["waist"],
        "rate": options["rate"],
        "window": options["window"],
        "stride": options["stride"],
        "frame": "as in the files: x right, y down (reads -9.8 m/s^2 in standing), z forward",
        "units": {"acc": "m/s^2", "gyr": "rad/s"},
        "targets": [],
    }


def list_items(raw: Path, options: dict) -> list[Path]:
    """All trials `<subject folder>/<code>_<subject>_<repetition>.txt`, in order of their names."""
    del options
    paths = [p for p in raw.glob("S[AE][0-9][0-9]/*.txt") if FILE_NAME.fullmatch(p.name)]
    if not paths:
        paths = [p for p in raw.glob("*/S[AE][0-9][0-9]/*.txt") if FILE_NAME.fullmatch(p.name)]
    if not paths:
        raise UserError(
            f"{raw} has no SisFall trials: expected folders SA01, SA02, ... with files such as "
            "SA01/D01_SA01_R01.txt; unpack the archive and give the folder that holds them"
        )
    return sorted(paths)


def read_counts(path: Path) -> np.ndarray:
    """The raw integers of one trial, [T, 9]; UserError for a file that is cut off or garbled."""
    text = path.read_bytes().strip()
    if not text.endswith(b";"):
        raise UserError(f"{path}: the last line has no ';' at its end: the file is cut off")
    try:
        values = np.loadtxt(io.BytesIO(text.replace(b";", b"")), delimiter=",", ndmin=2)
    except ValueError as error:
        raise UserError(f"{path}: no table of {COLUMNS} integers a line: {error}") from error
    if values.shape[1] != COLUMNS:
        raise UserError(f"{path}: {values.shape[1]} columns, expected {COLUMNS}")
    return values


def read_recording(path: Path) -> Recording:
    """One trial in SI units. The subject is that of the file name: SA15 also holds SE15's files."""
    name = FILE_NAME.fullmatch(path.name)
    values = read_counts(path)
    return Recording(
        subject=name["subject"],
        recording=path.stem,
        sensors=("waist",),
        rate=RATE,
        acc=to_si(values[:, None, 0:3] * ACC, "g"),
        gyr=to_si(values[:, None, 3:6] * GYR, "deg/s"),
        source=str(path),
        activity=name["activity"],
        rest_error=0.25,  # the ADXL345 is not calibrated: its data sheet allows an offset of 0.25 g
    )


def read_examples(item: Path, options: dict) -> tuple[list[dict], windows.Dropped, float]:
    """Windows of one trial, what was dropped, and its seconds."""
    trial = read_recording(item)
    examples, dropped = windows.unlabelled_examples(
        trial, options["rate"], options["window"], options["stride"], options["motion"]
    )
    return examples, dropped, len(trial.acc) / trial.rate
