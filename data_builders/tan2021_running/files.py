"""The processed tree of Tan et al. 2021: running on a treadmill.  No tfds or jax here."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imujax.data import datasets, labels, windows
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
NEEDS = {
    "file": (("200Hz", ""), ("200Hz", PARAM)),
    "force": (("200Hz", ""), ("1000Hz", ""), ("1000Hz", PARAM)),
}
PROCESSED, UNREAD = ("200Hz", "1000Hz", "100Hz"), ("vicon", "xsens")
FIELDS = [f"l_shank_{kind}_{axis}" for kind in ("acc", "gyr") for axis in "xyz"]
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
LEAN, RUNNING_LEAN = 45.0, 75.0
MOST_ACC, MOST_GYR = 500.0, 100.0  # m/s^2, rad/s: three times the range of a unit
RATES = (5.0, 500.0)  # BW/s, what a loading rate can be
STRIDE = 0.4  # s, the shortest from a foot's strike to its next


@dataclass(frozen=True)
class Trial:
    """One trial: the files that are read, or the reason why it is left out."""

    subject: str
    name: str
    needs: tuple[Path, ...]  # in the order of NEEDS
    static: tuple[Path, ...] = ()  # the static trial's that there are
    lacks: str = ""

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.needs + self.static


def complete(given: dict) -> dict:
    """labels: "file" or "force"; axes: where x, y, z of a unit point in standing."""
    options = datasets.complete_options(OPTIONS, given)
    if options["labels"] not in NEEDS:
        raise UserError(f"labels must be file or force, not {options['labels']!r}")
    options["axes"] = ",".join(word.strip().lower() for word in options["axes"].split(","))
    matrix(options["axes"])
    return options


def matrix(axes: str) -> np.ndarray:
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


def config(options: dict) -> str:
    """Name of the folder: loading_rate or loading_rate_force; unusual axes are added to it."""
    name = "loading_rate" + ("_force" if options["labels"] == "force" else "")
    if options["axes"] != OPTIONS["axes"]:
        name += "_" + options["axes"].replace(",", "_")
    return name


def describe(options: dict) -> dict:
    """Metadata."""
    del options
    return {
        "sensors": ["shank_l"],
        "rate": RATE,
        "window": WINDOW,
        "stride": None,
        "frame": "of the segments: x forward, y left, z up in standing",
        "units": {"acc": "m/s^2", "gyr": "rad/s"},
        "targets": [{"name": "vertical loading rate", "unit": "BW/s"}],
    }


def files(raw: Path, options: dict) -> list[Trial]:
    """The study's twelve trials of every subject, and the tables that are none of them."""
    subjects = [p for p in sorted(raw.iterdir()) if _holds(p, PROCESSED) or _holds(p, UNREAD)]
    if not any(_holds(p, ("200Hz",)) for p in subjects):
        if any(_holds(p, UNREAD) for p in subjects):
            raise UserError(
                f"{raw} has the raw tree only (vicon, xsens), whose .mtb files are not read: give "
                "the processed tree, with <subject>/200Hz/<trial>.csv and param_of_<trial>.csv"
            )
        raise UserError(
            f"{raw} has no subjects: give the folder that holds <subject>/200Hz/<trial>.csv, such "
            "as subject_01/200Hz/nike_baseline_24.csv"
        )
    return [trial for subject in subjects for trial in _trials(subject, options["labels"])]


def examples(item: Trial, options: dict) -> tuple[list[dict], windows.Dropped, float]:
    """Examples of one trial, what was dropped, and its seconds."""
    if item.lacks:
        return [], windows.Dropped({item.lacks: 1}), 0.0
    source = item.needs[0]
    values, gap = tables.mended(tables.columns(source, FIELDS), RATE, source)
    seconds = len(values) / RATE
    if gap.all():
        return [], windows.Dropped({"trials without values of the shank's unit": 1}), seconds
    if options["labels"] == "file":
        found = _from_file(item, len(values))
    else:
        force, params = item.needs[1:]
        static = tuple(p for p in item.static if p.parent.name == "1000Hz")
        found = plates.loading_rates(force, params, static, source, len(values))
    turn = matrix(options["axes"])
    recording = Recording(
        subject=item.subject,
        recording=item.name,
        sensors=("shank_l",),
        rate=RATE,
        acc=rotate(values[:, None, :3], turn),
        gyr=rotate(values[:, None, 3:], turn),
        source=str(source),
        activity="running",
        mass=found.mass,
        # What is interpolated may look like rest.
        rest_error=np.inf if gap.any() else 0.1,
    )
    _check_range(values, source)
    _check_up(values[~gap, :3], RUNNING_LEAN, turn, source)
    for path in (p for p in item.static if p.parent.name == "200Hz"):
        standing, gap_there = tables.mended(tables.columns(path, FIELDS[:3]), RATE, path)
        if not gap_there.all():
            _check_up(standing[~gap_there], LEAN, turn, path)
    starts, kept = labels.strike_windows(found.events, found.rate, len(values), length=WINDOW)
    dropped = found.dropped
    dropped["strikes whose window leaves the trial"] += int((~kept).sum())
    early = starts < plates.SKIP * RATE
    torn = ~early & np.array([gap[s : s + WINDOW].any() for s in starts], bool)
    dropped[f"windows that begin in the first {plates.SKIP:g} s"] += int(early.sum())
    dropped[f"windows with a gap of more than {1000 * tables.GAP:g} ms"] += int(torn.sum())
    good = ~early & ~torn
    starts, targets = starts[good], found.values[kept][good]
    out = windows.labelled_examples(
        recording, starts, [WINDOW] * len(starts), targets, WINDOW, item.name
    )
    return out, +dropped, seconds


def _from_file(item: Trial, n: int) -> plates.Found:
    """Loading rates that the file holds: the rows of the 200 Hz table where there is one."""
    path = item.needs[1]
    rates, strikes = tables.events(path, ["l_LR", "l_strikes"], item.needs[0], n)
    dropped = windows.Dropped()
    dropped["strikes without a loading rate in the file"] = int(
        ((strikes != 0) & (rates == 0)).sum()
    )
    rows = np.flatnonzero(rates)
    median = np.median(rates[rows]) if len(rows) else RATES[0]
    if not RATES[0] <= median <= RATES[1]:
        raise UserError(
            f"{path}: the median of l_LR at strikes is {median:.3g}, outside {RATES[0]:g} to "
            f"{RATES[1]:g}: it must be in BW/s; divide N/s by the body weight, multiply BW/ms "
            "by 1000, or build with --labels force"
        )
    again = np.diff(rows, prepend=-n) < STRIDE * RATE
    wrong = ~again & ((rates[rows] < RATES[0]) | (rates[rows] > RATES[1]))
    dropped[f"loading rates less than {STRIDE:g} s after the one before"] = int(again.sum())
    dropped["loading rates outside {:g} to {:g} BW/s".format(*RATES)] = int(wrong.sum())
    rows = rows[~again & ~wrong]
    return plates.Found(rows, RATE, rates[rows], dropped, None)


def _check_range(values: np.ndarray, source: Path) -> None:
    """UserError where values [T, 6] are more than a unit can read."""
    for part, most, unit in (
        (values[:, :3], MOST_ACC, "m/s^2"),
        (values[:, 3:], MOST_GYR, "rad/s"),
    ):
        if np.abs(part).max() > most:
            raise UserError(
                f"{source}: the shank's unit reads {np.abs(part).max():.3g} {unit}, more than any "
                "unit can: the file is damaged; copy it again"
            )


def _check_up(acc: np.ndarray, lean: float, turn: np.ndarray, source: Path) -> None:
    """UserError where the mean of acc [T, 3] does not point within `lean` degrees of up."""
    mean = turn @ acc.mean(0)
    if mean[2] <= np.cos(np.deg2rad(lean)) * np.linalg.norm(mean):
        where = max(DIRECTIONS, key=lambda word: np.dot(DIRECTIONS[word], mean))
        raise UserError(
            f"{source}: in x, y, z of the shank's unit its mean accelerometer reads "
            f"{np.round(turn.T @ mean, 1).tolist()} m/s^2; with these axes that points {where}, "
            f"not up: say with --axes where x, y, z point in standing, such as {OPTIONS['axes']}"
        )


def _holds(folder: Path, names: tuple[str, ...]) -> bool:
    return any((folder / name).is_dir() for name in names)


def _trials(subject: Path, kind: str) -> list[Trial]:
    """The trials of one subject; what is missing, and what is no trial, is an item as well."""
    there = {rate: _tables(subject / rate) for rate in ("200Hz", "1000Hz")}
    rates = ("200Hz", "1000Hz") if kind == "force" else ("200Hz",)
    static = tuple(there[rate][STATIC] for rate in rates if STATIC in there[rate])
    out = []
    for name in TRIALS:
        paths = [there[rate].get(start + name.lower()) for rate, start in NEEDS[kind]]
        if None in paths:
            rate, start = NEEDS[kind][paths.index(None)]
            reason = f"trials without {rate}/{start.replace(' ', '_')}<trial>.csv"
            out.append(Trial(subject.name, name, (), lacks=reason))
        else:
            out.append(Trial(subject.name, name, tuple(paths), static))
    known = {STATIC, *(name.lower() for name in TRIALS)}
    for key in sorted(there["200Hz"]):
        if key.removeprefix(PARAM) not in known:
            reason = "files in 200Hz that are no trial of the study"
            out.append(Trial(subject.name, key, (), lacks=reason))
    return out


def _tables(folder: Path) -> dict[str, Path]:
    """The CSV files of a folder by their names in lower case with blanks between words."""
    out = {}
    for path in sorted(folder.glob("*")):
        if path.suffix.lower() != ".csv":
            continue
        key = " ".join(path.stem.lower().replace("_", " ").split())
        if key in out:
            raise UserError(f"{out[key]} and {path} have the name of one trial: keep one of them")
        out[key] = path
    return out
