"""What a sweep can fail at, looked for while its encoders are not there yet: nothing is trained."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
from ml_collections import ConfigDict

from imujax.data import datasets, rates
from imujax.pretrain import encoder
from imujax.runtime import sharding
from imujax.sweep import arms, grid, lanes, sweep


def rehearse(
    config: ConfigDict, data_path: Path | str, sections: Mapping[str, ConfigDict], seed: int
) -> str:
    """Go through what a sweep does before its first run, with encoders of random weights.

    What is compiled here is what the sweep will run.

    Parameters
    ----------
    config : ConfigDict
        A task's section of a configuration.
    data_path : Path or str
        Folder of the labelled data set.
    sections : mapping of str to ConfigDict
        The encoders' sections.
    seed : int
        Of folds and subsets.

    Returns
    -------
    str
        What was found: examples, subjects, folds, the smallest training subset, lanes.

    Raises
    ------
    UserError
        The data set has no target, lacks a sensor or does not fit an encoder, folds or axes cannot
        be, or a single run does not fit the memory.
    """
    data = sweep.read_labelled(config, data_path)
    used = {arm.encoder: sections[arm.encoder] for arm in config.arms.values()}
    for section in used.values():
        rates.require_labelled(config.targets, data.info, section.rate, str(data_path))
    cells = grid.make_grid(config, data.subject, seed)
    found = (
        f"{len(data.acc)} examples of {len(set(data.subject.tolist()))} subjects in "
        f"{1 + max(cell.fold for cell in cells)} folds, "
        f"{min(len(cell.train) for cell in cells)} examples in the smallest training subset"
    )
    if "finetune" not in config.stages:
        return found
    runs = min(arm.trainer.runs for arm in prepare_arms(config, data, sections, seed))
    return f"{found}, {runs} runs at once"


def prepare_arms(
    config: ConfigDict,
    data: datasets.Dataset,
    sections: Mapping[str, ConfigDict],
    seed: int,
    mesh: jax.sharding.Mesh | None = None,
    memory: float | None = None,
) -> Iterator[arms.Arm]:
    """Compile the fine-tuning of all arms, with encoders of random weights.

    Parameters
    ----------
    config, sections, seed
        See `rehearse`.
    data : Dataset
        The labelled examples.
    mesh : jax.sharding.Mesh, optional
        Devices, those that there are by default; others need not be there.
    memory : float, optional
        Bytes that each of them may be filled with, where it is not there to say so.

    Yields
    ------
    Arm
        Of each network one.
    """
    cells = grid.make_grid(config, data.subject, seed)
    trainers: dict[str, lanes.LaneTrainer] = {}
    unit = {"mean": 0.0, "sd": 1.0}
    for label, spec in config.arms.items():
        section, known = sections[spec.encoder], len(trainers)
        card = {"net": section.net.to_dict(), "window": section.window, "rate": section.rate}
        card |= {"scales": {"acc": unit, "gyr": unit}, "settings": {"seed": seed}}
        untrained = encoder.random_encoder(card, seed)
        seen = rates.at_rate(data, section.rate)
        arm = arms.Arm(label, config, seen, cells, [untrained], spec, seed, trainers, mesh)
        if len(trainers) > known:
            # What is compiled for a machine that is not here cannot be read from the cache.
            with contextlib.nullcontext() if mesh is None else sharding.not_cached():
                arm.prepare_finetuning(cells[0], memory)
            yield arm
