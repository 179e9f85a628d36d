"""The processed tree of Tan et al. 2021: running on a treadmill.  No tfds or jax here."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imujax.data import builders, clocks, labels, windows
from imujax.data.recordings import Recording, rotate
from imujax.data_builders.tan2021_running import plates, tables
from imujax.errors import UserError

RATE = tables.RATE
WINDOW = 64  # samples of the study's window
TRIALS = tuple(
    f"{shoe} {gait} {speed}"
    for shoe in ("nike", "mini")
    for gait in ("baseline", "SI", "SR")
    for speed in (24, 28)
)
STATIC, PARAM = "static", "param of "
# Folder and beginning of the name of each file that the labels need.
REQUIRED_FILES = {
    "file": (("200Hz", ""), ("200Hz", PARAM)),
    "force": (("200Hz", ""), ("1000Hz", ""), ("1000Hz", PARAM)),
}
PROCESSED_FOLDERS, RAW_FOLDERS = ("200Hz", "1000Hz", "100Hz"), ("vicon", "xsens")
SHANK_COLUMNS = [f"l_shank_{kind}_{axis}" for kind in ("acc", "gyr") for axis in "xyz"]
DIRECTIONS = {
    "forward": (1, 0, 0),
    "backward": (-1, 0, 0),
    "left": (0, 1, 0),
    "right": (0, -1, 0),
    "up": (0, 0, 1),
    "down": (0, 0, -1),
}
OPTIONS = {"labels": "file", "axes": "left,up,forward"}
# Degrees from up that the mean of the accelerometer may point.  A runner's shank swings and leans:
# simulated ones have 33 to 60, so this tells up from down and from the sides only.
STANDING_LEAN, RUNNING_LEAN = 45.0, 75.0
MAX_ACC, MAX_GYR = 500.0, 100.0  # m/s^2, rad/s: three times the range of a unit
LOADING_RATE_LIMITS = (5.0, 500.0)  # BW/s, what a loading rate can be
SHORTEST_STRIDE = 0.4  # s, the shortest from a foot's strike to its next


@dataclass(frozen=True)
class Trial:
    """One trial: the files that are read, or the reason why it is left out."""

    subject: str
    name: str
    required: tuple[Path, ...]  # in the order of REQUIRED_FILES
    static: tuple[Path, ...] = ()  # the static trial's that there are
    fault: str = ""

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.required + self.static


def complete_options(given: dict) -> dict:
    """labels: "file" or "force"; axes: where x, y, z of a unit point in standing."""
    options = builders.complete_options(OPTIONS, given)
    if options["labels"] not in REQUIRED_FILES:
        raise UserError(f"labels must be file or force, not {options['labels']!r}")
    options["axes"] = ",".join(word.strip().lower() for word in options["axes"].split(","))
    axes_rotation(options["axes"])
    return options


def axes_rotation(axes: str) -> np.ndarray:
    """The rotation [3, 3] from a unit's axes, which point to these three places, to ours."""
    words = axes.split(",")
    columns = [DIRECTIONS[word] for word in words if word in DIRECTIONS]
    turn = np.array(columns, float).T
    if len(words) != 3 or turn.shape != (3, 3) or round(np.linalg.det(turn)) != 1:
        raise UserError(
            f"axes must say where x, y, z of a unit point in standing, right-handed, with three "
            f"of {', '.join(DIRECTIONS)}, such as {OPTIONS['axes']}, not {axes!r}"
        )
    return turn


def folder_name(options: dict) -> str:
    """Name of the folder: loading_rate or loading_rate_force; unusual axes are added to it."""
    name = "loading_rate" + ("_force" if options["labels"] == "force" else "")
    if options["axes"] != OPTIONS["axes"]:
        name += "_" + options["axes"].replace(",", "_")
    return name


def describe(options: dict) -> dict:
    """Metadata; where the labels are made from the force, that force is a curve."""
    curve = {"name": "vertical ground force", "unit": "BW"}
    return {
        "sensors": ["shank_l"],
        "rate": RATE,
        "window": WINDOW,
        "stride": None,
        "frame": "of the segments: x forward, y left, z up in standing",
        "units": {"acc": "m/s^2", "gyr": "rad/s"},
        "targets": [{"name": "vertical loading rate", "unit": "BW/s"}],
        **({"curves": [curve], "curve_every": 1} if options["labels"] == "force" else {}),
    }


def list_items(raw: Path, options: dict) -> list[Trial]:
    """The study's twelve trials of every subject, and the tables that are none of them."""
    subjects = [p for p in sorted(raw.iterdir()) if _has_folder(p, PROCESSED_FOLDERS + RAW_FOLDERS)]
    if not any(_has_folder(p, ("200Hz",)) for p in subjects):
        if any(_has_folder(p, RAW_FOLDERS) for p in subjects):
            raise UserError(
                f"{raw} has the raw tree only (vicon, xsens), whose .mtb files are not read: give "
                "the processed tree, with <subject>/200Hz/<trial>.csv and param_of_<trial>.csv"
            )
        raise UserError(
            f"{raw} has no subjects: give the folder that holds <subject>/200Hz/<trial>.csv, such "
            "as subject_01/200Hz/nike_baseline_24.csv"
        )
    return [trial for subject in subjects for trial in _list_trials(subject, options["labels"])]


def read_examples(item: Trial, options: dict) -> tuple[list[dict], windows.Dropped, float]:
    """Examples of one trial, what was dropped, and its seconds."""
    if item.fault:
        return [], windows.Dropped({item.fault: 1}), 0.0
    source = item.required[0]
    values, gap = _read_shank(source, SHANK_COLUMNS)
    seconds = len(values) / RATE
    if gap.all():
        return [], windows.Dropped({"trials without values of the shank's unit": 1}), seconds
    if options["labels"] == "file":
        strikes = _file_loading_rates(item, len(values))
    else:
        force, params = item.required[1:]
        static = tuple(p for p in item.static if p.parent.name == "1000Hz")
        strikes = plates.plate_loading_rates(force, params, static, source, len(values))
    turn = axes_rotation(options["axes"])
    recording = Recording(
        subject=item.subject,
        recording=item.name,
        sensors=("shank_l",),
        rate=RATE,
        acc=rotate(values[:, None, :3], turn),
        gyr=rotate(values[:, None, 3:], turn),
        source=str(source),
        activity="running",
        mass=strikes.mass,
        # What is interpolated may look like rest.
        rest_error=np.inf if gap.any() else 0.1,
    )
    _check_range(values, source)
    _check_up(values[~gap, :3], RUNNING_LEAN, turn, source)
    for path in (p for p in item.static if p.parent.name == "200Hz"):
        standing, standing_gap = _read_shank(path, SHANK_COLUMNS[:3])
        if not standing_gap.all():
            _check_up(standing[~standing_gap], STANDING_LEAN, turn, path)
    starts, is_inside = labels.strike_windows(
        strikes.events, strikes.rate, len(values), length=WINDOW
    )
    dropped = strikes.dropped
    dropped["strikes whose window leaves the trial"] += int((~is_inside).sum())
    is_early = starts < plates.SKIP * RATE
    is_torn = ~is_early & np.array([gap[s : s + WINDOW].any() for s in starts], bool)
    dropped[f"windows that begin in the first {plates.SKIP:g} s"] += int(is_early.sum())
    dropped[f"windows with a gap of more than {1000 * tables.MAX_GAP:g} ms"] += int(is_torn.sum())
    usable = ~is_early & ~is_torn
    starts, targets = starts[usable], strikes.values[is_inside][usable]
    examples, torn = windows.labelled_examples(
        recording, starts, [WINDOW] * len(starts), targets, WINDOW, item.name, strikes.curve
    )
    return examples, +(dropped + torn), seconds


def _read_shank(path: Path, columns: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the shank's unit [T, C] without NaN, and gap [T]: where too many are missing."""
    values = tables.read_columns(path, columns)
    return clocks.fill_short_gaps(values, RATE, tables.MAX_GAP, str(path))


def _file_loading_rates(item: Trial, n: int) -> plates.LabelledStrikes:
    """Loading rates that the file holds: the rows of the 200 Hz table where there is one."""
    path = item.required[1]
    rates, strikes = tables.read_events(path, ["l_LR", "l_strikes"], item.required[0], n)
    dropped = windows.Dropped()
    is_unrated = (strikes != 0) & (rates == 0)
    dropped["strikes without a loading rate in the file"] = int(is_unrated.sum())
    rows = np.flatnonzero(rates)
    lowest, highest = LOADING_RATE_LIMITS
    median = np.median(rates[rows]) if len(rows) else lowest
    if not lowest <= median <= highest:
        raise UserError(
            f"{path}: the median of l_LR at strikes is {median:.3g}, outside {lowest:g} to "
            f"{highest:g}: it must be in BW/s; divide N/s by the body weight, multiply BW/ms "
            "by 1000, or build with --labels force"
        )
    is_repeated = np.diff(rows, prepend=-n) < SHORTEST_STRIDE * RATE
    is_implausible = ~is_repeated & ((rates[rows] < lowest) | (rates[rows] > highest))
    reason = f"loading rates less than {SHORTEST_STRIDE:g} s after the one before"
    dropped[reason] = int(is_repeated.sum())
    dropped[f"loading rates outside {lowest:g} to {highest:g} BW/s"] = int(is_implausible.sum())
    rows = rows[~is_repeated & ~is_implausible]
    return plates.LabelledStrikes(rows, RATE, rates[rows], dropped, None, None)


def _check_range(values: np.ndarray, source: Path) -> None:
    """UserError where values [T, 6] are more than a unit can read."""
    for part, limit, unit in (
        (values[:, :3], MAX_ACC, "m/s^2"),
        (values[:, 3:], MAX_GYR, "rad/s"),
    ):
        if np.abs(part).max() > limit:
            raise UserError(
                f"{source}: the shank's unit reads {np.abs(part).max():.3g} {unit}, more than any "
                "unit can: the file is damaged; copy it again"
            )


def _check_up(acc: np.ndarray, max_lean: float, turn: np.ndarray, source: Path) -> None:
    """UserError where the mean of acc [T, 3] does not point within `max_lean` degrees of up."""
    mean = turn @ acc.mean(0)
    if mean[2] <= np.cos(np.deg2rad(max_lean)) * np.linalg.norm(mean):
        direction = max(DIRECTIONS, key=lambda word: np.dot(DIRECTIONS[word], mean))
        raise UserError(
            f"{source}: in x, y, z of the shank's unit its mean accelerometer reads "
            f"{np.round(turn.T @ mean, 1).tolist()} m/s^2; with these axes that points "
            f"{direction}, not up: say with --axes where x, y, z point in standing, such as "
            f"{OPTIONS['axes']}"
        )


def _has_folder(folder: Path, names: tuple[str, ...]) -> bool:
    return any((folder / name).is_dir() for name in names)


def _list_trials(subject: Path, source: str) -> list[Trial]:
    """The trials of one subject; what is missing, and what is no trial, is an item as well."""
    paths_by_rate = {rate: _list_tables(subject / rate) for rate in ("200Hz", "1000Hz")}
    rates = ("200Hz", "1000Hz") if source == "force" else ("200Hz",)
    static = tuple(paths_by_rate[rate][STATIC] for rate in rates if STATIC in paths_by_rate[rate])
    trials = []
    for name in TRIALS:
        paths = [
            paths_by_rate[rate].get(start + name.lower()) for rate, start in REQUIRED_FILES[source]
        ]
        if None in paths:
            rate, start = REQUIRED_FILES[source][paths.index(None)]
            reason = f"trials without {rate}/{start.replace(' ', '_')}<trial>.csv"
            trials.append(Trial(subject.name, name, (), fault=reason))
        else:
            trials.append(Trial(subject.name, name, tuple(paths), static))
    known_names = {STATIC, *(name.lower() for name in TRIALS)}
    for key in sorted(paths_by_rate["200Hz"]):
        if key.removeprefix(PARAM) not in known_names:
            reason = "files in 200Hz that are no trial of the study"
            trials.append(Trial(subject.name, key, (), fault=reason))
    return trials


def _list_tables(folder: Path) -> dict[str, Path]:
    """The CSV files of a folder by their names in lower case with blanks between words."""
    paths_by_name = {}
    for path in sorted(folder.glob("*")):
        if path.suffix.lower() != ".csv":
            continue
        key = " ".join(path.stem.lower().replace("_", " ").split())
        if key in paths_by_name:
            raise UserError(
                f"{paths_by_name[key]} and {path} have the name of one trial: keep one of them"
            )
        paths_by_name[key] = path
    return paths_by_name
