"""What a sweep should have and has not, and what it has and should not: sentences on both."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from imujax.data import rates
from imujax.report.sentences import capitalise, format_percent
from imujax.report.tables import Sweep

LEARNED = 5  # times chance, that an encoder finds the partner of a window
STAGES = {"finetune": "fine-tuned", "probe": "frozen probe", "reference": "reference"}


def left_out(sweep: Sweep) -> list[str]:
    """Windows or samples of no class, and arms, references, axes and shares that have no runs.

    Those that are named in the configuration, or that others have.

    Parameters
    ----------
    sweep : Sweep

    Returns
    -------
    list of str
        A sentence each, none when nothing is left out.
    """
    runs = sweep.runs
    config = sweep.summary.get("config")
    config = config if isinstance(config, dict) else {}
    columns = (runs[name].tolist() for name in ("arm", "stage", "axis", "fraction"))
    present = set(zip(*columns, strict=True))
    curves = {(arm, stage) for arm, stage, _, _ in present if stage in STAGES}
    stages = config.get("stages", ("probe", "finetune"))
    named = [(arm, stage) for arm in config.get("arms", {}) for stage in stages]
    named += [(name, "reference") for name in config.get("references", ())]
    sentences = [
        f"{_describe(arm, stage)} is named in the configuration and has no runs: it is left out."
        for arm, stage in named
        if (arm, stage) not in curves
    ]
    shares = {(axis, fraction) for _, _, axis, fraction in present}
    for axis, fractions in config.get("axes", {}).items():
        shares |= {(axis, round(float(fraction), 6)) for fraction in fractions}
    for arm, stage in sorted(curves):
        missing = [share for share in sorted(shares) if (arm, stage, *share) not in present]
        for axis in sorted({axis for axis, _ in missing}):
            is_all = not any((arm, stage, axis) == point[:3] for point in present)
            points = ", ".join(format_percent(f) for a, f in missing if a == axis)
            shares_of = f"at all of axis {axis}" if is_all else f"with {points} of the {axis}"
            sentences.append(
                f"{_describe(arm, stage)} has no runs {shares_of}: it is not compared there."
            )
    windows = sweep.summary.get("left_out", {})
    return sentences + [f"{count} {reason}: left out." for reason, count in windows.items()]


def resampled(sweep: Sweep) -> list[str]:
    """Encoders whose arms see the windows at another rate than references do.

    Parameters
    ----------
    sweep : Sweep

    Returns
    -------
    list of str
        A sentence for each such encoder.
    """
    own, encoders = (sweep.summary.get(name) for name in ("rate", "encoders"))
    seen = {
        name: members[0].get("rate")
        for name, members in (encoders.items() if isinstance(encoders, dict) else ())
        if members
    }
    return [
        f"All arms of encoder {name} see the windows brought from {own:g} to {rate:g} Hz, and "
        f"nothing above {min(own, rate) / 2:g} Hz; references see them as they are."
        for name, rate in seen.items()
        if own and rate and not rates.are_same(own, rate)
    ]


def not_learned(sweep: Sweep) -> dict[str, str]:
    """Encoders whose pre-training has hardly begun to tell windows apart.

    Parameters
    ----------
    sweep : Sweep

    Returns
    -------
    dict of str
        A sentence for each such encoder.
    """
    encoders = sweep.summary.get("encoders")
    sentences = {}
    for name, members in encoders.items() if isinstance(encoders, dict) else ():
        found = [one["retrieval"] for one in members if one.get("retrieval")]
        if not found:
            continue
        share, among = np.mean([one["found"] for one in found]), found[0]["among"]
        if share < LEARNED / among:
            sentences[name] = (
                f"Encoder {name} has hardly learned anything: it finds the partner of "
                f"{format_percent(share)} of the windows that it watches, where chance finds "
                f"{format_percent(1 / among)}. What is said of it is not what pre-training can do."
            )
    return sentences


def too_good(sweep: Sweep, curves: Sequence[dict[str, Any]]) -> list[str]:
    """Estimates that follow the truth better than an estimate can.

    Parameters
    ----------
    sweep : Sweep
    curves : sequence of dict
        Rows of `learning_curves.curve_rows` of it.

    Returns
    -------
    list of str
        A sentence for each arm or reference and stage.
    """
    highest: dict[tuple[str, str], float] = {}
    for row in curves:
        if row["metric"] == sweep.kind.main and row["stage"] in STAGES and np.isfinite(row["mean"]):
            key = row["arm"], row["stage"]
            highest[key] = max(highest.get(key, -1.0), row["mean"])
    return [
        f"{_describe(arm, stage)} has a mean {sweep.kind.word} of {r:.3f} within subjects, which "
        "is too good: is the target among the signals?"
        for (arm, stage), r in highest.items()
        if r > sweep.kind.too_good
    ]


def _describe(arm: str, stage: str) -> str:
    if stage == "reference":
        return f"Reference {arm}"
    return capitalise(f"arm {arm}, {STAGES[stage]},")
