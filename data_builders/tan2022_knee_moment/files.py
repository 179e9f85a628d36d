"""The HDF5 file of Tan et al. 2022: steps of walking, with knee moments.  No tfds or jax here."""

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from imujax.data import builders, labels, windows
from imujax.data.frames import LEFT_UP_FORWARD, SLOPED_FOOT
from imujax.data.recordings import Recording, rotate, to_si
from imujax.data_builders.tabular import readers
from imujax.errors import UserError

RATE = 100.0  # Hz
WINDOW = 128  # samples of a step that the study looks at
# Name here: name in the file.
SENSORS = {
    "trunk": "CHEST",
    "pelvis": "WAIST",
    "thigh_r": "R_THIGH",
    "shank_r": "R_SHANK",
    "foot_r": "R_FOOT",
    "thigh_l": "L_THIGH",
    "shank_l": "L_SHANK",
    "foot_l": "L_FOOT",
}
MASS, HEIGHT, MOMENT = "body weight", "body height", "EXT_KM_X"
MAX_COMPRESSION = 100  # times the size of its file: what a table can be
MAX_PEAK = 20.0  # % of body weight times height: no walker's peak
MIN_SHANK_RATE = 1.0  # rad/s, no walker's largest rate of the shank


@dataclass(frozen=True)
class Subject:
    """One subject's group of a file."""

    path: Path
    name: str

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)


def complete_options(given: dict) -> dict:
    """There are no options: the steps lie in the file as the study cuts them."""
    return builders.complete_options({}, given)


def folder_name(options: dict) -> str:
    """Name of the folder."""
    del options
    return "knee_moment"


def describe(options: dict) -> dict:
    """Metadata."""
    del options
    return {
        "sensors": list(SENSORS),
        "rate": RATE,
        "window": WINDOW,
        "stride": None,
        "frame": "of the segments: x forward, y left, z up in standing",
        "units": {"acc": "m/s^2", "gyr": "rad/s"},
        "targets": [{"name": "peak knee flexion moment", "unit": "%BW*BH"}],
        "curves": [{"name": "knee flexion moment", "unit": "%BW*BH"}],
        "curve_every": 1,
    }


def list_items(raw: Path, options: dict) -> list[Subject]:
    """The subjects of all HDF5 files in a folder, in the order of their names."""
    del options
    subjects = []
    for path in sorted(p for p in raw.iterdir() if p.suffix in (".h5", ".hdf5")):
        with _open_file(path) as file:
            try:
                subjects += [Subject(path, name) for name in sorted(file)]
            except (RuntimeError, ValueError) as error:
                raise readers.unreadable_file(path, error) from None
    if not subjects:
        raise UserError(
            f"{raw} has no HDF5 file with subjects: give the folder that holds the file of the "
            "study, with groups subject_01, subject_02, ..."
        )
    duplicates = {s.name for s in subjects if sum(s.name == other.name for other in subjects) > 1}
    if duplicates:
        raise UserError(f"{raw}: {min(duplicates)} stands in two files; keep one of them")
    return subjects


def read_examples(item: Subject, options: dict) -> tuple[list[dict], windows.Dropped, float]:
    """Examples of one subject, what was dropped, and its seconds."""
    del options
    source = f"{item.path} ({item.name})"
    steps, columns = _read_steps(item)
    lengths = labels.step_lengths(np.nan_to_num(steps, nan=1.0))
    dropped = windows.Dropped({"steps without a sample": int((lengths == 0).sum())})
    numbers = np.flatnonzero(lengths > 0)
    steps, lengths = steps[numbers], lengths[numbers]
    if not len(steps):
        return [], +dropped, 0.0
    mass, height = (
        _constant_value(steps, lengths, columns, name, source) for name in (MASS, HEIGHT)
    )
    moments = steps[:, :, columns[MOMENT]]
    peaks, has_peak, lost = labels.knee_flexion_peaks(moments, lengths)
    dropped += lost
    if len(peaks) and not np.median(np.abs(peaks)) < MAX_PEAK:
        raise UserError(
            f"{source}: the median peak of {MOMENT} is {np.median(peaks):.3g}, no percentage of "
            "body weight times height: divide N m by mass, gravity and height, times 100"
        )
    signals = {
        kind: np.stack([steps[:, :, axes] for axes in _axis_columns(kind, columns)], 2)
        for kind in ("Accel", "Gyro")
    }
    examples, target = [], np.full(len(steps), np.nan)
    target[has_peak] = peaks
    for row in np.flatnonzero(has_peak):
        length = lengths[row]
        acc, gyr = (
            _align_axes(to_si(signals[kind][row, :length], unit))
            for kind, unit in (("Accel", "m/s^2"), ("Gyro", "deg/s"))
        )
        if not (np.isfinite(acc).all() and np.isfinite(gyr).all()):
            dropped["steps with missing sensor samples"] += 1
            continue
        recording = Recording(
            subject=item.name,
            recording=f"step {numbers[row] + 1}",
            sensors=tuple(SENSORS),
            rate=RATE,
            acc=acc,
            gyr=gyr,
            source=f"{source}, step {numbers[row] + 1}",
            activity="walking",
            mass=mass,
            height=height,
        )
        shank = np.linalg.norm(gyr[:, recording.sensors.index("shank_r")], axis=1).max()
        if shank < MIN_SHANK_RATE:
            raise UserError(
                f"{recording.source}: the shank turns at {shank:.2g} rad/s at most: looks like "
                "rad/s, the file must hold deg/s"
            )
        curve = moments[row, :length, None]
        example, torn = windows.labelled_examples(
            recording, [0], [length], [target[row]], WINDOW, curve=curve
        )
        examples += example
        dropped += torn
    return examples, +dropped, float(lengths.sum() / RATE)


def _align_axes(values: np.ndarray) -> np.ndarray:
    """[T, 8, 3] in the units' axes -> in those of the segments: x forward, y left, z up."""
    turned = [
        rotate(values[:, s], SLOPED_FOOT if name.startswith("foot") else LEFT_UP_FORWARD)
        for s, name in enumerate(SENSORS)
    ]
    return np.stack(turned, axis=1)


def _axis_columns(kind: str, columns: dict[str, int]) -> list[list[int]]:
    """Columns of x, y and z of each sensor."""
    return [[columns[n] for n in _axis_fields(kind, name)] for name in SENSORS.values()]


def _axis_fields(kind: str, sensor: str) -> list[str]:
    return [f"{kind}{axis}_{sensor}" for axis in "XYZ"]


def _open_file(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise readers.unreadable_file(path, error) from None


def _read_steps(item: Subject) -> tuple[np.ndarray, dict[str, int]]:
    """Steps [N, T, fields] of one subject, and the number of each field that is read."""
    source = f"{item.path} ({item.name})"
    with _open_file(item.path) as file:
        try:
            if "columns" not in file.attrs:
                raise UserError(
                    f"{source}: the attribute `columns`, the names of the fields, is missing"
                )
            names = json.loads(file.attrs["columns"])
            node = file[item.name]
            if not isinstance(node, h5py.Dataset) or node.ndim != 3 or node.dtype.kind != "f":
                raise ValueError("no table of numbers [steps, samples, fields]")
            if not isinstance(names, list) or node.shape[2] != len(names):
                raise ValueError(f"{node.shape} values for {len(names)} names in `columns`")
            if node.nbytes > MAX_COMPRESSION * item.path.stat().st_size:
                raise ValueError(f"{node.shape} values cannot lie in a file of its size")
            with np.errstate(invalid="ignore"):  # some of the NaN that damaged bytes may make
                steps = np.asarray(node[...], np.float64)
        except UserError:
            raise
        except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
            raise readers.unreadable_file(source, error) from None
    required = [MASS, HEIGHT, MOMENT]
    required += [n for k in ("Accel", "Gyro") for s in SENSORS.values() for n in _axis_fields(k, s)]
    missing = [name for name in required if names.count(name) != 1]
    if missing:
        raise UserError(f"{source}: the field {missing[0]!r} must stand once in `columns`")
    if np.isinf(steps).any():
        raise UserError(f"{source} holds infinite values: download the file again")
    return steps, {name: names.index(name) for name in required}


def _constant_value(steps, lengths, columns, name: str, source: str) -> float:
    """What a field holds in all samples of all steps; another value anywhere is a UserError."""
    is_valid = np.arange(steps.shape[1]) < lengths[:, None]
    values = np.unique(steps[:, :, columns[name]][is_valid])
    if len(values) != 1:
        raise UserError(f"{source}: {name!r} must be one number throughout, not {len(values)}")
    return float(values[0])
