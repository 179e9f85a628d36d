"""The references of a task on every cell of its grid, several fits at once."""

import hashlib
import pathlib
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from threadpoolctl import threadpool_limits

from imujax.data import datasets
from imujax.runtime import files, host, log, sharding
from imujax.sweep import arms, grid
from imujax.sweep.references import fit_references, parse_name, required_inputs
from imujax.sweep.ridge import MOST_WINDOWS
from imujax.sweep.window_features import FEATURES, records

MOST_MEMORY = 8 * 2**30  # bytes of all fits at once
WINDOW_MEMORY = 2**19  # bytes of one training window in a fit: MultiRocket has 50,000 features


def reference_rows(
    config: ConfigDict,
    arm_by_label: Mapping[str, arms.Arm],
    cells: Sequence[grid.Cell],
    data: datasets.Dataset,
    seed: int,
    parts: pathlib.Path,
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
    parts : Path
        Folder in which each cell is kept when it is done.
    progress : Progress
        Counts cells.

    Returns
    -------
    list of dict
        For each cell, reference and point: arm, stage, cell, point, estimate [m], note, and seconds
        of the fit, without those of the references that it is made of.
    """
    if not config.references:
        progress.update(len(cells), "references")
        return []
    names = [parse_name(name) for name in config.references]
    labels = sorted({label for _, label in names} - {""})
    inputs = required_inputs(kind for kind, _ in names)
    views = {key: FEATURES[key](data.acc, data.gyr, data.length) for key in inputs}
    assert data.target is not None  # sweep.run_sweep has seen to it
    target = data.target[:, 0].astype(np.float64)

    def fit(cell: grid.Cell, embeddings: Mapping[str, np.ndarray], path: pathlib.Path):
        arrays = {}
        for label in ("", *embeddings):
            seen = views | ({"embedding": embeddings[label]} if label else {})
            training, test = records(seen, cell.train), records(seen, cell.test)
            kinds = [kind for kind, of in names if of == label]
            groups, fit_seed = data.subject[cell.train], grid.lane_seed(seed, cell)
            models, seconds = fit_references(kinds, training, target[cell.train], groups, fit_seed)
            for kind in kinds:
                name = f"{kind}+{label}" if label else kind
                chosen = getattr(models[kind], "chosen", {})
                note = ", ".join(f"{key} {value}" for key, value in chosen.items())
                arrays[name] = models[kind].predict(test)
                arrays[f"{name} note"] = np.array(note)
                arrays[f"{name} seconds"] = np.array(seconds[kind])
        files.save_arrays(path, arrays)
        return arrays

    arrays_by_cell: dict[int, dict[str, np.ndarray]] = {}
    waiting: deque = deque()

    def take_first():
        number, future = waiting.popleft()
        arrays_by_cell[number] = future.result()
        progress.update(1, "references")

    # An arm keeps few embeddings: cells that start from the same weights follow each other.
    order = sorted(
        range(len(cells)),
        key=lambda number: [arm_by_label[label].start(cells[number]) for label in labels],
    )
    workers = fits_at_once(max(len(cell.train) for cell in cells))
    with threadpool_limits(1), ThreadPoolExecutor(workers) as pool:
        for number in order:
            cell = cells[number]
            path = parts / f"references-{cell_hash(cell)}.npz"
            arrays = files.load_arrays(path)
            if arrays is not None:
                arrays_by_cell[number] = arrays
                progress.update(1, "references")
                continue
            embeddings = {  # by this thread alone, and no more of them than are soon wanted
                label: sharding.to_host(arm_by_label[label].embed(cell, cell.train))
                for label in labels
            }
            waiting.append((number, pool.submit(fit, cell, embeddings, path)))
            if len(waiting) > 2 * workers:
                take_first()
        while waiting:
            take_first()
    return [
        {
            "arm": name,
            "stage": "reference",
            "cell": cell,
            "point": point,
            "estimate": arrays_by_cell[number][name],
            "note": str(arrays_by_cell[number][f"{name} note"]),
            "seconds": float(arrays_by_cell[number][f"{name} seconds"]),
        }
        for number, cell in enumerate(cells)
        for name in config.references
        for point in cell.points
    ]


def cell_hash(cell: grid.Cell) -> str:
    """What tells one cell from another, as a short hexadecimal word."""
    text = f"{cell.fold}|{cell.draw}|".encode() + cell.train.tobytes()
    return hashlib.sha256(text).hexdigest()[:16]


def fits_at_once(most: int) -> int:
    """How many fits of up to `most` training windows go at once: what cores and memory allow."""
    memory = min(most, MOST_WINDOWS) * WINDOW_MEMORY
    return max(min(len(host.available_cores()), MOST_MEMORY // memory), 1)
