"""The files of simulated trials, as `imujax simulate` writes them.  No tfds or jax here."""

from pathlib import Path

import numpy as np

from imujax.data import builders, labels, windows
from imujax.data.recordings import G, Recording
from imujax.errors import UserError
from imujax.runtime.files import NPZ_ERRORS, read_npz

WINDOW_OPTIONS = {"rate": 100.0, "window": 128, "stride": None, "motion": 0.3}
# task: sensors, rate [Hz], window, target, curve
TASKS = {
    "loading_rate": (
        ("shank_l",),
        200.0,
        64,
        {"name": "vertical loading rate", "unit": "BW/s"},
        {"name": "vertical ground force", "unit": "BW"},
    ),
    "peak_force": (
        ("trunk", "shank_r"),
        200.0,
        128,
        {"name": "peak vertical ground force", "unit": "BW"},
        {"name": "vertical ground force", "unit": "BW"},
    ),
    "knee_moment": (
        ("trunk", "pelvis", "thigh_r", "shank_r", "foot_r", "thigh_l", "shank_l", "foot_l"),
        100.0,
        128,
        {"name": "peak knee flexion moment", "unit": "%BW*BH"},
        {"name": "knee flexion moment", "unit": "%BW*BH"},
    ),
}
LEFTWARDS = np.array([0.0, 1.0, 0.0])


def complete_options(given: dict) -> dict:
    """All options of the task ("windows", "loading_rate", "peak_force", "knee_moment")."""
    given = dict(given)
    task = given.pop("task", "windows")
    if task != "windows" and task not in TASKS:
        raise UserError(f"task must be windows, {', '.join(TASKS)}, not {task!r}")
    if task != "windows":
        return {"task": task, **builders.complete_options({}, given)}
    options = builders.complete_options(WINDOW_OPTIONS, given)
    return {"task": task, **options, "stride": int(options["stride"] or options["window"])}


def folder_name(options: dict) -> str:
    """Name of the folder, e.g. windows_100hz_w128_s128 or knee_moment."""
    if options["task"] != "windows":
        return options["task"]
    name = "windows_{rate:g}hz_w{window}_s{stride}".format(**options)
    if options["motion"] != WINDOW_OPTIONS["motion"]:
        name += "_m{motion:g}".format(**options)
    return name


def describe(options: dict) -> dict:
    """Metadata that follow from the options; `sensors` of windows are those of MoVi."""
    if options["task"] == "windows":
        sensors, rate, window = MOVI_SENSORS, options["rate"], options["window"]
        labelled = {"targets": []}
    else:
        sensors, rate, window, target, curve = TASKS[options["task"]]
        labelled = {"targets": [target], "curves": [curve], "curve_every": 1}
    return {
        "sensors": list(sensors),
        "rate": rate,
        "window": window,
        "stride": options.get("stride"),
        "frame": "of the segments: x forward, y left, z up in standing",
        "units": {"acc": "m/s^2", "gyr": "rad/s"},
        **labelled,
        "simulated": True,
    }


SIDES = ("r", "l")
PAIRS = ("thigh", "shank", "foot", "shoulder", "upper_arm", "forearm", "hand")
MOVI_SENSORS = ("pelvis", "trunk", "head", *(f"{name}_{side}" for name in PAIRS for side in SIDES))


def list_items(raw: Path, options: dict) -> list[Path]:
    """The trials of one simulated set, <subject>/<trial>.npz."""
    del options
    paths = sorted(raw.glob("*/*.npz"))
    if not paths or not (raw / "set.json").is_file():
        raise UserError(
            f"{raw} has no simulated trials: give the folder of one set, which holds set.json and "
            "a folder for each subject, or write one with `imujax simulate`"
        )
    return paths


def read_trial(path: Path, sensors: tuple[str, ...]) -> tuple[Recording, dict[str, np.ndarray]]:
    """One trial: the recording of these sensors, and all arrays of the file."""
    try:
        arrays = read_npz(path)
        names = [str(name) for name in arrays["sensors"]]
        columns = [names.index(name) for name in sensors]
        recording = Recording(
            subject=str(arrays["subject"]),
            recording=str(arrays["recording"]),
            sensors=sensors,
            rate=float(arrays["rate"]),
            acc=arrays["acc"][:, columns].astype(np.float64),
            gyr=arrays["gyr"][:, columns].astype(np.float64),
            source=str(path),
            activity=str(arrays["recording"]),
            mass=float(arrays["mass"]),
            height=float(arrays["height"]),
        )
    except UserError:
        raise
    except (KeyError, *NPZ_ERRORS) as error:
        raise UserError(
            f"{path} is no simulated trial with the sensors {', '.join(sensors)} ({error}): "
            "simulate the set again"
        ) from error
    return recording, arrays


def read_examples(item: Path, options: dict) -> tuple[list[dict], windows.Dropped, float]:
    """Examples of one trial, what was dropped, and its seconds."""
    task = options["task"]
    recording, arrays = read_trial(item, MOVI_SENSORS if task == "windows" else TASKS[task][0])
    seconds = len(recording.acc) / recording.rate
    if task == "windows":
        examples, dropped = windows.unlabelled_examples(
            recording, options["rate"], options["window"], options["stride"], options["motion"]
        )
        return examples, dropped, seconds
    if "force" not in arrays:
        raise UserError(f"{item} has no forces: {task} needs a set of walking or running")
    starts, lengths, targets, curve, dropped = LABELLERS[task](recording, arrays)
    examples, torn = windows.labelled_examples(
        recording, starts, lengths, targets, TASKS[task][2], recording.activity, curve[:, None]
    )
    return examples, +(dropped + torn), seconds


def _label_loading_rates(recording: Recording, arrays: dict):
    """Every contact of the left foot in running (labels.loading_rates)."""
    force = arrays["force"][:, 1, 2]
    strikes, rates, dropped = labels.loading_rates(force, 1000.0, recording.mass, recording.source)
    starts, is_inside = labels.strike_windows(strikes, 1000.0, len(recording.acc))
    dropped["contacts whose window leaves the recording"] += int((~is_inside).sum())
    smooth = labels.plate_force(force, 1000.0, recording.source, labels.IMPACT_CUTOFF)
    curve = smooth / (recording.mass * G)
    return starts, [64] * len(starts), rates[is_inside], curve, dropped


def _label_peak_forces(recording: Recording, arrays: dict):
    """Windows with the right foot's peak force in their middle (labels.stance_peaks)."""
    force = labels.plate_force(arrays["force"][:, 0, 2], 1000.0, recording.source)
    strikes, offs = (np.round(arrays[f"{e}_right"] * 200).astype(int) for e in ("strike", "off"))
    peaks, values, dropped = labels.stance_peaks(
        force, strikes, offs, recording.mass, recording.source
    )
    starts, peak_numbers, lost = labels.peak_windows(len(recording.acc), peaks, values)
    curve = force / (recording.mass * labels.PLATE_GRAVITY)
    return starts, [128] * len(starts), values[peak_numbers], curve, dropped + lost


def _label_knee_moments(recording: Recording, arrays: dict):
    """Every step of the right foot (labels.knee_flexion_peaks), by the cross product."""
    step = round(len(arrays["knee"]) / len(recording.acc))
    moment = labels.knee_moment_cross(
        arrays["force"][::10, 0], arrays["cop"][::step, 0], arrays["knee"][::step, 0], LEFTWARDS
    )
    moment = labels.percent_bw_bh(moment, recording.mass, recording.height, recording.source)
    strikes, offs = (np.round(arrays[f"{e}_right"] * 100).astype(int) for e in ("strike", "off"))
    starts, lengths, is_inside = labels.knee_steps(strikes, offs, len(recording.acc))
    dropped = windows.Dropped({"steps that leave the recording": int((~is_inside).sum())})
    steps = np.zeros((len(starts), 128))
    for row, start, length in zip(steps, starts, lengths, strict=True):
        row[:] = windows.pad_window(moment[start : start + length], 128)[0]
    peaks, has_peak, lost = labels.knee_flexion_peaks(steps, lengths)
    lengths = np.minimum(lengths[has_peak], 128)
    return starts[has_peak], lengths, peaks, moment, dropped + lost


LABELLERS = {
    "loading_rate": _label_loading_rates,
    "peak_force": _label_peak_forces,
    "knee_moment": _label_knee_moments,
}
