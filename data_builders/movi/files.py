"""The files of MoVi: rounds of movement with seventeen units.  No tfds or jax here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imujax.data import builders, windows
from imujax.data.clocks import fill_gaps
from imujax.data.frames import MOVI
from imujax.data.raw_layouts import MOVI_JOINTS, MOVI_RATE
from imujax.data.recordings import Interval, Recording, rotate, to_si
from imujax.data.windows import Dropped
from imujax.data_builders.movi import captures, mat
from imujax.data_builders.tabular import sentences
from imujax.errors import UserError

FILE_NAME = re.compile(r"imu_Subject_(\d+)\.mat")
ROUNDS = ("I1", "I2", "S1", "S2")
# These are cut to the motion capture, and taken where they are there.
SYNCHED = {"S1": "S1_Synched", "S2": "S2_Synched"}
COLUMNS = 16  # of a joint: X(3) m, V(3) m/s, Q(4), A(3) g, W(3) rad/s
ACC, GYR = 10, 13  # the first ones of A and W
MAX_GAP = 0.05  # s that are filled
MAX_READING = 1e4  # no unit reads so much, in whatever unit: the value is damaged
REST_ERROR = 0.25  # share of gravity
NORM_LIMITS = (0.5, 3.0)  # g, what a body in movement reads in the median of all its units

ALIGNED = (
    "x forward, y left, z up in standing for pelvis, trunk, thighs, shanks and feet; as in the "
    "files for head, shoulders, arms and hands"
)
OPTIONS = {
    "rate": 100.0,
    "window": 128,
    "stride": None,
    "motion": 0.3,
    "rounds": ",".join(ROUNDS),
    "source_rate": MOVI_RATE,
    "together": False,
    "align": True,
}

CUTTING = ("rate", "window", "stride", "motion", "together")  # options of unlabelled_examples


@dataclass(frozen=True)
class Subject:
    """One subject's file, and the motion-capture files (round, path) that lie beside it."""

    number: int
    file: Path
    captures: tuple[tuple[str, Path], ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.file, *(path for _, path in self.captures))


def complete_options(given: dict) -> dict:
    """All options; the stride is the window where it is not given, rounds are in their order."""
    options = builders.complete_options(OPTIONS, given)
    options["stride"] = int(options["stride"] or options["window"])
    names = [name.strip() for name in options["rounds"].split(",")]
    if unknown := sorted(set(names) - set(ROUNDS)):
        raise UserError(f"no round {unknown[0]!r}: rounds is a list such as {OPTIONS['rounds']}")
    options["rounds"] = ",".join(name for name in ROUNDS if name in names)
    for name in ("rate", "window", "stride", "source_rate"):
        if not options[name] > 0:
            raise UserError(f"option {name} must be above 0, not {options[name]}")
    return options


def folder_name(options: dict) -> str:
    """Name of the folder, e.g. 100hz_w128_s128; other unusual options are added to it."""
    name = "{rate:g}hz_w{window}_s{stride}".format(**options)
    if options["motion"] != OPTIONS["motion"]:
        name += "_m{motion:g}".format(**options)
    if options["rounds"] != OPTIONS["rounds"]:
        name += "_" + options["rounds"].replace(",", "")
    if options["source_rate"] != OPTIONS["source_rate"]:
        name += "_from{source_rate:g}hz".format(**options)
    return name + "_together" * options["together"] + "_as_it_comes" * (not options["align"])


def describe(options: dict) -> dict:
    """Metadata that follow from the options."""
    return {
        "sensors": list(MOVI_JOINTS),
        "rate": options["rate"],
        "window": options["window"],
        "stride": options["stride"],
        "frame": ALIGNED if options["align"] else "as in the files",
        "units": {"acc": "m/s^2", "gyr": "rad/s"},
        "targets": [],
    }


def list_items(raw: Path, options: dict) -> list[Subject]:
    """The subjects in order of their numbers, with the motion capture of the rounds asked for."""
    files_by_number = {}
    for path in sorted(raw.iterdir()):
        if match := FILE_NAME.fullmatch(path.name):
            files_by_number.setdefault(int(match[1]), []).append(path)
    if not files_by_number:
        raise UserError(
            f"{raw} has no files imu_Subject_1.mat, imu_Subject_2.mat, ...: unpack the archive and "
            "give the folder that holds them"
        )
    for number, paths in files_by_number.items():
        if len(paths) > 1:
            raise UserError(
                f"{raw}: {paths[0].name} and {paths[1].name} are both of subject {number}; keep one"
            )
    return [
        Subject(number, path, tuple(_list_captures(raw, number, options)))
        for number, (path,) in sorted(files_by_number.items())
    ]


def _list_captures(raw: Path, number: int, options: dict) -> Iterator[tuple[str, Path]]:
    for name in SYNCHED:
        path = raw / f"{name}_v3d_Subject_{number}.mat"
        if name in options["rounds"].split(",") and path.is_file():
            yield name, path


def read_examples(item: Subject, options: dict) -> tuple[list[dict], Dropped, float]:
    """Windows of one subject's rounds, what was dropped, and their seconds."""
    with mat.explain_faults(item.file):
        rounds = mat.struct_fields(mat.read_variable(item.file, "IMU"))
    examples, dropped, seconds = [], Dropped(), 0.0
    for name in options["rounds"].split(","):
        is_synched = SYNCHED.get(name) in rounds
        field = SYNCHED[name] if is_synched else name
        if field not in rounds:
            dropped["rounds that the file does not have"] += 1
            continue
        source = f"{item.file} ({field})"
        signals = _read_signals(rounds[field], source)
        intervals = None
        if is_synched and name in dict(item.captures):
            path = dict(item.captures)[name]
            intervals, lost = captures.read_movements(
                path, item.number, name, len(signals), options["source_rate"], source
            )
            dropped += lost
        parts, lost = split_round(signals, item.number, field, source, intervals, options)
        dropped += lost
        for part in parts:
            cut, lost = windows.unlabelled_examples(part, *(options[name] for name in CUTTING))
            examples += cut
            dropped += lost
            seconds += len(part.acc) / part.rate
    return examples, +dropped, seconds


def _read_signals(array: mat.Array, source: str) -> np.ndarray:
    """acc [g] and gyr [rad/s] of a round, [T, 2, 17, 3]; NaN where a value is missing or damaged.

    Columns are found by the names of the joints, whose order differs from file to file.
    """
    with mat.explain_faults(source):
        fields = mat.struct_fields(array)
        joints = mat.cell_texts(mat.get_field(fields, "jointNames", source))
        data = mat.real_array(mat.get_field(fields, "data", source))
    if data.ndim != 2 or data.shape[1] != COLUMNS * len(joints):
        raise UserError(
            f"{source}: data is {data.shape}: expected a row a frame, and in it {COLUMNS} columns "
            f"for each of the {len(joints)} names in jointNames"
        )
    for joint in MOVI_JOINTS.values():
        if joints.count(joint) != 1:
            raise UserError(
                f"{source}: the joint {joint!r} must stand once in jointNames, which are "
                f"{sentences.printable_name(', '.join(joints))}"
            )
    first = COLUMNS * np.array([joints.index(joint) for joint in MOVI_JOINTS.values()])
    columns = np.array([ACC, GYR])[:, None, None] + first[:, None] + np.arange(3)  # [2, 17, 3]
    signals = data[:, columns.ravel()].astype(np.float64).reshape(len(data), *columns.shape)
    signals[~(np.abs(signals) < MAX_READING)] = np.nan
    norms = np.linalg.norm(signals[:, 0], axis=2)
    norms = norms[~np.isnan(norms)]
    if len(norms) and not NORM_LIMITS[0] < np.median(norms) < NORM_LIMITS[1]:
        raise UserError(
            f"{source}: the accelerometers read {np.median(norms):.3g} (median norm): the file "
            "must hold g, with gravity"
        )
    return signals


def split_round(
    signals: np.ndarray,
    number: int,
    name: str,
    source: str,
    intervals: list[Interval] | None,
    options: dict,
) -> tuple[list[Recording], Dropped]:
    """The parts of a round between its gaps, and what was filled or dropped.

    signals as from `_read_signals`; `intervals` are the movements, None where they are not known.
    """
    rate, recordings, dropped = options["source_rate"], [], Dropped()
    turn = _align_axes if options["align"] else np.asarray
    missing = np.isnan(signals).any(axis=(1, 2, 3))
    parts = split_at_gaps(missing, int(MAX_GAP * rate))
    covered = sum(b - a for a, b in parts)
    dropped["samples in gaps that are too long to fill"] = len(missing) - covered
    for first, last in parts:
        # Of one movement or more; between two nothing is cut.
        inside = [i for i in intervals or () if i.start < last / rate and i.end > first / rate]
        if intervals is not None and not inside:
            continue
        if (last - first) * options["rate"] < options["window"] * rate:
            dropped["stretches shorter than a window"] += 1
            continue
        part, filled = signals[first:last], int(missing[first:last].sum())
        if filled:
            part, _ = fill_gaps(part, rate, np.inf, source)
            dropped["samples filled in short gaps"] += filled
        if (np.ptp(part, axis=0) == 0).all(axis=2).any():
            dropped["rounds, or parts of them, with a constant sensor"] += 1
            continue
        recordings.append(
            Recording(
                subject=f"Subject_{number}",
                recording=name,
                sensors=tuple(MOVI_JOINTS),
                rate=rate,
                acc=turn(to_si(part[:, 0], "g")),
                gyr=turn(to_si(part[:, 1], "rad/s")),
                source=source,
                intervals=tuple(inside),
                start=first / rate,
                rest_error=REST_ERROR,
            )
        )
    return recordings, +dropped


def split_at_gaps(missing: np.ndarray, max_gap: int) -> list[tuple[int, int]]:
    """(first, last + 1) of the parts of missing [T] between runs of more than `max_gap` True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(int)))
    gaps = [(a, b) for a, b in edges.reshape(-1, 2) if b - a > max_gap]
    starts, ends = [0, *(b for _, b in gaps)], [*(a for a, _ in gaps), len(missing)]
    return [(int(a), int(b)) for a, b in zip(starts, ends, strict=True) if a < b]


def _align_axes(values: np.ndarray) -> np.ndarray:
    """[T, 17, 3] as in the file -> in our axes, where those of the unit are known."""
    out = values.copy()
    for s, name in enumerate(MOVI_JOINTS):
        if name in MOVI:
            out[:, s] = rotate(values[:, s], MOVI[name])
    return out
