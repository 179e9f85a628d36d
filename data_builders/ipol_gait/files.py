"""The files of the IPOL gait set: layout, parsing, gaps, steps. For the workers: no tfds here."""

import io
import itertools
import json
import math
from pathlib import Path

import numpy as np

from imujax.data import builders, windows
from imujax.data.recordings import Interval, Recording
from imujax.errors import UserError

SENSORS = ("lb", "lf", "rf")  # lower back, left foot, right foot
HEADER = ["PacketCounter", *(f"{kind}_{axis}" for kind in ("Acc", "Gyr", "Mag") for axis in "XYZ")]
RATE = 100.0  # Hz; one packet counter is 10 ms
MAX_GAP = 5  # packets between two neighbouring samples that may be interpolated, 0.05 s
STANCE_LIMITS = (0.3, 2.0)  # s, what is taken for a stance of walking

WINDOW_OPTIONS = {"rate": 100.0, "window": 128, "stride": None, "motion": 0.3, "sensors": None}
STEP_OPTIONS = {"rate": 100.0, "before": 32, "after": 96}


def complete_options(given: dict) -> dict:
    """All options of the task ("windows" or "stance_time"), with its defaults."""
    given = dict(given)
    task = given.pop("task", "windows")
    if task not in ("windows", "stance_time"):
        raise UserError(f"task must be windows or stance_time, not {task!r}")
    defaults = WINDOW_OPTIONS if task == "windows" else STEP_OPTIONS
    options = builders.complete_options(defaults, given)
    if task == "windows":
        options["stride"] = int(options["stride"] or options["window"])
        sensors = options["sensors"] or SENSORS
        sensors = tuple(sensors.split(",") if isinstance(sensors, str) else sensors)
        if set(sensors) - set(SENSORS) or len(set(sensors)) != len(sensors):
            raise UserError(f"sensors must be among {', '.join(SENSORS)}, not {', '.join(sensors)}")
        options["sensors"] = list(sensors)
    return {"task": task, **options}


def folder_name(options: dict) -> str:
    """Name of the folder, e.g. windows_100hz_w128_s128 or stance_time_100hz_b32_a96."""
    if options["task"] == "stance_time":
        return "stance_time_{rate:g}hz_b{before}_a{after}".format(**options)
    name = "windows_{rate:g}hz_w{window}_s{stride}".format(**options)
    if options["motion"] != WINDOW_OPTIONS["motion"]:
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


def list_items(raw: Path, options: dict) -> list[tuple[Path, ...]]:
    """One item for each walk: its json and the text file of each sensor that is asked for."""
    sensors = options.get("sensors", ["lb"])
    folder = raw / "GaitData" if (raw / "GaitData").is_dir() else raw
    paths = sorted(p for p in folder.glob("*-*.json"))
    if not paths:
        raise UserError(
            f"{raw} has no walks: expected GaitData/1-1.json, GaitData/1-1_lb.txt, ...; "
            "unpack the archive and give the folder that holds GaitData"
        )
    items = [(p, *(p.with_name(f"{p.stem}_{s}.txt") for s in sensors)) for p in paths]
    for path in itertools.chain.from_iterable(items):
        if not path.is_file():
            raise UserError(f"{path} is missing: unpack the archive again")
    return items


def read_unit(path: Path) -> np.ndarray:
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


def read_walk(paths: tuple[Path, ...]) -> tuple[list[Recording], dict, windows.Dropped]:
    """One walk: its recordings between long gaps, its json, and the counts of what was mended.

    The units are aligned on the packet counter, which is also what the json's events count (they
    are not row numbers). All recordings carry the walk's id; their clock is counter / 100 Hz.
    """
    description = _read_description(paths[0])
    start, end = np.asarray(description["TrialBoundaries"]) / RATE
    counts = windows.Dropped()
    tables = []
    for path in paths[1:]:
        values = read_unit(path)
        if values[-1, 0] < end * RATE:
            raise UserError(f"{path} ends before the walk does ({end:.2f} s): the file is cut off")
        is_repeated = np.diff(values[:, 0], prepend=-1) == 0
        counts["repeated packets"] += int(is_repeated.sum())
        tables.append(values[~is_repeated])
    clock, data, covered = _align_units(tables, counts)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], covered, [False]]).astype(int)))
    recordings = [
        Recording(
            subject=f"S{description['Subject']:02d}",
            recording=paths[0].stem,
            sensors=tuple(path.stem.split("_")[1] for path in paths[1:]),
            rate=RATE,
            acc=data[first:last, :, :3],
            gyr=data[first:last, :, 3:],
            source=", ".join(str(path) for path in paths[1:]),
            activity="walking",
            intervals=(
                Interval("standing", 0.0, start),
                Interval("walking", start, end),
                Interval("", end, (clock[-1] + 1) / RATE),
            ),
            mass=_convert_known(description["Weight"], 1.0),
            height=_convert_known(description["Height"], 0.01),
            start=float(clock[first]) / RATE,
        )
        for first, last in edges.reshape(-1, 2)
        if last - first >= RATE  # a shorter one holds no window, and no second to check it by
    ]
    counts["pieces between gaps shorter than 1 s"] += len(edges) // 2 - len(recordings)
    return recordings, description, counts


def _align_units(
    tables: list[np.ndarray], counts: windows.Dropped
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The units on one counter: clock [T], data [T, units, 6], covered [T].

    Lost packets are interpolated and counted; `covered` is False in every gap that is too long.
    """
    clock = np.arange(max(t[0, 0] for t in tables), min(t[-1, 0] for t in tables) + 1)
    covered = np.ones(len(clock), bool)
    data = np.empty((len(clock), len(tables), 6))
    for s, values in enumerate(tables):
        counter = values[:, 0]
        known = np.isin(clock, counter)
        after = np.searchsorted(counter, clock)
        gap = counter[after] - counter[np.maximum(after - 1, 0)]
        short = known | (gap <= MAX_GAP)
        counts["packets interpolated"] += int((short & ~known).sum())
        covered &= short
        for c in range(6):
            data[:, s, c] = np.interp(clock, counter, values[:, 1 + c])
    return clock, data, covered


def _read_description(path: Path) -> dict:
    """The json of a walk, with the fields that are used."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        for name in ("TrialBoundaries", "UTurnBoundaries"):
            start, end = fields[name]
            if not start < end:
                raise ValueError(f"{name} is {fields[name]}")
        for name in ("LeftFootEvents", "RightFootEvents"):
            if (np.diff(np.asarray(fields[name], float).reshape(-1, 2).ravel()) <= 0).any():
                raise ValueError(f"{name} are not in order of time")
        names = ("TrialBoundaries", "UTurnBoundaries", "LeftFootEvents", "RightFootEvents")
        names += ("Weight", "Height")
        return {"Subject": int(fields["Subject"]), **{name: fields[name] for name in names}}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: no description of a walk: {error}") from error


def _convert_known(value: float | None, factor: float) -> float | None:
    """value * factor; the set writes NaN where it does not know."""
    return None if value is None or math.isnan(value) else value * factor


def read_examples(
    item: tuple[Path, ...], options: dict
) -> tuple[list[dict], windows.Dropped, float]:
    """Examples of one walk, what was dropped or mended, and its seconds."""
    recordings, description, counts = read_walk(item)
    seconds = sum(len(recording.acc) for recording in recordings) / RATE
    turn = np.asarray(description["UTurnBoundaries"]) / RATE
    if options["task"] == "stance_time":
        examples, dropped = _step_examples(recordings, description, turn, options)
        return examples, counts + dropped, seconds
    examples = []
    for recording in recordings:
        cut, dropped = windows.unlabelled_examples(
            recording, options["rate"], options["window"], options["stride"], options["motion"]
        )
        examples += cut
        counts.update(dropped)
    half = options["window"] / options["rate"] / 2
    for example in examples:
        if example["activity"] == "walking":
            is_turn = turn[0] <= example["start"] + half < turn[1]
            example["condition"] = "turn" if is_turn else "straight"
    return examples, +counts, seconds


def _step_examples(
    recordings: list[Recording], description: dict, turn: np.ndarray, options: dict
) -> tuple[list[dict], windows.Dropped]:
    """One example for each stance: the lower back around foot strike -> the stance time [s].

    The events are swings, [toe-off, foot strike] of one foot; a stance lasts from the end of one
    to the start of that foot's next. A stance that overlaps the U-turn has the condition "turn".
    """
    start, end = np.asarray(description["TrialBoundaries"]) / RATE
    dropped = windows.Dropped()
    strikes, offs = [], []
    for foot in ("LeftFootEvents", "RightFootEvents"):
        swings = np.asarray(description[foot], float).reshape(-1, 2) / RATE
        strikes.append(swings[:-1, 1])
        offs.append(swings[1:, 0])
    strike, off = np.concatenate(strikes), np.concatenate(offs)
    outside = (strike < start) | (off > end)
    stance = off - strike
    implausible = ~outside & ((stance < STANCE_LIMITS[0]) | (stance > STANCE_LIMITS[1]))
    dropped["steps outside the trial"] += int(outside.sum())
    dropped["steps with a stance below 0.3 s or above 2.0 s"] += int(implausible.sum())
    strike, off = strike[~outside & ~implausible], off[~outside & ~implausible]
    order = np.argsort(strike, kind="stable")
    strike, off = strike[order], off[order]
    rate, before, after = options["rate"], options["before"], options["after"]
    examples = []
    for recording in recordings:
        acc = windows.resample(recording.acc, RATE, rate)
        gyr = windows.resample(recording.gyr, RATE, rate)
        events = np.round((strike - recording.start) * rate).astype(int)
        starts, inside = windows.event_starts(events, before, after, len(acc))
        for s, strike_time, off_time in zip(starts, strike[inside], off[inside], strict=True):
            condition = "turn" if strike_time < turn[1] and off_time > turn[0] else "straight"
            window, target = slice(s, s + before + after), np.array([off_time - strike_time])
            examples.append(
                windows.make_example(
                    recording, acc[window], gyr[window], s / rate, "walking", condition, target
                )
            )
    dropped["steps whose window leaves the recording or meets a gap"] += len(strike) - len(examples)
    return examples, +dropped
