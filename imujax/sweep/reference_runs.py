"""The references of a task on every cell of its grid, several fits at once."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from threadpoolctl import threadpool_limits

from imujax.data import datasets, targets
from imujax.runtime import host, log, sharding
from imujax.sweep import arms, grid, neighbourhoods
from imujax.sweep.references import (
    fit_references,
    join_estimates,
    parse_name,
    required_inputs,
    values_to_fit,
)
from imujax.sweep.ridge import MOST_WINDOWS
from imujax.sweep.runs import Arrays, Parts
from imujax.sweep.window_features import records

MOST_MEMORY = 8 * 2**30  # bytes of all fits at once
WINDOW_MEMORY = 2**19  # bytes of one training window in a fit: MultiRocket has 50,000 features


def reference_rows(
    config: ConfigDict,
    arm_by_label: Mapping[str, arms.Arm],
    cells: Sequence[grid.Cell],
    data: datasets.Dataset,
    seed: int,
    parts: Parts,
    progress: log.Progress,
) -> list[dict[str, Any]]:
    """Fit the references of a task on every cell.

    A fit uses one thread, so that it is the same on any machine; several go at once.

    Parameters
    ----------
    config : ConfigDict
        A task's section of a configuration.
    arm_by_label : mapping of str to Arm
        Those whose frozen embedding a reference may have beside its features.
    cells : sequence of Cell
        The grid of the task.
    data : Dataset
        The labelled examples.
    seed : int
        Of the task.
    parts : Parts
    progress : Progress
        Counts cells.

    Returns
    -------
    list of dict
        For each cell, reference and point: arm, stage, cell, point, estimate [m, K], note, seconds
        of the fit, without those of the references that it is made of.
    """
    if not config.references:
        progress.update(len(cells), "references")
        return []
    kinds, labels = zip(*map(parse_name, config.references), strict=True)
    embedders = {label: arm_by_label[label] for label in sorted(set(labels) - {""})}

    def group(missing: list[int]) -> list[list[int]]:
        progress.restart_pace()
        # An arm keeps few embeddings: cells that start from the same weights follow each other.
        return [sorted(missing, key=lambda n: [a.start(cells[n]) for a in embedders.values()])]

    def make(numbers: list[int]) -> Iterator[tuple[int, Arrays]]:
        every = targets.class_every(data)
        seen = data.acc, data.gyr, data.length, every
        views = neighbourhoods.lay_views(required_inputs(kinds), *seen)
        values = -(-data.acc.shape[1] // every) if every else 1
        workers = fits_at_once(values * max(len(cells[number].train) for number in numbers))
        running: dict[Future[Arrays], int] = {}
        with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
            for number in numbers:
                cell = cells[number]
                embeddings = {  # by this thread alone, and no more of them than are soon wanted
                    label: sharding.to_host(arm.embed(cell, cell.train, along=False))
                    for label, arm in embedders.items()
                }
                inputs = views, embeddings, cell, data, seed
                running[pool.submit(fit_cell, config.references, *inputs)] = number
                if len(running) > 2 * workers:
                    wait(running, return_when=FIRST_COMPLETED)
                for done in [fit for fit in running if fit.done()]:
                    yield running.pop(done), done.result()
            for done in as_completed(running):
                yield running[done], done.result()

    names = [f"references-{cell_hash(cell)}" for cell in cells]
    done = parts.take(
        names, group, make, lambda n, kept: progress.update(len(n), "references", kept)
    )
    return [
        {
            "arm": name,
            "stage": "reference",
            "cell": cell,
            "point": point,
            "estimate": arrays[name],
            "note": str(arrays[f"{name} note"]),
            "seconds": float(arrays[f"{name} seconds"]),
        }
        for cell, arrays in zip(cells, done, strict=True)
        for name in config.references
        for point in cell.points
    ]


def fit_cell(
    names: Sequence[str],
    views: Mapping[str, np.ndarray],
    embeddings: Mapping[str, np.ndarray],
    cell: grid.Cell,
    data: datasets.Dataset,
    seed: int,
) -> dict[str, np.ndarray]:
    """Fit references on one cell.

    Parameters
    ----------
    names : sequence of str
        As a configuration names them.
    views : mapping of str to ndarray, [N, ...]
        What they see of all windows, of a class a sample of all samples, by its name in
        window_features.FEATURES.
    embeddings : mapping of str to ndarray, [N, E]
        Of each arm that is named.
    cell : Cell
    data : Dataset
        The labelled examples.
    seed : int
        Of the task.

    Returns
    -------
    dict of ndarray
        For each name its estimates [m, K], of curves [m, Lt, K], its note and its seconds.
    """
    groups, to_fit = data.subject[cell.train], values_to_fit(data, cell.train)
    train, test_rows, shape = cell.train, cell.test, (len(cell.test),)
    if to_fit.samples is not None:
        assert data.target is not None
        values = data.target.shape[1]
        train, test_rows = (neighbourhoods.number_samples(x, values) for x in (train, test_rows))
        train, groups = train[to_fit.samples], np.repeat(groups, values)[to_fit.samples]
        shape = (len(cell.test), values)
    arrays = {}
    for label in ("", *embeddings):
        seen = {**views, "embedding": embeddings[label]} if label else views
        training, test = records(seen, train), records(seen, test_rows)
        name_by_kind = {parse_name(name)[0]: name for name in names if parse_name(name)[1] == label}
        fits = [
            fit_references(name_by_kind, training, target, groups, grid.lane_seed(seed, cell))
            for target in to_fit.values
        ]
        for kind, name in name_by_kind.items():
            notes = [note(getattr(models[kind], "chosen", {})) for models, _ in fits]
            estimates = [models[kind].predict(test) for models, _ in fits]
            joined = join_estimates(estimates, to_fit.bases)
            arrays[name] = joined.reshape(*shape, *joined.shape[1:])
            arrays[f"{name} note"] = np.array("; ".join(notes))
            arrays[f"{name} seconds"] = np.array(sum(seconds[kind] for _, seconds in fits))
    return arrays


def note(chosen: Mapping[str, Any]) -> str:
    """What a model has chosen, in words: "penalty 0.316, inner_folds 4"."""
    return ", ".join(
        f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in chosen.items()
    )


def cell_hash(cell: grid.Cell) -> str:
    """What tells one cell from another, as a short hexadecimal word."""
    text = f"{cell.fold}|{cell.draw}|".encode() + cell.train.tobytes()
    return hashlib.sha256(text).hexdigest()[:16]


def fits_at_once(most: int) -> int:
    """How many fits of up to `most` training windows go at once: what cores and memory allow."""
    memory = min(most, MOST_WINDOWS) * WINDOW_MEMORY
    return max(min(len(host.available_cores()), MOST_MEMORY // memory), 1)
