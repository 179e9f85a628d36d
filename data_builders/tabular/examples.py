"""What the builder asks for: options, files, examples. Worker processes import this: no tfds."""

import dataclasses
import functools
import hashlib
import json
import math
import tomllib
from pathlib import Path

import numpy as np

from imujax.data import windows
from imujax.data.recordings import Recording
from imujax.data_builders.tabular import curves, events, labels, parse, records, sources
from imujax.data_builders.tabular.card import Card, Target
from imujax.errors import UserError

_EPS = 1e-9  # s


def complete_options(given: dict) -> dict:
    """The one option, `card`, a TOML file. Its text is kept: so a data set describes itself."""
    for name in given:
        if name != "card":
            raise UserError(f"no option {name!r}: tabular has card alone, the rest stands in there")
    if not given.get("card"):
        raise UserError(
            "tabular needs a card, which describes your files: give --card FILE.toml, in a "
            'configuration card="FILE.toml"'
        )
    path = Path(given["card"]).expanduser()
    card = parse.load_card(path)
    return {"card": card.path.name, "text": path.read_text(encoding="utf-8")}


def folder_name(options: dict) -> str:
    """Name of the folder, e.g. shoes_100hz_w64_1a2b3c4d: the last part tells cards apart.

    It changes with every value in the card, not with its comments.
    """
    card = _load_card(options)
    values = json.dumps(tomllib.loads(options["text"]), sort_keys=True, default=str)
    mark = hashlib.sha256(values.encode()).hexdigest()[:8]
    return f"{card.name}_{card.window.rate:g}hz_w{card.window.length}_{mark}"


def describe(options: dict) -> dict:
    """Metadata that follow from the card; windows at events have no stride."""
    card = _load_card(options)
    turned = [s.name for s in card.sensors if s.frame]
    along = [
        {"name": one.name, "unit": one.unit}
        | ({"classes": list(one.classes)} if one.classes else {})
        for one in card.curves.values()
    ]
    return {
        "sensors": [s.name for s in card.sensors],
        "rate": card.window.rate,
        "window": card.window.length,
        "stride": None if card.is_labelled else card.window.stride,
        "frame": "as in the files" + (f", turned: {', '.join(turned)}" if turned else ""),
        "units": {"acc": "m/s^2", "gyr": "rad/s"},
        "targets": card.targets,
        **({"curves": along, "curve_every": _every(card)} if along else {}),
        **({"before": card.window.before} if card.is_labelled else {}),
    }


def list_items(raw: Path, options: dict) -> list[sources.Item]:
    """All recordings that the card takes, in order of their paths (see sources.list_items)."""
    card = _load_card(options)
    items = sources.list_items(card, raw)
    if card.labels and not (card.columns.subject or card.columns.recording):
        known = ((item.groups["subject"], item.recording) for item in items)
        strangers, warning = labels.find_strangers(card.labels, raw, known)
        items[0] = dataclasses.replace(items[0], strangers=strangers, warning=warning)
    return items


def read_examples(item: sources.Item, options: dict) -> tuple[list[dict], windows.Dropped, float]:
    """Examples of one file or data set, what was dropped or mended, and its seconds."""
    card = _load_card(options)
    examples, dropped, seconds = [], windows.Dropped(), 0.0
    dropped["label rows of recordings that are not there"] += item.strangers
    for recording, mended, targets, activities, condition in records.read_recordings(card, item):
        if item.warning and not seconds:  # of the whole folder: the first recording tells it
            recording.add_warning(item.warning)
        _require_rate(card, recording)
        if card.is_labelled:
            cut, dropped_here = cut_labelled(card, recording, targets, condition, activities)
        else:
            cut, dropped_here = cut_unlabelled(card, recording)
        dropped_here["samples interpolated"] += mended
        examples += cut
        dropped.update(+dropped_here)
        seconds += len(recording.acc) / recording.rate / max(1, len(card.sides))
    return examples, +dropped, seconds


def _require_rate(card: Card, recording: Recording) -> None:
    """Windows at a rate far above that of a recording would show movement that nobody measured."""
    factor = card.window.rate / recording.rate
    if factor > card.window.upsample:
        raise UserError(
            f"{recording.source}: was recorded at {recording.rate:.2f} Hz, and [window] asks for "
            f"{card.window.rate:g} Hz: take a rate of {recording.rate:.4g} or less, or allow it by "
            f"window.upsample = {math.ceil(10 * factor) / 10:g}"
        )


def _load_card(options: dict) -> Card:
    return _parse_cached(options["text"], options["card"])


@functools.lru_cache(maxsize=4)
def _parse_cached(text: str, name: str) -> Card:
    return parse.parse_card(text, Path(name))


def cut_unlabelled(card: Card, recording: Recording) -> tuple[list[dict], windows.Dropped]:
    """Windows back to back that pass the motion test, with their curves. Where one is a class they
    lie across the intervals, whose names are its words.
    """
    w = card.window
    count = math.ceil(len(recording.acc) * w.rate / recording.rate - 1e-6)
    curve = curves.lay_curves(card, recording, count)
    across = any(one.classes for one in card.curves.values())
    return windows.unlabelled_examples(
        recording,
        w.rate,
        w.length,
        w.stride,
        w.motion,
        curve=curve,
        every=_every(card),
        across=across,
    )


def _every(card: Card) -> int:
    """Samples of a window for each value of its curves."""
    return next((one.every for one in card.curves.values()), 1)


def cut_labelled(
    card: Card,
    recording: Recording,
    targets: np.ndarray | None = None,
    condition: str = "",
    activities: np.ndarray | None = None,
) -> tuple[list[dict], windows.Dropped]:
    """One window for each event, with its target and curves. Its activity is the interval there,
    and so is its condition where the card has none.

    `targets` [E, K] and `activities` [E] are those of a table of labels; without them the card's
    statistic is taken, and the interval's name.
    """
    w = card.window
    acc = windows.resample(recording.acc, recording.rate, w.rate)
    gyr = windows.resample(recording.gyr, recording.rate, w.rate)
    times = recording.events["events"]
    at = np.round((times - recording.start) * w.rate).astype(int)
    padding = w.length if w.pad else 0
    _, is_kept = windows.event_starts(at, w.before, w.length - w.before, len(acc) + padding)
    is_kept &= at < len(acc)
    dropped = windows.Dropped({"events whose window leaves the recording": int((~is_kept).sum())})
    dropped["recordings without an event"] += int(not len(times))
    end = recording.start + len(recording.acc) / recording.rate
    curve = curves.lay_curves(card, recording, len(acc))
    examples = []
    for row in np.flatnonzero(is_kept):
        time, first = times[row], at[row] - w.before
        if targets is not None:
            values = targets[row]
        else:
            found = [_measure(recording, key, t, time, end) for key, t in card.numbers.items()]
            reasons = [value for value in found if isinstance(value, str)]
            if reasons:
                dropped[reasons[0]] += 1
                continue
            values = np.array(found)
        if not np.isfinite(values).all():
            dropped["events with missing target values"] += 1
            continue
        name = _interval_name(recording, time)
        if activities is not None:
            name = activities[row]
            if not name:
                dropped["events without activity"] += 1
                continue
        a, length = windows.pad_window(acc[first : first + w.length], w.length)
        g, _ = windows.pad_window(gyr[first : first + w.length], w.length)
        own = None
        if curve is not None:
            own = windows.cut_curve(curve, first, length, w.length, _every(card))
            if own is None:
                dropped[windows.CURVE_GAP] += 1
                continue
        target = values if card.targets else None
        examples.append(
            windows.make_example(
                recording, a, g, first / w.rate, name, condition or name, target, length, own
            )
        )
    return examples, +dropped


def _measure(
    recording: Recording, key: str, target: Target, time: float, end: float
) -> float | str:
    """A target at the event `time` of a recording that runs to `end`, or why there is none."""
    span = events.target_span(target, time, recording.start, end)
    channel = recording.channels.get(key)
    if target.statistic == "duration":
        others = recording.events.get(key, recording.events["events"])
        value = events.find_duration(channel, others, target, time, span)
    else:
        value = events.compute_statistic(channel, target, *span)
    if isinstance(value, str):
        return value
    return value / target.divisor(recording.mass, recording.height)


def _interval_name(recording: Recording, time: float) -> str:
    """The name of the first interval that holds `time`, or "" outside them all."""
    holds = (i.name for i in recording.intervals if i.start <= time + _EPS < i.end)
    return next(holds, "")
