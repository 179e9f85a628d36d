"""What was found out about each recording while it was read: printed, and kept beside the data."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imujax.data.datasets import SUBJECTS_FILE
from imujax.data.recordings import Recording
from imujax.runtime import files

FILE = "recordings.csv"  # in the folder of the data set
COLUMNS = ("source", "subject", "recording", "rate", "start", "seconds", "interpolated", "warnings")
MOST_LINES = 20  # printed; more are summed up

Facts = list[dict[str, Any]]


def collect(recordings: Sequence[Recording]) -> Facts:
    """Collect what is known of recordings, as JSON can hold it.

    Parameters
    ----------
    recordings : sequence of Recording

    Returns
    -------
    list of dict
        COLUMNS but for `source`: rate [Hz], start and seconds [s], samples interpolated, warnings
        as a list; and origin [s].
    """
    return [
        {
            "subject": r.subject,
            "recording": r.recording,
            "rate": float(r.rate),
            "start": float(r.start - r.origin),
            "seconds": len(r.acc) / r.rate,
            "interpolated": int(r.interpolated),
            "warnings": list(r.warnings),
            "origin": float(r.origin),
        }
        for r in recordings
    ]


def save(folder: Path, facts: Facts) -> None:
    """Write recordings.csv, a row a recording.

    Parameters
    ----------
    folder : Path
        Of the data set.
    facts : list of dict
        Of `collect`, with the source of each.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in facts:
        numbers = [f"{row[name]:.6g}" for name in ("rate", "start", "seconds")]
        words = [row["source"], row["subject"], row["recording"]]
        writer.writerow([*words, *numbers, row["interpolated"], "; ".join(row["warnings"])])
    files.write_text(folder / FILE, text.getvalue())


def numbers_of(
    examples: Sequence[dict[str, Any]], info: dict[str, Any]
) -> dict[str, list[list[float]]]:
    """Collect the targets of examples and the extremes of their curves but for classes, as JSON can
    hold them.

    Parameters
    ----------
    examples : sequence of dict
        As of `windows.make_example`.
    info : dict
        As of `FilesModule.describe`.

    Returns
    -------
    dict of list
        By subject a list of numbers for each example, those of `number_names`; empty ones without
        labels.
    """
    numbers: dict[str, list[list[float]]] = {}
    is_number = ["classes" not in one for one in info.get("curves", [])]
    for example in examples:
        values = [float(v) for v in example.get("target", ())]
        if "curve" in example:
            inside = example["curve"][: -(-example["length"] // info["curve_every"]), is_number]
            extremes = np.stack([inside.max(axis=0), inside.min(axis=0)], axis=1)
            values += extremes.ravel().tolist()
        numbers.setdefault(example["subject"], []).append(values)
    return numbers


def number_names(info: dict[str, Any]) -> list[str]:
    """Name the numbers of `numbers_of`, with their units.

    Parameters
    ----------
    info : dict
        As of `FilesModule.describe`.

    Returns
    -------
    list of str
    """
    names = [f"{one['name']} [{one['unit']}]" for one in info["targets"]]
    for one in info.get("curves", []):
        if "classes" in one:
            continue
        names += [f"{which} {one['name']} [{one['unit']}]" for which in ("largest", "smallest")]
    return names


def save_subjects(
    folder: Path, facts: Facts, targets: dict[str, list[list[float]]], names: Sequence[str]
) -> None:
    """Write subjects.csv, a row a subject: what was recorded, and mean, SD, least and most of each
    number of its examples.

    Parameters
    ----------
    folder : Path
        Of the data set.
    facts : list of dict
        Of `collect`.
    targets : dict of list
        Of `numbers_of`.
    names : sequence of str
        Of `number_names`.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    statistics = {"mean": np.mean, "SD": np.std, "least": np.min, "most": np.max}
    columns = [f"{statistic} {name}" for name in names for statistic in statistics]
    writer.writerow(["subject", "recordings", "seconds", "examples", *columns])
    for subject in sorted({row["subject"] for row in facts} | set(targets)):
        rows = [row for row in facts if row["subject"] == subject]
        own = targets.get(subject, [])
        values = np.array(own, np.float64).reshape(len(own), len(names))
        seconds = sum(row["seconds"] for row in rows)
        numbers = [
            f"{statistic(column):.6g}" if len(column) else ""
            for column in values.T
            for statistic in statistics.values()
        ]
        writer.writerow([subject, len(rows), f"{seconds:.6g}", len(own), *numbers])
    save_as = folder / SUBJECTS_FILE
    files.write_text(save_as, text.getvalue())


def origins(facts: Facts) -> dict[str, float]:
    """What `start` counts from, of the recordings in which it is not the clock's own zero.

    Parameters
    ----------
    facts : list of dict

    Returns
    -------
    dict of float
        s, by "subject/recording".
    """
    return {f"{row['subject']}/{row['recording']}": row["origin"] for row in facts if row["origin"]}


def summary_lines(facts: Facts, place: str = "") -> list[str]:
    """Say what was read: a line a recording, or the totals where there are many, and warnings.

    Parameters
    ----------
    facts : list of dict
        Of `collect`, with the source of each.
    place : str
        Where all of them stand, if they do.

    Returns
    -------
    list of str
    """
    see = f"; see {place}" if place else ""
    lines = []
    if len(facts) <= MOST_LINES:
        lines += [
            f"  {row['subject']} {row['recording']}: {row['rate']:.2f} Hz, "
            f"{row['seconds']:.1f} s{_share_interpolated([row])}"
            for row in facts
        ]
    rates = Counter(f"{row['rate']:.4g}" for row in facts)
    counts = ", ".join(f"{n} at {rate} Hz" for rate, n in rates.most_common(5))
    counts += ", others" if len(rates) > 5 else ""
    lines.append(f"  {len(facts)} recordings, {counts}{_share_interpolated(facts)}{see}")
    warned: dict[str, list[str]] = {}
    for row in facts:
        for warning in row["warnings"]:
            warned.setdefault(warning, []).append(row["source"])
    for warning, sources in list(warned.items())[:MOST_LINES]:
        others = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
        lines.append(f"  warning: {sources[0]}{others}: {warning}")
    if len(warned) > MOST_LINES:
        lines.append(f"  {len(warned) - MOST_LINES} more warnings{see}")
    return lines


def _share_interpolated(facts: Facts) -> str:
    samples = sum(row["rate"] * row["seconds"] for row in facts)
    mended = sum(row["interpolated"] for row in facts)
    return f", {100 * mended / samples:.2g} % interpolated" if mended else ""
