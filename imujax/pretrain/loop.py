"""Pre-training from start to end: steps, metrics, checkpoints, being stopped.

`train` is re-entrant: called again it goes on from the last checkpoint, or returns at once.  Every
batch and every random number is a function of the seed and the step, so a resumed run takes the
same steps as one that was never stopped.
"""

import json
import pathlib
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
from ml_collections import ConfigDict

from imujax.data import content, datasets
from imujax.errors import UserError
from imujax.nets import arithmetic
from imujax.pretrain import lineage, packed, sources
from imujax.pretrain.settings import EncoderSettings, check_devices
from imujax.pretrain.step import all_finite, compile_step, init_state, make_monitor, make_step
from imujax.runtime import log, processes, sharding
from imujax.runtime.checkpoint import Checkpoints
from imujax.runtime.settings import require_same_command, require_same_settings

STEPS_PER_CALL = 10  # on an accelerator


def train(
    config: ConfigDict,
    paths: Sequence[pathlib.Path | str],
    workdir: pathlib.Path | str,
    seed: int = 0,
    title: str = "pretrain",
    parent: pathlib.Path | str | None = None,
    fold: Mapping[str, Any] | None = None,
) -> pathlib.Path:
    """Pre-train one encoder; called again it goes on, and a finished run returns at once.

    Parameters
    ----------
    config : ConfigDict
        An encoder's section of a configuration, see configs/common.py.
    paths : sequence of Path
        Folders of the data sets; empty where the section has `stream`, whose batches are simulated
        (imujax/simulate/stream.py).
    workdir : Path
        Folder of the checkpoints, of metrics.jsonl and of content.npz.
    seed : int
        Of the first weights, the batches and the augmentation.
    title : str
        What the progress bar is called.
    parent : Path, optional
        Folder of the pre-training that it goes on from: its weights, and its scales of the input.
    fold : mapping, optional
        Of a task, without whose test subjects it is trained: task, fold and subjects, their names.

    Returns
    -------
    Path
        `workdir`.

    Raises
    ------
    UserError
        The data sets do not fit or lack their content, the parent has another network or rate, the
        folder holds a run with other settings (the first difference is named), or another run
        writes there.
    SystemExit
        With status 143 after SIGTERM: the step under way is saved, see processes.PreemptionNotice.
    """
    workdir = pathlib.Path(workdir)
    settings = json.loads(config.to_json()) | {
        "seed": seed,
        "data": [datasets.fingerprint(path) for path in paths],
    }
    without: Collection[str] = ()
    if fold is not None:
        settings, without = settings | {"without": dict(fold)}, fold["subjects"]
    begin = None if parent is None else lineage.read_parent(parent, config)
    if begin is not None:
        settings |= {"parent": begin.settings}
    main_settings = processes.on_main(lambda: settings)
    processes.on_all(lambda: require_same_command(main_settings, settings))
    with processes.claim_folder(workdir), Checkpoints(workdir) as checkpoints:
        latest = checkpoints.latest()
        if latest is not None:
            old = checkpoints.card(latest)["settings"]
            require_same_settings(old, settings, workdir, EncoderSettings)
        processes.on_main(lambda: _keep_content(paths, workdir, parent, without, latest is None))
        if latest is not None and latest >= config.steps:
            return workdir
        first = lineage.begin(init_state(config, seed), begin)
        mesh = sharding.make_mesh("data")
        if begin is not None and not config.steps:
            placed = sharding.place(first, sharding.replicated(mesh))
            checkpoints.save(0, placed, begin.card | {"settings": settings})
            return workdir
        check_devices(config, mesh.size)
        source = sources.make_source(config, paths, seed, mesh, without)
        parent_data = []
        if begin is not None:
            source = source._replace(scale=begin.card["scales"])
            parent_data = begin.card.get("data") or []
        card = {
            "settings": settings,
            "net": settings["net"],
            "scales": source.scale,
            "counts": source.counts,
            "data": [*parent_data, *(datasets.describe_size(path, without) for path in paths)],
            "rate": config.rate,
            "window": config.window,
            "sensors": sorted(set(config.sensors) or source.sensors),
            "provenance": log.provenance(),
        }
        with processes.PreemptionNotice() as notice:
            _take_steps(config, source, mesh, seed, checkpoints, card, title, notice, first)
    return workdir


def _keep_content(paths, workdir: pathlib.Path, parent, without, is_new: bool):
    """Keep what was seen beside the checkpoints, so that a sweep can tell it from what it tests.

    Before the first checkpoint what stands there may be of other settings, and is written anew.
    """
    if is_new or not (workdir / content.CONTENT_FILE).is_file():
        seen = [content.leave_out(content.read_sets(paths), without)]
        seen += [] if parent is None else [packed.read_content(parent)]
        content.save(workdir, content.concatenate(seen))


def _take_steps(config, source, mesh, seed, checkpoints, card, title, notice, first):
    """From the last checkpoint, or from the state `first`, to the last step."""
    step_once, step_several = compile_step(
        make_step(config, source.scale, seed, source.full, mesh), mesh
    )
    monitor = make_monitor(config, source.scale, source.full)
    state = sharding.place(first, sharding.replicated(mesh))
    begin = checkpoints.latest() or 0
    if begin:
        state = checkpoints.restore(begin, state)
    mute = not processes.is_main()
    lines = log.MetricsLog(checkpoints.folder / "metrics.jsonl", mute)
    lines.drop_lines_after(begin)
    progress = log.Progress(config.steps, title, "step", done=begin, mute=mute, first="compiling")
    step_flops = arithmetic.training_flops(config.net, config.window) * config.batch
    most = STEPS_PER_CALL if source.batches and on_accelerator() else 1
    clock, logged, now = time.monotonic(), begin, begin
    while now < config.steps:
        ahead = min(period - now % period for period in (config.log_every, config.save_every))
        count = most if most <= min(ahead, config.steps - now) else 1
        with jax.transfer_guard("disallow"):  # but for what sharding.place sends
            function = step_several if count > 1 else step_once
            batch = source.batches(now, count) if count > 1 else source.batch(now)
            state, metrics = sharding.call_collective(mesh, function, state, *batch)
        now, stop = now + count, notice.stop_requested()
        if now % config.log_every == 0 or now == config.steps:
            values = sharding.to_host({**metrics, **monitor(state, *source.monitor_batch)})
            speed = (now - logged) / (time.monotonic() - clock)
            lines.append_line(
                step=now,
                **values,
                windows_per_s=speed * config.batch,
                **arithmetic.achieved_rate(speed * step_flops, mesh),
            )
            progress.update(now - logged, _progress_note(values))
            clock, logged = time.monotonic(), now
        if now % config.save_every == 0 or now == config.steps or stop:
            if not sharding.to_host(all_finite(state["params"])):
                raise UserError(
                    f"the weights are no longer finite at step {now}; lower the learning rate, or "
                    "look at the data for values out of range"
                )
            if now == config.steps:
                card = card | {"retrieval": _describe_retrieval(values, source.monitor_batch)}
            checkpoints.save(now, state, card)
        if stop:
            progress.close()
            processes.exit_preempted(
                f"{title} was told to stop; step {now} of {config.steps} is saved, and the same "
                "command goes on from there"
            )
    progress.close()


def _describe_retrieval(values: dict, monitor_batch: tuple) -> dict[str, Any] | None:
    """How often the monitor finds the gyroscope's window of an accelerometer's, among how many."""
    found = next((x for name, x in values.items() if name.endswith("retrieval_acc")), None)
    if found is None:  # no pairs are learned
        return None
    data, rows = monitor_batch
    among = len(data["length"] if rows is None else rows)
    return {"found": float(found), "among": among}


def _progress_note(values: dict) -> str:
    shown = {"loss": "loss", "retrieval": "retrieval_acc"}
    return ", ".join(f"{k} {float(values[v]):.3f}" for k, v in shown.items() if v in values)


def on_accelerator() -> bool:
    """Whether this runs on something else than a CPU."""
    return jax.default_backend() != "cpu"
