"""The trials of Camargo et al. 2021, converted from MATLAB tables.  No tfds or jax here."""

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imujax.data import builders, labels, raw_layouts, windows
from imujax.data.frames import CAMARGO
from imujax.data.recordings import Recording, rotate, to_si
from imujax.data_builders.camargo2021 import tables
from imujax.data_builders.tabular import readers
from imujax.data_builders.tabular.card import Layout
from imujax.errors import UserError

RATE, PLATE_RATE = tables.RATE, tables.PLATE_RATE
WINDOW, STRIDE = 128, 32
SENSORS = {"trunk": "trunk", "shank_r": "shank"}  # name here: name in the file
SIGNALS = [
    f"{unit}_{kind}_{axis}"
    for kind in ("Accel", "Gyro")
    for unit in SENSORS.values()
    for axis in "XYZ"
]
TRIAL_NAMES = {
    "levelground": re.compile(r"levelground_(?P<way>c?cw)_(?P<setting>slow|normal|fast)_\d+_\d+"),
    "ramp": re.compile(r"ramp_(?P<setting>\d+)_(?P<way>[lr])_\d+_\d+"),
    "stair": re.compile(r"stair_(?P<setting>\d+)_(?P<way>[lr])_\d+_\d+"),
}
SUFFIXES = (".parquet", ".csv", ".mat")
# N, less than any stance presses with; more than body weights and kN come to.
MIN_STANCE_FORCE = 50.0
MAX_GYR, MAX_ACC = 100.0, 1000.0  # rad/s and m/s^2, beyond the range of such units
MAX_PEAK = 5.0  # body weights: no walker's peak
MATCH_TOLERANCE = 0.1  # s between a plate's contact and the foot's events
MIN_CONTACT = 0.2  # s
HEIGHT_LIMITS, BMI_LIMITS = (1.0, 2.5), (12.0, 40.0)  # m and kg/m^2, of those who walked


@dataclass(frozen=True)
class Trial:
    """One trial: whose, its name in small letters, and its tables; None for one that is missing."""

    subject: str
    mass: float
    height: float
    date: str
    mode: str
    name: str
    info: Path
    imu: Path | None
    fp: Path | None
    cycles: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(p for p in (self.info, self.imu, self.fp, self.cycles) if p is not None)


def complete_options(given: dict) -> dict:
    """There are no options: rate, windows and label are those of the study."""
    return builders.complete_options({}, given)


def folder_name(options: dict) -> str:
    """Name of the folder."""
    del options
    return "peak_force"


def describe(options: dict) -> dict:
    """Metadata."""
    del options
    return {
        "sensors": list(SENSORS),
        "rate": RATE,
        "window": WINDOW,
        "stride": STRIDE,
        "frame": "of the segments: x forward, y left, z up in standing",
        "units": {"acc": "m/s^2", "gyr": "rad/s"},
        "targets": [{"name": "peak vertical ground force", "unit": "BW"}],
        "curves": [{"name": "vertical ground force", "unit": "BW"}],
        "curve_every": 1,
    }


def list_items(raw: Path, options: dict) -> list[Trial]:
    """All trials on level ground, ramps and stairs, in the order of subject, date, mode and name.

    A trial is what any of the folders imu, fp and gcRight has a table of.
    """
    del options
    folders = _list_subjects(raw)
    info, bodies = _read_bodies(raw)
    items = []
    for folder in folders:
        if folder.name not in bodies:
            raise UserError(f"{info}: there is no row of {folder.name}, who has a folder: add it")
        mass, height = bodies[folder.name]
        is_tall = HEIGHT_LIMITS[0] <= height <= HEIGHT_LIMITS[1]
        if not (is_tall and BMI_LIMITS[0] <= mass / height**2 <= BMI_LIMITS[1]):
            raise UserError(
                f"{info}: {folder.name} with Height {height:g} and Weight {mass:g} is no walker: "
                "Height must be in m, Weight in kg"
            )
        trials = _list_trials(folder, mass, height, info)
        if not trials:
            raise UserError(
                f"{folder} has no trial: expected tables such as <date>/levelground/imu/"
                "LevelGround_ccw_fast_01_01.parquet; unpack it again or leave it out"
            )
        items += trials
    return items


def _list_subjects(raw: Path) -> list[Path]:
    """The folders AB06, AB07, ... in `raw` or one level deeper, in the order of their names."""
    name = "AB[0-9][0-9]"
    folders = [p for pattern in (name, f"*/{name}") for p in raw.glob(pattern) if p.is_dir()]
    folders = sorted(folders, key=lambda p: (p.name, p))
    if not folders:
        raise UserError(
            f"{raw} has no subjects: expected folders AB06, AB07, ... in it or one level deeper; "
            "unpack the download and give the folder that holds them"
        )
    for folder, next_folder in itertools.pairwise(folders):
        if folder.name == next_folder.name:
            raise UserError(
                f"{folder.name} stands in {folder.parent} and {next_folder.parent}: keep one"
            )
    return folders


def _read_bodies(raw: Path) -> tuple[Path, dict[str, tuple[float, float]]]:
    """The table SubjectInfo beside the subjects: its path, and mass and height of each of them."""
    candidates = [p for pattern in ("*", "*/*") for p in raw.glob(pattern)]
    path = _list_tables(p for p in candidates if p.stem.lower() == "subjectinfo").get("subjectinfo")
    if path is None:
        raise UserError(
            f"{raw} has no SubjectInfo.csv or .parquet, the table with Subject, Height and Weight: "
            "convert the download's SubjectInfo.mat"
        )
    table = readers.read_table(path, Layout(), ["Height", "Weight"], ["Subject"])
    columns = (table[name].tolist() for name in ("Subject", "Weight", "Height"))
    bodies = {}
    for subject, mass, height in zip(*columns, strict=True):
        if subject in bodies:
            raise UserError(f"{path}: {subject} stands in two rows; keep one")
        bodies[subject] = mass, height
    return path, bodies


def _list_trials(subject: Path, mass: float, height: float, info: Path) -> list[Trial]:
    """The trials of one subject."""
    trials = []
    for date in sorted(p for p in subject.iterdir() if p.is_dir()):
        for mode in TRIAL_NAMES:
            folders = [date / mode / part for part in ("imu", "fp", "gcRight")]
            paths_by_name = [_list_tables(folder.glob("*")) for folder in folders]
            for name in sorted(set().union(*paths_by_name)):
                paths = (info, *(by_name.get(name) for by_name in paths_by_name))
                trials += [Trial(subject.name, mass, height, date.name, mode, name, *paths)]
    return trials


def _list_tables(paths: Iterable[Path]) -> dict[str, Path]:
    """Name in small letters -> its table, Parquet before CSV; other files are not looked at."""
    tables_by_name = {}
    for path in sorted(paths):
        suffix = path.suffix.lower()
        # Archives made on a Mac hold a file ._NAME beside each.
        if suffix in SUFFIXES and not path.name.startswith("."):
            first = tables_by_name.setdefault(path.stem.lower(), {}).setdefault(suffix, path)
            if first != path:
                raise UserError(f"{first} and {path} have one name: keep one of them")
    for by_suffix in tables_by_name.values():
        if set(by_suffix) == {".mat"}:
            raise UserError(
                f"{by_suffix['.mat']} is a table that only MATLAB can read: there, load it and "
                "write it beside with parquetwrite or writetable (the builder's README.md has the "
                "lines for all files)"
            )
    return {
        name: by_suffix.get(".parquet") or by_suffix[".csv"]
        for name, by_suffix in tables_by_name.items()
    }


def read_examples(item: Trial, options: dict) -> tuple[list[dict], windows.Dropped, float]:
    """Examples of one trial, what was dropped, and its seconds."""
    del options
    trial = read_trial(item)
    if isinstance(trial, str):
        return [], windows.Dropped({trial: 1}), 0.0
    recording, force, strikes, offs, condition = trial
    strikes, offs, dropped = labels.stances(strikes, offs)
    _check_unit(force, strikes, offs, str(item.fp))
    peaks, values, lost = labels.stance_peaks(force, strikes, offs, item.mass, str(item.fp))
    if values.max(initial=0) > MAX_PEAK:
        raise UserError(
            f"{item.fp}: a peak of {values.max():.3g} body weights is no walker's: forces must be "
            f"in N, Weight in {item.info.name} in kg"
        )
    dropped += lost
    starts, peak_numbers, lost = labels.peak_windows(len(force), peaks, values, WINDOW, STRIDE)
    curve = force[:, None] / (item.mass * labels.PLATE_GRAVITY)
    lengths = [WINDOW] * len(starts)
    examples, torn = windows.labelled_examples(
        recording, starts, lengths, values[peak_numbers], WINDOW, condition, curve
    )
    return examples, dropped + lost + torn, len(force) / RATE


def read_trial(item: Trial) -> tuple[Recording, np.ndarray, np.ndarray, np.ndarray, str] | str:
    """One trial on the span that its three tables share, or the reason why it has none.

    Returns (recording, vertical force [T] N under the right foot, its strikes and toe-offs [E] in
    samples, condition), all at 200 Hz from the recording's first sample on.
    """
    name_parts = TRIAL_NAMES[item.mode].fullmatch(item.name)
    if name_parts is None:
        return "trials with a name that does not tell the plates"
    plates = [f"{plate}_vy" for plate in raw_layouts.CAMARGO_PLATES[item.mode, name_parts["way"]]]
    clocked = []
    for path, columns, rate, contents in (
        (item.imu, SIGNALS, RATE, "sensors"),
        (item.fp, plates, PLATE_RATE, "force plates"),
        (item.cycles, ["HeelStrike", "ToeOff"], None, "gait cycles"),
    ):
        if path is None:
            return f"trials without {contents}"
        table = tables.read_clocked_table(path, columns, rate)
        if isinstance(table, str):
            return table
        clocked.append(table)
    imu, fp, cycles = clocked
    begin, first, n = tables.shared_span(imu, fp, cycles)
    if n < WINDOW:
        return "trials whose tables share less than a window"
    signals = imu.values[first : first + n].reshape(n, 2, len(SENSORS), 3)
    if not np.ptp(signals, axis=0).any(axis=-1).all():
        return "trials with a dead sensor"
    # What is left of a sample at 1000 Hz between the clocks is rounded.
    first = round((begin - fp.start) * PLATE_RATE)
    force = fp.values[first : first + round(n * PLATE_RATE / RATE)].sum(axis=1)
    strikes, offs = (
        np.round((cycles.start - begin + event / cycles.rate) * RATE).astype(int)
        for event in (labels.ramp_events(ramp, str(item.cycles)) for ramp in cycles.values.T)
    )
    recording = _make_recording(item, signals, begin)
    if np.abs(recording.gyr).max() > MAX_GYR or np.abs(recording.acc).max() > MAX_ACC:
        return "trials with samples beyond the range of the sensors"
    force = labels.plate_force(force, PLATE_RATE, str(item.fp))
    return recording, force, strikes, offs, f"{item.mode} {name_parts['setting']}"


def _make_recording(item: Trial, signals: np.ndarray, begin: float) -> Recording:
    """signals [T, 2, S, 3]: accelerometers [g] and gyroscopes [rad/s] in the units' axes."""
    norm = float(np.median(np.linalg.norm(signals[:, 0], axis=-1)))
    if 5 <= norm <= 60:
        raise UserError(
            f"{item.imu}: accelerometer median norm {norm:.3g}: looks like m/s^2, the file must "
            "hold g"
        )
    return Recording(
        subject=item.subject,
        recording=f"{item.date} {item.name}",
        sensors=tuple(SENSORS),
        rate=RATE,
        acc=rotate(to_si(signals[:, 0], "g"), CAMARGO),
        gyr=rotate(to_si(signals[:, 1], "rad/s"), CAMARGO),
        source=str(item.imu),
        activity="walking",
        mass=item.mass,
        height=item.height,
        start=begin,
    )


def _check_unit(force: np.ndarray, strikes: np.ndarray, offs: np.ndarray, source: str) -> None:
    """UserError for stances in another unit: faint, but every contact on the plates is a stance.

    force [T] at 200 Hz. A trial in which the right foot meets no plate is faint too, but its noise
    and drift know nothing of the foot's strikes and toe-offs [E].
    """
    largest = float(force.max())
    if not 0 < largest < MIN_STANCE_FORCE:
        return
    level = 0.05 * largest
    starts, ends, _ = labels.contacts(force, RATE, level, source, MIN_CONTACT)
    matches = [
        np.abs(strikes - a) + np.abs(offs - b) <= 2 * MATCH_TOLERANCE * RATE
        for a, b in zip(starts, ends, strict=True)
    ]
    if matches and all(stance.any() for stance in matches):
        raise UserError(
            f"{source}: the plates read {largest:.3g} at most, in stance: looks like body weights "
            "or kN, the file must hold N"
        )
