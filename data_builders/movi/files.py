"""The files of MoVi: rounds of movement with seventeen units.  No tfds or jax here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imujax.data import datasets, windows
from imujax.data.frames import MOVI
from imujax.data.raw_layouts import MOVI_JOINTS, MOVI_RATE
from imujax.data.recordings import Interval, Recording, fill_gaps, rotate, to_si
from imujax.data.windows import Dropped
from imujax.data_builders.movi import captures, mat
from imujax.data_builders.tabular import readers
from imujax.errors import UserError

NAME = re.compile(r"imu_Subject_(\d+)\.mat")
ROUNDS = ("I1", "I2", "S1", "S2")
# These are cut to the motion capture, and taken where they are there.
SYNCHED = {"S1": "S1_Synched", "S2": "S2_Synched"}
COLUMNS = 16  # of a joint: X(3) m, V(3) m/s, Q(4), A(3) g, W(3) rad/s
ACC, GYR = 10, 13  # the first ones of A and W
GAP = 0.05  # s that are filled
BEYOND = 1e4  # no unit reads so much, in whatever unit: the value is damaged
REST = 0.25  # share of gravity
UPRIGHT = (0.5, 3.0)  # g, what a body in movement reads in the median of all its units

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


@dataclass(frozen=True)
class Subject:
    """One subject's file, and the motion-capture files (round, path) that lie beside it."""

    number: int
    file: Path
    captures: tuple[tuple[str, Path], ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.file, *(path for _, path in self.captures))


def complete(given: dict) -> dict:
    """All options; the stride is the window where it is not given, rounds are in their order."""
    options = datasets.complete_options(OPTIONS, given)
    options["stride"] = int(options["stride"] or options["window"])
    asked = [name.strip() for name in options["rounds"].split(",")]
    if strange := sorted(set(asked) - set(ROUNDS)):
        raise UserError(f"no round {strange[0]!r}: rounds is a list such as {OPTIONS['rounds']}")
    options["rounds"] = ",".join(name for name in ROUNDS if name in asked)
    for name in ("rate", "window", "stride", "source_rate"):
        if not options[name] > 0:
            raise UserError(f"option {name} must be above 0, not {options[name]}")
    return options


def config(options: dict) -> str:
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


def files(raw: Path, options: dict) -> list[Subject]:
    """The subjects in order of their numbers, with the motion capture of the rounds asked for."""
    found = {}
    for path in sorted(raw.iterdir()):
        if name := NAME.fullmatch(path.name):
            found.setdefault(int(name[1]), []).append(path)
    if not found:
        raise UserError(
            f"{raw} has no files imu_Subject_1.mat, imu_Subject_2.mat, ...: unpack the archive and "
            "give the folder that holds them"
        )
    for number, paths in found.items():
        if len(paths) > 1:
            raise UserError(
                f"{raw}: {paths[0].name} and {paths[1].name} are both of subject {number}; keep one"
            )
    return [
        Subject(number, path, tuple(_captures(raw, number, options)))
        for number, (path,) in sorted(found.items())
    ]


def _captures(raw: Path, number: int, options: dict) -> Iterator[tuple[str, Path]]:
    for name in SYNCHED:
        path = raw / f"{name}_v3d_Subject_{number}.mat"
        if name in options["rounds"].split(",") and path.is_file():
            yield name, path


def examples(item: Subject, options: dict) -> tuple[list[dict], Dropped, float]:
    """Windows of one subject's rounds, what was dropped, and their seconds."""
    with mat.reading(item.file):
        rounds = mat.fields(mat.variable(item.file, "IMU"))
    out, dropped, seconds = [], Dropped(), 0.0
    for name in options["rounds"].split(","):
        synched = SYNCHED.get(name) in rounds
        there = SYNCHED[name] if synched else name
        if there not in rounds:
            dropped["rounds that the file does not have"] += 1
            continue
        where = f"{item.file} ({there})"
        signals = _signals(rounds[there], where)
        intervals = None
        if synched and name in dict(item.captures):
            path = dict(item.captures)[name]
            intervals, gone = captures.movements(
                path, item.number, name, len(signals), options["source_rate"], where
            )
            dropped += gone
        pieces, gone = recordings(signals, item.number, there, where, intervals, options)
        dropped += gone
        for piece in pieces:
            kept, gone = windows.unlabelled_examples(
                piece,
                options["rate"],
                options["window"],
                options["stride"],
                options["motion"],
                options["together"],
            )
            out += kept
            dropped += gone
            seconds += len(piece.acc) / piece.rate
    return out, +dropped, seconds


def _signals(one: mat.Array, where: str) -> np.ndarray:
    """acc [g] and gyr [rad/s] of a round, [T, 2, 17, 3]; NaN where a value is missing or damaged.

    Columns are found by the names of the joints, whose order differs from file to file.
    """
    with mat.reading(where):
        fields = mat.fields(one)
        joints = mat.texts(mat.field(fields, "jointNames", where))
        data = mat.numbers(mat.field(fields, "data", where))
    if data.ndim != 2 or data.shape[1] != COLUMNS * len(joints):
        raise UserError(
            f"{where}: data is {data.shape}: expected a row a frame, and in it {COLUMNS} columns "
            f"for each of the {len(joints)} names in jointNames"
        )
    for joint in MOVI_JOINTS.values():
        if joints.count(joint) != 1:
            raise UserError(
                f"{where}: the joint {joint!r} must stand once in jointNames, which are "
                f"{readers.shown(', '.join(joints))}"
            )
    first = COLUMNS * np.array([joints.index(joint) for joint in MOVI_JOINTS.values()])
    columns = np.array([ACC, GYR])[:, None, None] + first[:, None] + np.arange(3)  # [2, 17, 3]
    signals = data[:, columns.ravel()].astype(np.float64).reshape(len(data), *columns.shape)
    signals[~(np.abs(signals) < BEYOND)] = np.nan
    norm = np.linalg.norm(signals[:, 0], axis=2)
    norm = norm[~np.isnan(norm)]
    if len(norm) and not UPRIGHT[0] < np.median(norm) < UPRIGHT[1]:
        raise UserError(
            f"{where}: the accelerometers read {np.median(norm):.3g} (median norm): the file must "
            "hold g, with gravity"
        )
    return signals


def recordings(
    signals: np.ndarray,
    number: int,
    name: str,
    where: str,
    intervals: list[Interval] | None,
    options: dict,
) -> tuple[list[Recording], Dropped]:
    """The parts of a round between its gaps, and what was filled or dropped.

    signals as from `_signals`; `intervals` are the movements, None where they are not known.
    """
    rate, out, dropped = options["source_rate"], [], Dropped()
    turned = _aligned if options["align"] else np.asarray
    lost = np.isnan(signals).any(axis=(1, 2, 3))
    parts = stretches(lost, int(GAP * rate))
    dropped["samples in gaps that are too long to fill"] = len(lost) - sum(b - a for a, b in parts)
    for first, last in parts:
        inside = [
            i for i in intervals or () if i.start < last / rate and i.end > first / rate
        ]  # of one movement or more; between two nothing is cut
        if intervals is not None and not inside:
            continue
        if (last - first) * options["rate"] < options["window"] * rate:
            dropped["stretches shorter than a window"] += 1
            continue
        part, filled = signals[first:last], int(lost[first:last].sum())
        if filled:
            part, _ = fill_gaps(part, rate, np.inf, where)
            dropped["samples filled in short gaps"] += filled
        if (np.ptp(part, axis=0) == 0).all(axis=2).any():
            dropped["rounds, or parts of them, with a constant sensor"] += 1
            continue
        out.append(
            Recording(
                subject=f"Subject_{number}",
                recording=name,
                sensors=tuple(MOVI_JOINTS),
                rate=rate,
                acc=turned(to_si(part[:, 0], "g")),
                gyr=turned(to_si(part[:, 1], "rad/s")),
                source=where,
                intervals=tuple(inside),
                start=first / rate,
                rest_error=REST,
            )
        )
    return out, +dropped


def stretches(lost: np.ndarray, longest: int) -> list[tuple[int, int]]:
    """(first, last + 1) of the parts of lost [T] between runs of more than `longest` True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], lost, [False]]).astype(int)))
    gaps = [(a, b) for a, b in edges.reshape(-1, 2) if b - a > longest]
    begins, ends = [0, *(b for _, b in gaps)], [*(a for a, _ in gaps), len(lost)]
    return [(int(a), int(b)) for a, b in zip(begins, ends, strict=True) if a < b]


def _aligned(values: np.ndarray) -> np.ndarray:
    """[T, 17, 3] as in the file -> in our axes, where those of the unit are known."""
    out = values.copy()
    for s, name in enumerate(MOVI_JOINTS):
        if name in MOVI:
            out[:, s] = rotate(values[:, s], MOVI[name])
    return out
