"""How the arms were trained: training.csv of a task, summed up by arm, axis and share.

A comparison of two arms that were stopped too early tells who is quicker, not who needs fewer
labels. So each share of each arm is looked at along its budget, and said where it was not enough.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imujax.errors import UserError
from imujax.report.columns import read_columns
from imujax.report.sentences import format_percent
from imujax.report.tables import Sweep
from imujax.sweep.settings import NOTHING_CHOSEN

TRAINING_COLUMNS = {
    "task": str,
    "arm": str,
    "axis": str,
    "fraction": float,
    "draw": int,
    "fold": int,
    "split": int,
    "learning_rate": float,
    "is_chosen": int,
    "stop": float,
    "step": int,
    "passes": float,
    "loss": float,
    "error": float,
}
FINAL_SPLIT = -1  # what stands in `split` of the run that is tested
# Settings chosen on inner subjects: the column of runs.csv, the stage it is of, the grid's name in
# the configuration.
SETTINGS = {
    "learning rate": ("learning_rate", "finetune", "rates"),
    "penalty": ("penalty", "probe", "penalties"),
    "steps": ("stop", "finetune", "stops"),
}
LAST_FIFTH = 0.8  # of the budget: from here to its end
MOST_CHANGE = 0.02  # of loss or error over the last fifth
FLAT = 0.005  # an inner error that changes by no more stands still
MOST_AT_LAST_STOP = 1 / 3  # of the runs
BAND = (10, 90)  # percentiles of the runs that are drawn
SMALL_BUDGET = "Small budget: this shows the path, not what pre-training is worth."


class Choice(NamedTuple):
    """How often each value of one setting was chosen.

    Attributes
    ----------
    counts : dict
        Runs by value, ascending.
    n_lowest, n_highest : int
        Runs that took the lowest or the highest value that was offered.
    n_runs : int
        Runs that had a choice: more than one value, and inner subjects to choose on.
    """

    counts: dict[float, int]
    n_lowest: int
    n_highest: int
    n_runs: int


@dataclass(frozen=True)
class ShareTraining:
    """How one arm was fine-tuned at one share of the labelled data.

    Attributes
    ----------
    arm, axis : str
    fraction : float
        The share.
    n_runs : int
        Runs that are tested.
    stops : ndarray, [P]
        Shares of the budget, ascending.
    loss, error : ndarray, [3, P]
        Training loss, in units of the variance of the training labels, and inner error, 1 - r
        within the inner subjects, at the stops: the mean over the inner runs at the chosen rate,
        between the 10th and the 90th percentile of the runs when each is scaled to the level of
        the mean, since other subjects make other levels. NaN where no run was looked at; without
        inner runs the loss is of the final runs.
    budget_steps, budget_passes : float
        Most that a run may take, median over the runs.
    steps, passes : tuple of float
        What the runs took: median, least, most.
    choices : dict of Choice
        By the names in SETTINGS.
    at_last_stop : float
        Share of the runs in which the last stop of the budget was chosen; NaN without a choice.
    loss_change, error_change : float
        Of the mean training loss and the mean inner error over the last fifth of the budget, as
        shares of what they were before it; NaN where they were not seen.
    reasons : tuple of str
        What says that this arm was not trained to its end at this share: "last stop", "inner
        error", "training loss", and "training loss alone" where no inner error was seen; nothing
        when it was, or could not be judged.
    """

    arm: str
    axis: str
    fraction: float
    n_runs: int
    stops: np.ndarray
    loss: np.ndarray
    error: np.ndarray
    budget_steps: float
    budget_passes: float
    steps: tuple[float, float, float]
    passes: tuple[float, float, float]
    choices: dict[str, Choice]
    at_last_stop: float
    loss_change: float
    error_change: float
    reasons: tuple[str, ...]


def read_training(folder: Path) -> dict[str, np.ndarray]:
    """Read what was seen along every fine-tuning run of a task.

    Parameters
    ----------
    folder : Path
        Of the task, with training.csv.

    Returns
    -------
    dict of ndarray
        TRAINING_COLUMNS, a row for a run and stop.

    Raises
    ------
    UserError
        The file is missing, cut short or edited.
    """
    path = folder / "training.csv"
    rows = read_columns(path, TRAINING_COLUMNS)
    outside = np.flatnonzero(~((rows["stop"] > 0) & (rows["stop"] <= 1)))
    if len(outside):
        raise UserError(
            f"{path}, column stop: {rows['stop'][outside[0]]:g} is no share of a budget, which "
            "lies above 0 and up to 1; run the sweep again"
        )
    rows["fraction"] = np.round(rows["fraction"], 6)  # as in runs.csv
    return rows


def summarise_training(sweep: Sweep) -> list[ShareTraining]:
    """Sum up the training of every fine-tuned arm at every share.

    Parameters
    ----------
    sweep : Sweep

    Returns
    -------
    list of ShareTraining
        In the order in which runs.csv names arm, axis and share; none where nothing is fine-tuned.

    Raises
    ------
    UserError
        training.csv is missing or damaged, or has nothing of an arm and share of runs.csv.

    Notes
    -----
    An arm is not trained to its end at a share where

    - the last stop of the budget was chosen in over a third of the runs, or
    - the mean inner error still falls by more than 2 % over the last fifth of the budget, or
    - the mean training loss still falls by more than 2 % over the last fifth, and the inner error,
      where it was seen, by more than .5 %.

    A training loss that falls while the inner error does not is overfitting, not want of steps.
    Without a choice on inner subjects, the loss of the final runs is all there is to judge by.
    """
    runs = sweep.runs
    is_finetuned = runs["stage"] == "finetune"
    if not is_finetuned.any():
        return []
    rows = read_training(sweep.folder)
    columns = (runs[key][is_finetuned].tolist() for key in ("arm", "axis", "fraction"))
    keys = dict.fromkeys(zip(*columns, strict=True))
    config = sweep.summary.get("config")
    grids = {
        column: config.get(name, ()) if isinstance(config, dict) else ()
        for column, _, name in SETTINGS.values()
    }
    return [_summarise_share(sweep, rows, grids, *key) for key in keys]


def has_small_budget(sweep: Sweep) -> bool:
    """Whether the configuration says that its budget is small on purpose.

    Parameters
    ----------
    sweep : Sweep

    Returns
    -------
    bool
    """
    config = sweep.summary.get("config")
    return isinstance(config, dict) and bool(config.get("is_small"))


def shares_of_axis(shares: Sequence[ShareTraining], axis: str) -> list[ShareTraining]:
    """The shares that a curve on one axis rests on.

    Parameters
    ----------
    shares : sequence of ShareTraining
    axis : str

    Returns
    -------
    list of ShareTraining
        With 100 % of the windows where axis "subjects" has no 100 % of its own, as in
        `learning_curves.subject_curve`.
    """
    of_axis = [share for share in shares if share.axis == axis]
    if axis == "subjects" and not any(share.fraction == 1 for share in of_axis):
        of_axis += [share for share in shares if share.fraction == 1]
    return of_axis


def unfinished_sentence(shares: Iterable[ShareTraining]) -> str | None:
    """Say which arms were not trained to their end, and at which shares.

    Parameters
    ----------
    shares : iterable of ShareTraining

    Returns
    -------
    str or None
        "Not trained to its end: pretrained at 10 % and 25 % of the windows."; None when all were.
    """
    by_arm: dict[str, list[str]] = {}
    for (arm, axis), places in _unfinished_places(shares, "arm", "axis").items():
        by_arm.setdefault(arm, []).append(f"{_join_words(places)} of the {axis}")
    arms_at: dict[str, list[str]] = {}
    for arm, places in by_arm.items():
        arms_at.setdefault(_join_words(places), []).append(arm)
    clauses = [f"{_join_words(arms)} at {places}" for places, arms in arms_at.items()]
    return f"Not trained to its end: {'; '.join(clauses)}." if clauses else None


def unfinished_lines(shares: Iterable[ShareTraining]) -> list[str]:
    """The same in short lines for the head of a picture, one for the arms of equal shares.

    Parameters
    ----------
    shares : iterable of ShareTraining
        Of one axis.

    Returns
    -------
    list of str
        "pretrained, random: not trained to its end at 10 %".
    """
    arms_at: dict[str, list[str]] = {}
    for (arm,), places in _unfinished_places(shares, "arm").items():
        arms_at.setdefault(", ".join(places), []).append(arm)
    return [f"{', '.join(arms)}: not trained to its end at {at}" for at, arms in arms_at.items()]


def training_rows(shares: Iterable[ShareTraining]) -> list[dict[str, Any]]:
    """The summary without its curves, as plain values.

    Parameters
    ----------
    shares : iterable of ShareTraining

    Returns
    -------
    list of dict
        What report.json holds, a row for an arm, axis and share.
    """
    return [
        {
            "arm": share.arm,
            "axis": share.axis,
            "fraction": share.fraction,
            "runs": share.n_runs,
            "budget": {"steps": share.budget_steps, "passes": share.budget_passes},
            "steps": dict(zip(("median", "least", "most"), share.steps, strict=True)),
            "passes": dict(zip(("median", "least", "most"), share.passes, strict=True)),
            "choices": {
                name: {
                    "chosen": {f"{value:g}": n for value, n in choice.counts.items()},
                    "lowest": choice.n_lowest,
                    "highest": choice.n_highest,
                    "runs": choice.n_runs,
                }
                for name, choice in share.choices.items()
            },
            "at_last_stop": share.at_last_stop,
            "loss_change": share.loss_change,
            "error_change": share.error_change,
            "not_trained_to_its_end": list(share.reasons),
        }
        for share in shares
    ]


def _summarise_share(
    sweep: Sweep,
    rows: dict[str, np.ndarray],
    grids: dict[str, Sequence[float]],
    arm: str,
    axis: str,
    fraction: float,
) -> ShareTraining:
    runs = _select(sweep.runs, arm=arm, axis=axis, fraction=fraction)
    seen = _select(rows, arm=arm, axis=axis, fraction=fraction, is_chosen=1)
    if not len(seen["stop"]):
        raise UserError(
            f"{sweep.folder / 'training.csv'} has nothing of arm {arm} at "
            f"{format_percent(fraction)} of the {axis}, which runs.csv lists: run the sweep again"
        )
    choices = {
        name: _choice(_select(runs, stage=stage), column, grids[column])
        for name, (column, stage, _) in SETTINGS.items()
    }
    stops, loss, error = _curves(seen)
    loss_change, error_change = (_last_change(stops, curve[1]) for curve in (loss, error))
    steps_choice = choices["steps"]
    n = steps_choice.n_runs
    at_last_stop = steps_choice.n_highest / n if n else float("nan")
    finetuned = _select(runs, stage="finetune")
    return ShareTraining(
        arm=arm,
        axis=axis,
        fraction=fraction,
        n_runs=len(finetuned["run"]),
        stops=stops,
        loss=loss,
        error=error,
        budget_steps=float(np.median(finetuned["steps"] / finetuned["stop"])),
        budget_passes=float(np.median(finetuned["passes"] / finetuned["stop"])),
        steps=_median_and_range(finetuned["steps"]),
        passes=_median_and_range(finetuned["passes"]),
        choices=choices,
        at_last_stop=at_last_stop,
        loss_change=loss_change,
        error_change=error_change,
        reasons=_reasons(at_last_stop, loss_change, error_change),
    )


def _select(columns: dict[str, np.ndarray], **values: object) -> dict[str, np.ndarray]:
    """The rows in which these columns have these values."""
    is_chosen = np.logical_and.reduce([columns[key] == value for key, value in values.items()])
    return {key: column[is_chosen] for key, column in columns.items()}


def _choice(runs: dict[str, np.ndarray], column: str, grid: Sequence[float]) -> Choice:
    """Without inner subjects a default is taken: that is no choice, and neither is one value."""
    had_choice = (runs["note"] != NOTHING_CHOSEN) & (len(grid) > 1)
    values = runs[column]
    counts = dict(sorted(Counter(values[np.isfinite(values)].tolist()).items()))
    lowest, highest = (
        int((had_choice & np.isclose(values, edge(grid))).sum()) if len(grid) else 0
        for edge in (min, max)
    )
    return Choice(counts, lowest, highest, int(had_choice.sum()))


def _curves(seen: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points [P], and loss and error [3, P]: percentile, mean, percentile over the runs."""
    is_inner = seen["split"] != FINAL_SPLIT
    if is_inner.any():
        seen = {key: column[is_inner] for key, column in seen.items()}
    stops = np.unique(np.round(seen["stop"], 6))
    by_run: dict[tuple, list[int]] = {}
    for i, key in enumerate(zip(seen["draw"], seen["fold"], seen["split"], strict=True)):
        by_run.setdefault(key, []).append(i)
    curves = []
    for name in ("loss", "error"):
        lines = []
        for run in by_run.values():
            order = sorted(run, key=lambda i: seen["stop"][i])
            x, y = np.round(seen["stop"][order], 6), seen[name][order]
            lines.append(np.interp(stops, x, y, left=np.nan, right=np.nan))
        curves.append(_mean_and_band(np.array(lines)))
    return stops, curves[0], curves[1]


def _mean_and_band(lines: np.ndarray) -> np.ndarray:
    """[R, P] -> [3, P]; a run that diverged, or ended before, is not counted."""
    is_finite = np.isfinite(lines)
    mean = np.full(lines.shape[1], np.nan)
    low, high = mean.copy(), mean.copy()
    for i, of_stop in enumerate(is_finite.T):
        if of_stop.any():
            mean[i] = lines[of_stop, i].mean()
    levelled = np.array([_level(line, mean) for line in lines])
    for i, of_stop in enumerate(is_finite.T):
        if of_stop.any():
            low[i], high[i] = np.percentile(levelled[of_stop, i], BAND)
    return np.stack([low, mean, high])


def _level(line: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A run [P] scaled to the level of the mean: their geometric means become the same."""
    is_positive = np.isfinite(line) & (line > 0) & (mean > 0)
    if not is_positive.any():
        return line
    return line * np.exp(np.log(mean[is_positive] / line[is_positive]).mean())


def _last_change(stops: np.ndarray, curve: np.ndarray) -> float:
    """Relative change from LAST_FIFTH of the budget to its end; NaN where either was not seen."""
    before, after = np.interp([LAST_FIFTH, 1.0], stops, curve, left=np.nan, right=np.nan)
    return float((after - before) / before) if before > 0 else float("nan")


def _median_and_range(values: np.ndarray) -> tuple[float, float, float]:
    return float(np.median(values)), float(values.min()), float(values.max())


def _reasons(at_last_stop: float, loss_change: float, error_change: float) -> tuple[str, ...]:
    """The rule of `summarise_training`; what is NaN was not seen, and speaks for nothing."""
    reasons = []
    if at_last_stop > MOST_AT_LAST_STOP:
        reasons.append("last stop")
    if error_change < -MOST_CHANGE:
        reasons.append("inner error")
    if loss_change < -MOST_CHANGE:
        if error_change < -FLAT:
            reasons.append("training loss")
        elif np.isnan(error_change):
            reasons.append("training loss alone")
    return tuple(reasons)


def _join_words(words: Sequence[str]) -> str:
    """At least one word, with commas and a last "and"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _unfinished_places(
    shares: Iterable[ShareTraining], *keys: str
) -> dict[tuple[str, ...], list[str]]:
    """By these attributes the shares in words, or "every share" where all of several are meant."""
    by_key: dict[tuple[str, ...], list[ShareTraining]] = {}
    for share in shares:
        by_key.setdefault(tuple(getattr(share, key) for key in keys), []).append(share)
    places = {}
    for key, of_key in by_key.items():
        fractions = [format_percent(share.fraction) for share in of_key if share.reasons]
        if fractions:
            is_every = len(fractions) == len(of_key) > 1
            places[key] = ["every share"] if is_every else fractions
    return places
