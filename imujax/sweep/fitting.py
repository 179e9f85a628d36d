"""One model on all subjects, with the settings that a sweep would choose."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from imujax.data import targets
from imujax.data.datasets import Dataset
from imujax.pretrain.encoder import Encoder
from imujax.runtime import log, sharding
from imujax.sweep import arms, budget, choices, grid, lanes, neighbourhoods
from imujax.sweep.curve_basis import CurveBasis
from imujax.sweep.references import fit_references, required_inputs, values_to_fit
from imujax.sweep.runs import Parts, fit_probes, make_lane
from imujax.sweep.window_features import records

Trees = dict[str, Any]


class FittedNetwork(NamedTuple):
    """A network that was trained on all subjects, or a probe on one.

    Attributes
    ----------
    net : dict
        Its configuration, see networks.resolve_net.
    params, stats : dict
        Of towers.Regressor or CurveRegressor, with its output layer.
    scales : dict
        Of the input, see data/scales.
    mean, sd : list of float, [K]
        Of the training labels: the outputs are in SDs from the mean.
    chosen : dict
        What was chosen on inner subjects.
    """

    net: dict[str, Any]
    params: Trees
    stats: Trees
    scales: dict[str, dict[str, float]]
    mean: list[float]
    sd: list[float]
    chosen: dict[str, Any]


def fit_network(
    config: ConfigDict,
    label: str,
    data: Dataset,
    members: Sequence[Encoder],
    seed: int,
    parts: pathlib.Path,
    stage: str,
) -> FittedNetwork:
    """Choose the settings of an arm on inner subjects, then train it on everybody.

    Parameters
    ----------
    config : ConfigDict
        The task's section of a configuration.
    label : str
        The arm.
    data : Dataset
        The labelled examples.
    members : sequence of Encoder
        The pre-trainings of the arm's encoder, of which the first is taken.
    seed : int
        Of the inner folds, the random weights and the batches.
    parts : Path
        Folder in which inner runs are kept when they are done.
    stage : {"finetune", "probe"}

    Returns
    -------
    FittedNetwork
    """
    everybody = np.arange(len(data.subject))
    cell = grid.Cell(0, 0, (("windows", 1.0),), everybody, everybody[:0])
    # A probe has no inner runs of fine-tuning.
    config = ConfigDict(config.to_dict() | {"stages": (stage,)})
    arm = arms.Arm(label, config, data, [cell], members, config.arms[label], seed, {})
    progress = log.Progress(
        choices.count_inner(config, cell, len(everybody)), f"fit {label}", "run", first="compiling"
    )
    chosen, _ = choices.choose_settings(arm, [cell], data.subject, Parts(parts), progress)
    choice = chosen[grid.selection_key(cell)]
    lane = make_lane(arm, cell, everybody, everybody[:0], (choice.penalty,), choice.rate)
    heads, _ = fit_probes(arm, cell, [lane])
    words: dict[str, Any] = {"penalty": choice.penalty, "note": choice.note}
    if stage == "probe":
        params = lane.start.params | {"output": _output(heads[0])}
        stats = lane.start.stats
    else:
        words |= {"learning_rate": choice.rate}
        steps = budget.steps_at(config, len(everybody), choice.stop)
        words |= {"steps": steps}
        arm.prepare_finetuning(cell)
        stack = arm.trainer.begin([lane], heads)
        arm.trainer.advance(stack, 0, steps)
        tried = sharding.to_host(arm.trainer.tried(stack))
        params, stats = (
            jax.tree.map(lambda x: np.asarray(x[0]), tried[name]) for name in ("params", "stats")
        )
    progress.close()
    mean, sd = lanes.label_moments(lane, arm.trainer.examples)
    net = members[0].card["net"]
    return FittedNetwork(net, params, stats, lane.scale, mean.tolist(), sd.tolist(), words)


def fit_reference(kind: str, data: Dataset, seed: int) -> tuple[list[Any], list[CurveBasis]]:
    """Fit a reference on everybody, its settings chosen on inner subjects.

    Parameters
    ----------
    kind : str
        A name in REFERENCES.
    data : Dataset
        The labelled examples.
    seed : int

    Returns
    -------
    models : list
        Of each of references.ToFit.values one with predict(windows), state() and chosen.
    bases : list of CurveBasis
        Of curves, one for each target.
    """
    every, to_fit, groups = targets.class_every(data), values_to_fit(data), data.subject
    windows = see(kind, data.acc, data.gyr, data.length, every)
    if to_fit.samples is not None:
        groups = np.repeat(groups, len(windows) // len(groups))[to_fit.samples]
        windows = windows[to_fit.samples]
    models = [
        fit_references([kind], windows, target, groups, seed)[0][kind] for target in to_fit.values
    ]
    return models, to_fit.bases


def see(
    kind: str, acc: np.ndarray, gyr: np.ndarray, length: np.ndarray, every: int = 0
) -> np.ndarray:
    """Lay out what a reference sees of windows.

    Parameters
    ----------
    kind : str
        A name in REFERENCES.
    acc, gyr : ndarray, [N, L, S, 3]
        m/s^2 and rad/s.
    length : ndarray, [N]
    every : int
        Of a class a sample, samples from value to value.

    Returns
    -------
    ndarray, [N], of a class a sample [N * Lt]
        Records, see window_features.records.
    """
    inputs = required_inputs([kind])
    return records(neighbourhoods.lay_views(inputs, acc, gyr, length, every))


def _output(head: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A probe as the output layer of a network."""
    return {"kernel": head["kernel"][0], "bias": head["bias"][0]}
