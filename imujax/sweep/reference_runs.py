"""The references of a task on every cell of its grid: what they see, and several fits at once."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from imujax.data import datasets
from imujax.runtime import files, host, sharding
from imujax.sweep import grid
from imujax.sweep.references import REFERENCES, parse_name
from imujax.sweep.window_features import FEATURES


def reference_rows(config, arm_by_label, cells, data, seed, parts, progress) -> list[dict]:
    """The references of the configuration on the same cells, each cell kept in `parts`."""
    features_of = feature_sets(config.references, data)
    target = data.target[:, 0].astype(np.float64)

    def features(name, cell) -> np.ndarray:
        """[N, F], with the frozen embedding of the arm that stands behind a plus."""
        kind, label = parse_name(name)
        if not label:
            return features_of[kind]
        embedding = arm_by_label[label].embed(cell, cell.train)
        return np.concatenate([features_of[kind], sharding.to_host(embedding)], axis=1)

    def estimate_cell(cell) -> dict:
        indices = f"{cell.fold}|{cell.draw}|".encode() + cell.train.tobytes()
        path = parts / f"references-{hashlib.sha256(indices).hexdigest()[:16]}.npz"
        arrays = files.load_arrays(path)
        if arrays is not None:
            return arrays
        arrays = {}
        for name in config.references:
            x = features(name, cell)
            model = REFERENCES[parse_name(name)[0]].make(grid.lane_seed(seed, cell))
            model.fit(x[cell.train], target[cell.train], data.subject[cell.train])
            chosen = getattr(model, "chosen", {})
            note = ", ".join(f"{key} {value}" for key, value in chosen.items())
            arrays |= {name: model.predict(x[cell.test]), f"{name} note": np.array(note)}
        files.save_arrays(path, arrays)
        return arrays

    for name in config.references:
        _, label = parse_name(name)
        for cell in cells if label and not config.rescale else ():
            arm_by_label[label].embed(cell, cell.train)  # cached there for the threads
    rows = []
    # A fit uses one thread, so that it is the same on any machine; several go at once.  OpenMP is
    # limited thread by thread, BLAS in the whole process.
    one_thread = {"initializer": threadpool_limits, "initargs": (1, "openmp")}
    workers = len(host.available_cores())
    with threadpool_limits(1), ThreadPoolExecutor(workers, **one_thread) as pool:
        for cell, arrays in zip(cells, pool.map(estimate_cell, cells), strict=True):
            rows += [
                {
                    "arm": name,
                    "stage": "reference",
                    "learning_rate": "",
                    "cell": cell,
                    "point": point,
                    "estimate": arrays[name],
                    "note": str(arrays[f"{name} note"]),
                }
                for name in config.references
                for point in cell.points
            ]
            progress.update(1, "references")
    return rows


def feature_sets(names, data: datasets.Dataset) -> dict[str, np.ndarray]:
    """What each kind of reference among `names` sees of all windows -> {kind: [N, F]}."""
    kinds = {parse_name(name)[0] for name in names}
    inputs = {key for kind in kinds for key in REFERENCES[kind].inputs}
    features = {key: FEATURES[key](data.acc, data.gyr, data.length) for key in inputs}
    return {
        kind: np.concatenate([features[key] for key in REFERENCES[kind].inputs], axis=1)
        for kind in kinds
    }
