"""The files of the IPOL gait set: layout, parsing, gaps, steps. For the workers: no tfds here."""

import io
import json
import math
from pathlib import Path

import numpy as np

from imujax.data import datasets, windows
from imujax.data.recordings import Interval, Recording
from imujax.errors import UserError

SENSORS = ("lb", "lf", "rf")  # lower back, left foot, right foot
HEADER = ["PacketCounter", *(f"{kind}_{axis}" for kind in ("Acc", "Gyr", "Mag") for axis in "XYZ")]
RATE = 100.0  # Hz; one packet counter is 10 ms
MAX_GAP = 5  # packets between two neighbouring samples that may be interpolated, 0.05 s
STANCE = (0.3, 2.0)  # s, what is taken for a stance of walking

WINDOWS = {"rate": 100.0, "window": 128, "stride": None, "motion": 0.3, "sensors": None}
STEPS = {"rate": 100.0, "before": 32, "after": 96}


def complete(given: dict) -> dict:
    """All options of the task ("windows" or "stance_time"), with its defaults."""
    given = dict(given)
    task = given.pop("task", "windows")
    if task not in ("windows", "stance_time"):
        raise UserError(f"task must be windows or stance_time, not {task!r}")
    options = datasets.complete_options(WINDOWS if task == "windows" else STEPS, given)
    if task == "windows":
        options["stride"] = int(options["stride"] or options["window"])
        named = options["sensors"] or SENSORS
        named = tuple(named.split(",") if isinstance(named, str) else named)
        if set(named) - set(SENSORS) or len(set(named)) != len(named):
            raise UserError(f"sensors must be among {', '.join(SENSORS)}, not {', '.join(named)}")
        options["sensors"] = list(named)
    return {"task": task, **options}


def config(options: dict) -> str:
    """Name of the folder, e.g. windows_100hz_w128_s128 or stance_time_100hz_b32_a96."""
    if options["task"] == "stance_time":
        return "stance_time_{rate:g}hz_b{before}_a{after}".format(**options)
    name = "windows_{rate:g}hz_w{window}_s{stride}".format(**options)
    if options["motion"] != WINDOWS["motion"]:
        name += "_m{motion:g}".format(**options)
    if options["sensors"] != list(SENSORS):
        name += "_" + "_".join(options["sensors"])
    return name


def describe(options: dict) -> dict:
    """Metadata that follow from the options."""
    steps = options["task"] == "stance_time"
    window = options["before"] + options["after"] if steps else options["window"]
    return {
        "sensors": ["lb"] if steps else options["sensors"],
        "rate": options["rate"],
        "window": window,
        "stride": None if steps else options["stride"],
        "frame": "as in the files: each unit's own axes; x of the lower back points up in standing",
        "units": {"acc": "m/s^2", "gyr": "rad/s"},
        "targets": [{"name": "stance time", "unit": "s"}] if steps else [],
    }


def files(raw: Path, options: dict) -> list[tuple[Path, ...]]:
    """One item for each walk: its json and the text file of each sensor that is asked for."""
    sensors = options.get("sensors", ["lb"])
    folder = raw / "GaitData" if (raw / "GaitData").is_dir() else raw
    found = sorted(p for p in folder.glob("*-*.json"))
    if not found:
        raise UserError(
            f"{raw} has no walks: expected GaitData/1-1.json, GaitData/1-1_lb.txt, ...; "
            "unpack the archive and give the folder that holds GaitData"
        )
    items = [(p, *(p.with_name(f"{p.stem}_{s}.txt") for s in sensors)) for p in found]
    for path in (path for item in items for path in item):
        if not path.is_file():
            raise UserError(f"{path} is missing: unpack the archive again")
    return items


def table(path: Path) -> np.ndarray:
    """One unit's file, [T, 10]: packet counter, acceleration m/s^2, angular rate rad/s, field."""
    text = path.read_text(encoding="utf-8")
    first, names, *_ = [*text.split("\n", 2), "", ""]
    if first.strip() != f"Acquisition frequency: {RATE:g} Hz" or names.split() != HEADER:
        raise UserError(
            f"{path}: the first two lines must be 'Acquisition frequency: {RATE:g} Hz' and the "
            f"names {' '.join(HEADER)}"
        )
    if not text.endswith("\n"):
        raise UserError(f"{path}: the last line has no end: the file is cut off")
    try:
        values = np.loadtxt(io.StringIO(text), delimiter="\t", skiprows=2, ndmin=2)
    except ValueError as error:
        raise UserError(f"{path}: no table of {len(HEADER)} numbers a line: {error}") from error
    if len(values) < 2 or values.shape[1] != len(HEADER):
        raise UserError(f"{path}: {values.shape} values, expected rows of {len(HEADER)}")
    counter = values[:, 0]
    if not np.array_equal(counter, np.round(counter)) or (np.diff(counter) < 0).any():
        row = int(np.argmax(np.diff(counter) < 0)) + 1
        raise UserError(f"{path}: the packet counter goes back or is no whole number (row {row})")
    return values


def walk(paths: tuple[Path, ...]) -> tuple[list[Recording], dict, windows.Dropped]:
    """One walk: its pieces between long gaps, its json, and the counts of what was mended.

    The units are aligned on the packet counter, which is also what the json's events count (they
    are not row numbers). All pieces carry the walk's id; their clock is counter / 100 Hz.
    """
    about = _about(paths[0])
    start, end = np.asarray(about["TrialBoundaries"]) / RATE
    counts = windows.Dropped()
    tables = []
    for path in paths[1:]:
        values = table(path)
        if values[-1, 0] < end * RATE:
            raise UserError(f"{path} ends before the walk does ({end:.2f} s): the file is cut off")
        again = np.diff(values[:, 0], prepend=-1) == 0
        counts["repeated packets"] += int(again.sum())
        tables.append(values[~again])
    clock, data, whole = _aligned(tables, counts)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], whole, [False]]).astype(int)))
    pieces = [
        Recording(
            subject=f"S{about['Subject']:02d}",
            recording=paths[0].stem,
            sensors=tuple(path.stem.split("_")[1] for path in paths[1:]),
            rate=RATE,
            acc=data[a:b, :, :3],
            gyr=data[a:b, :, 3:],
            source=", ".join(str(path) for path in paths[1:]),
            activity="walking",
            intervals=(
                Interval("standing", 0.0, start),
                Interval("walking", start, end),
                Interval("", end, (clock[-1] + 1) / RATE),
            ),
            mass=_known(about["Weight"], 1.0),
            height=_known(about["Height"], 0.01),
            start=clock[a] / RATE,
        )
        for a, b in edges.reshape(-1, 2)
        if b - a >= RATE  # a shorter piece holds no window, and no second to check it by
    ]
    counts["pieces between gaps shorter than 1 s"] += len(edges) // 2 - len(pieces)
    return pieces, about, counts


def _aligned(
    tables: list[np.ndarray], counts: windows.Dropped
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The units on one counter: clock [T], data [T, units, 6], whole [T].

    Lost packets are interpolated and counted; `whole` is False in every gap that is too long.
    """
    clock = np.arange(max(t[0, 0] for t in tables), min(t[-1, 0] for t in tables) + 1)
    whole = np.ones(len(clock), bool)
    data = np.empty((len(clock), len(tables), 6))
    for s, values in enumerate(tables):
        counter = values[:, 0]
        known = np.isin(clock, counter)
        after = np.searchsorted(counter, clock)
        gap = counter[after] - counter[np.maximum(after - 1, 0)]
        short = known | (gap <= MAX_GAP)
        counts["packets interpolated"] += int((short & ~known).sum())
        whole &= short
        for c in range(6):
            data[:, s, c] = np.interp(clock, counter, values[:, 1 + c])
    return clock, data, whole


def _about(path: Path) -> dict:
    """The json of a walk, with the fields that are used."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        for name in ("TrialBoundaries", "UTurnBoundaries"):
            start, end = about[name]
            if not start < end:
                raise ValueError(f"{name} is {about[name]}")
        for name in ("LeftFootEvents", "RightFootEvents"):
            if (np.diff(np.asarray(about[name], float).reshape(-1, 2).ravel()) <= 0).any():
                raise ValueError(f"{name} are not in order of time")
        used = ("TrialBoundaries", "UTurnBoundaries", "LeftFootEvents", "RightFootEvents")
        used += ("Weight", "Height")
        return {"Subject": int(about["Subject"]), **{name: about[name] for name in used}}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no description of a walk: {error}") from error


def _known(value: float | None, factor: float) -> float | None:
    """value * factor; the set writes NaN where it does not know."""
    return None if value is None or math.isnan(value) else value * factor


def examples(item: tuple[Path, ...], options: dict) -> tuple[list[dict], windows.Dropped, float]:
    """Examples of one walk, what was dropped or mended, and its seconds."""
    pieces, about, counts = walk(item)
    seconds = sum(len(piece.acc) for piece in pieces) / RATE
    turn = np.asarray(about["UTurnBoundaries"]) / RATE
    if options["task"] == "stance_time":
        kept, dropped = _steps(pieces, about, turn, options)
        return kept, counts + dropped, seconds
    kept = []
    for piece in pieces:
        some, dropped = windows.unlabelled_examples(
            piece, options["rate"], options["window"], options["stride"], options["motion"]
        )
        kept += some
        counts.update(dropped)
    middle = options["window"] / options["rate"] / 2
    for e in kept:
        if e["activity"] == "walking":
            e["condition"] = "turn" if turn[0] <= e["start"] + middle < turn[1] else "straight"
    return kept, +counts, seconds


def _steps(
    pieces: list[Recording], about: dict, turn: np.ndarray, options: dict
) -> tuple[list[dict], windows.Dropped]:
    """One example for each stance: the lower back around foot strike -> the stance time [s].

    The events are swings, [toe-off, foot strike] of one foot; a stance lasts from the end of one
    to the start of that foot's next. A stance that overlaps the U-turn has the condition "turn".
    """
    start, end = np.asarray(about["TrialBoundaries"]) / RATE
    dropped = windows.Dropped()
    strikes, offs = [], []
    for foot in ("LeftFootEvents", "RightFootEvents"):
        swings = np.asarray(about[foot], float).reshape(-1, 2) / RATE
        strikes.append(swings[:-1, 1])
        offs.append(swings[1:, 0])
    strike, off = np.concatenate(strikes), np.concatenate(offs)
    outside = (strike < start) | (off > end)
    implausible = ~outside & ((off - strike < STANCE[0]) | (off - strike > STANCE[1]))
    dropped["steps outside the trial"] += int(outside.sum())
    dropped["steps with a stance below 0.3 s or above 2.0 s"] += int(implausible.sum())
    strike, off = strike[~outside & ~implausible], off[~outside & ~implausible]
    order = np.argsort(strike, kind="stable")
    strike, off = strike[order], off[order]
    rate, before, after = options["rate"], options["before"], options["after"]
    kept = []
    for piece in pieces:
        acc = windows.resample(piece.acc, RATE, rate)
        gyr = windows.resample(piece.gyr, RATE, rate)
        events = np.round((strike - piece.start) * rate).astype(int)
        starts, inside = windows.event_starts(events, before, after, len(acc))
        for s, on, to in zip(starts, strike[inside], off[inside], strict=True):
            condition = "turn" if on < turn[1] and to > turn[0] else "straight"
            kept.append(
                windows.make_example(
                    piece,
                    acc[s : s + before + after],
                    gyr[s : s + before + after],
                    s / rate,
                    "walking",
                    condition,
                    target=[to - on],
                )
            )
    dropped["steps whose window leaves the recording or meets a gap"] += len(strike) - len(kept)
    return kept, +dropped
