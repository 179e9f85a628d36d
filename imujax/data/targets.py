"""What a task estimates of the examples of a data set: its numbers, the class of each window, or
curves along it.

A class is a word that every example has, its activity or its condition. A curve has a value for
every sample of a window, or for every so many; where these are words, it is a class a sample.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imujax.data.datasets import Dataset
from imujax.errors import UserError, require_known

CLASSES = ("activity", "condition")  # columns of words that can be estimated
LEAST_SUBJECTS = 2  # of a class: one to train on, and one to be tested on


def select(data: Dataset, names: Sequence[str], source: str) -> Dataset:
    """Take what is estimated of a data set.

    Parameters
    ----------
    data : Dataset
    names : sequence of str
        Targets of it, or curves of it, or one of CLASSES alone; none: all its targets, and of a set
        without any all its curves.
    source : str
        Of the data set, for sentences.

    Returns
    -------
    Dataset
        With these targets. Of curves `target` is [N, Lt, K], NaN beyond the length of a window, and
        each of the targets in `info` has "every", samples of the window from value to value, and
        "seconds"; of a class a sample "classes" too, its words, and NaN also where the word is one
        that a single subject has. Of a class the number of its word, and the words as "classes" in
        `info`; without the windows that have no word, or one that a single subject has. What is
        left out `info["left_out"]` counts by reason.

    Raises
    ------
    UserError
        There is no such target, there are fewer than two classes, or numbers and curves, or a class
        a sample and anything else, are asked for at once.
    """
    require(names, data.info, source)
    if is_class(names):
        return _select_class(data, names[0], source)
    if are_curves(names, data.info):
        return _select_curves(data, names, source)
    assert data.target is not None
    known = [target["name"] for target in data.info["targets"]]
    columns = [known.index(name) for name in names or known]
    info = data.info | {"targets": [data.info["targets"][column] for column in columns]}
    return dataclasses.replace(data, target=data.target[:, columns], info=info)


def is_class(names: Sequence[str]) -> bool:
    """Whether these targets are a class."""
    return len(names) == 1 and names[0] in CLASSES


def require(names: Sequence[str], info: Mapping[str, Any], source: str) -> None:
    """Require that a data set has what is to be estimated.

    Parameters
    ----------
    names : sequence of str
        As of `select`.
    info : mapping
        Metadata of the data set: targets.
    source : str
        Of the data set, for the sentence.

    Raises
    ------
    UserError
        There is no such target, or numbers and curves are asked for at once.
    """
    numbers, curves = _names(info)
    if is_class(names):
        return
    if not numbers and not curves:
        raise UserError(
            f"{source} has no target: a task needs a labelled data set, or targets = "
            f'("{CLASSES[0]}",) for the class of each window'
        )
    for name in names:
        require_known("targets", name, [*numbers, *curves])
    if set(names) & set(curves) and not set(names) <= set(curves):
        raise UserError(
            f"targets are {', '.join(names)}: numbers and curves are not estimated at once, make a "
            "task of each"
        )


def _names(info: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Of the numbers and of the curves of a data set."""
    numbers, curves = info["targets"], info.get("curves", [])
    return [one["name"] for one in numbers], [one["name"] for one in curves]


def are_curves(names: Sequence[str], info: Mapping[str, Any]) -> bool:
    """Whether these targets, as of `select`, have values along the windows."""
    numbers, curves = _names(info)
    return set(names) <= set(curves) if names else not numbers


def _select_curves(data: Dataset, names: Sequence[str], source: str) -> Dataset:
    assert data.curve is not None
    _, known = _names(data.info)
    columns = [known.index(name) for name in names or known]
    every = data.info["curve_every"]
    inside = np.arange(data.curve.shape[1]) * every < data.length[:, None]
    target = np.where(inside[..., None], data.curve[..., columns], np.float32(np.nan))
    step = {"every": every, "seconds": every / data.info["rate"]}
    described = [data.info["curves"][column] | step for column in columns]
    info = data.info | {"targets": described}
    chosen = dataclasses.replace(data, target=target, info=info)
    if not any("classes" in one for one in described):
        return chosen
    if len(described) > 1:
        raise UserError(
            f"targets are {', '.join(one['name'] for one in described)}: a class a sample is "
            "estimated by itself, make a task of each"
        )
    return _without_rare_words(chosen, source)


def _without_rare_words(data: Dataset, source: str) -> Dataset:
    """A class a sample without the words that fewer than LEAST_SUBJECTS have, counted."""
    assert data.target is not None
    (described,) = data.info["targets"]
    name, kept, left_out = described["name"], [], {}
    target = np.full(data.target.shape, np.float32(np.nan))
    for number, word in enumerate(described["classes"]):
        is_word = data.target == number
        people = len(set(data.subject[is_word.any(axis=(1, 2))].tolist()))
        if people >= LEAST_SUBJECTS:
            target[is_word] = len(kept)
            kept.append(word)
        elif people:
            reason = f"samples of the {name} {word}, which one subject alone has"
            left_out[reason] = int(is_word.sum())
    if len(kept) < 2:
        raise UserError(
            f"{source} has {len(kept)} words of {name} that {LEAST_SUBJECTS} subjects or more "
            "have: a class needs two of them"
        )
    is_kept = np.asarray(np.isfinite(target).any(axis=(1, 2)))
    info = data.info | {"targets": [described | {"classes": kept}], "left_out": left_out}
    return Dataset(**_rows(data, is_kept), target=target[is_kept], info=info)


def _rows(data: Dataset, is_kept: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of some examples, but for target and curve."""
    return {
        field.name: getattr(data, field.name)[is_kept]
        for field in dataclasses.fields(data)
        if field.name not in ("target", "curve", "info")
    }


def _select_class(data: Dataset, name: str, source: str) -> Dataset:
    words = getattr(data, name)
    people = {word: set(data.subject[words == word].tolist()) for word in np.unique(words).tolist()}
    classes = [word for word, who in people.items() if word and len(who) >= LEAST_SUBJECTS]
    if len(classes) < 2:
        raise UserError(
            f"{source} has {len(classes)} {name} that {LEAST_SUBJECTS} subjects or more have: a "
            "class needs two of them"
        )
    is_kept = np.isin(words, classes)
    left_out = Counter(
        f"windows of the {name} {word}, which one subject alone has"
        if word
        else f"windows without {name}"
        for word in words[~is_kept].tolist()
    )
    target = np.searchsorted(classes, words[is_kept])[:, None].astype(np.float32)
    described = {"name": name, "unit": "", "classes": classes}
    info = data.info | {"targets": [described], "left_out": dict(left_out)}
    return Dataset(**_rows(data, is_kept), target=target, info=info)


def classes_of(data: Dataset) -> list[str]:
    """The words of the class that is estimated, in the order of their numbers; none for numbers."""
    (first, *_) = data.info.get("targets") or [{}]
    return first.get("classes", [])


def curve_every(data: Dataset) -> int:
    """Samples of the window from value to value of the curves that are estimated; 0 without any."""
    (first, *_) = data.info.get("targets") or [{}]
    return first.get("every", 0)


def class_every(data: Dataset) -> int:
    """The same of a class a sample; 0 for all else that is estimated."""
    return curve_every(data) if classes_of(data) else 0


def mean_curve(curves: np.ndarray) -> np.ndarray:
    """Take the mean of curves at each value.

    Parameters
    ----------
    curves : ndarray, [n, Lt]
        NaN beyond the end of a window.

    Returns
    -------
    ndarray, [Lt]
        Where no window reaches, the last value before it; 0 where no window has any.
    """
    count = np.isfinite(curves).sum(axis=0)
    mean = np.nansum(curves, axis=0) / np.maximum(count, 1)
    last = np.flatnonzero(count)[-1] if count.any() else 0
    return mean[np.minimum(np.arange(len(mean)), last)]


def outputs(data: Dataset) -> np.ndarray:
    """What a network is to give: numbers [N, K] and curves [N, Lt, K] as they are, or 1 for the
    class of each [N, C], of a class a sample [N, Lt, C], NaN where there is none."""
    assert data.target is not None
    count = len(classes_of(data))
    if not count:
        return data.target
    is_class = (data.target == np.arange(count)).astype(np.float32)
    return np.where(np.isfinite(data.target), is_class, np.float32(np.nan))
