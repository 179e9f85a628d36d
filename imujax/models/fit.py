"""One model on everybody: chosen on people who were held out, trained, kept, and described."""

import json
import pathlib
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from imujax.data import datasets, rates, targets
from imujax.errors import UserError, require_known
from imujax.models import bands, held_out, intervals, keeping, page, parts, seen, sets
from imujax.pretrain import encoder
from imujax.report import kinds, tables
from imujax.runtime import files, log, processes
from imujax.runtime.settings import require_same_settings
from imujax.sweep import fitting, sweep
from imujax.sweep.settings import TaskSettings

LEVEL = 0.9  # of the intervals or sets, unless another is asked for
LEAST_PEOPLE = 3  # for them
Folder = pathlib.Path | str


def fit_model(
    config: ConfigDict,
    name: str,
    data_path: Folder,
    encoder_paths: Mapping[str, Sequence[Folder]],
    sweep_folder: Folder,
    folder: Folder,
    seed: int,
    kind: str = held_out.BEST,
    arm: str | None = None,
    level: float = LEVEL,
) -> pathlib.Path:
    """Fit a model on all subjects of a task, and keep it.

    Parameters
    ----------
    config : ConfigDict
        The task's section of a configuration.
    name : str
        The task's.
    data_path : Path
        Folder of the labelled data set.
    encoder_paths : mapping of str to sequence of Path
        Folders of each encoder's pre-trainings.
    sweep_folder : Path
        Of the task's finished sweep. Without it one of all windows and one draw is run first,
        beside `folder`.
    folder : Path
        Of the model.
    seed : int
        As of the sweep.
    kind : str
        finetuned, probe, a reference, average, or best: of least mean RMSE over the people whom the
        sweep has held out, of several targets in SDs of each, or of greatest balanced accuracy.
    arm : str, optional
        Whose network it is; the first pre-trained one by default.
    level : float
        Of the intervals, or of the sets of classes.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    UserError
        There is no such arm or model, or too few people; or as of `sweep.run_sweep`.
    """
    folder = pathlib.Path(folder)
    arm = _choose_arm(config, name, arm)
    if not 0 < level < 1:
        raise UserError(f"--level is {level:g}, but must lie between 0 and 1")
    data = sweep.read_labelled(config, data_path)
    found = _held_out(config, name, data_path, encoder_paths, sweep_folder, folder, seed, arm, kind)
    candidates = held_out.list_candidates(found, arm)
    chosen = held_out.choose(candidates, kind)
    people = len(np.unique(chosen.subject))
    if people < LEAST_PEOPLE:
        raise UserError(f"{data_path} has {people} subjects: an interval needs {LEAST_PEOPLE}")
    promised = intervals.promise(level, people)
    with processes.claim_folder(folder):
        members = [encoder.load(path) for path in encoder_paths[config.arms[arm].encoder]]
        made = [_fit_part(one, config, arm, data, members, seed, folder) for one in chosen.parts]
        card = {
            "task": name,
            "title": config.title,
            "model": _describe(chosen, arm),
            "targets": _describe_targets(data, chosen, level),
            "rate": data.info["rate"],
            "window": int(data.acc.shape[1]),
            "sensors": list(data.info["sensors"]),
            "before": data.info.get("before", data.info["options"].get("before")),
            "frame": data.info.get("frame", ""),
            "interval": {"level": promised, "asked": level, "people": people},
            "candidates": {key: one.judged for key, one in candidates.items()},
            "asked": kind,
            "signals": seen.describe(
                data.acc, data.gyr, data.length, config.rotation if _has_network(chosen) else 0.0
            ),
            "trained_on": {
                "subjects": len(set(data.subject.tolist())),
                "examples": len(data.subject),
                "data": _brief(datasets.fingerprint(data_path)),
                "encoder": [_brief(d) for d in members[0].card["settings"]["data"]],
                "simulated": bool(data.info.get("simulated", False)),
                "options": data.info["options"],
            },
            "provenance": log.provenance(),
        }
        keeping.save(folder, card, [(1 / len(made), part) for part in made])
        files.write_text(folder / "README.md", page.write_page(card))
        shutil.rmtree(folder / "parts", ignore_errors=True)
        print(f"fit {name}: {page.write_line(card)}", file=sys.stderr)
    return folder


def _choose_arm(config: ConfigDict, name: str, arm: str | None) -> str:
    if arm is not None:
        require_known("--arm", arm, config.arms)
        if config.arms[arm].weights == "in_domain":
            raise UserError(
                f"--arm {arm} has another encoder in each fold, and a model has one: pre-train it "
                "on everybody, without the field `without`, and fit a task that takes that"
            )
        return arm
    pretrained = [label for label, spec in config.arms.items() if spec.weights == "pretrained"]
    if not pretrained:
        raise UserError(f"tasks.{name}.arms has no pre-trained one: name another by --arm")
    return pretrained[0]


def _held_out(
    config, name, data_path, encoder_paths, sweep_folder, folder, seed, arm, kind
) -> list[tables.Sweep]:
    """The task's sweep, or a short one of all windows and the arm alone, for each target."""
    if (pathlib.Path(sweep_folder) / "summary.json").is_file():
        found = tables.load_sweeps(sweep_folder)
        settings = json.loads(config.to_json()) | {"seed": seed}
        settings |= {"data": [datasets.fingerprint(data_path)]}
        kept = found[0].summary["config"]
        old = {key: kept[key] for key in settings if key in kept}
        require_same_settings(old, settings, sweep_folder, TaskSettings)
        return found
    changes: dict[str, Any] = {"axes": {"windows": (1.0,)}, "draws": 1}
    changes |= {"arms": {arm: config.arms[arm].to_dict()}}
    changes |= {"select": config.select.to_dict() | {"draws": 1}}
    references = tuple(one for one in config.references if "+" not in one)
    if kind in held_out.NETWORKS:
        references, changes["stages"] = (), (held_out.NETWORKS[kind],)
    elif kind not in (held_out.BEST, held_out.AVERAGE):
        references, changes["stages"] = (kind,), ("probe",)  # which every arm has
    short = ConfigDict(config.to_dict() | changes | {"references": references})
    place = folder.with_name(f"{folder.name}.held_out")  # it names people, as a model does not
    sweep.run_sweep(short, data_path, encoder_paths, place, seed, f"{name}, held out")
    return tables.load_sweeps(place)


def _fit_part(part, config, arm, data, members, seed, folder) -> parts.Part:
    if part not in held_out.NETWORKS:
        print_line = log.Progress(1, f"fit {part}", "model", first="fitting")
        models, bases = fitting.fit_reference(part, data, seed)
        print_line.close()
        return parts.ReferencePart(part, models, bases, targets.class_every(data))
    inner = folder / "parts"
    stage = held_out.NETWORKS[part]
    own, wanted = data.info["rate"], members[0].rate
    seen = rates.at_rate(data, wanted)
    network = fitting.fit_network(config, arm, seen, members, seed, inner, stage)
    is_class, every = bool(targets.classes_of(data)), targets.curve_every(data)
    pair = () if rates.are_same(own, wanted) else (own, wanted)
    return parts.NetworkPart(network, bool(config.mask), is_class, every, pair)


def _describe(chosen: held_out.Candidate, arm: str) -> str:
    names = {"finetuned": f"fine-tuned network, arm {arm}", "probe": f"probe on arm {arm}, frozen"}
    return " and ".join(names.get(part, part) for part in chosen.parts)


def _brief(fingerprint: dict[str, Any]) -> dict[str, Any]:
    """Without the names of the raw files, which may be those of people."""
    return fingerprint | {"files": len(fingerprint["files"])}


def _has_network(chosen: held_out.Candidate) -> bool:
    return not set(held_out.NETWORKS).isdisjoint(chosen.parts)


def _describe_targets(
    data: datasets.Dataset, chosen: held_out.Candidate, level: float
) -> list[dict[str, Any]]:
    """Of the card: each target, what was seen of it, how sure its estimates are, and how good."""
    assert data.target is not None  # sweep.read_labelled has seen to it
    described = []
    columns = np.moveaxis(data.target, -1, 0), chosen.residuals, chosen.scores
    for target, values, residual, scores in zip(data.info["targets"], *columns, strict=True):
        own: dict[str, Any] = {"range": [float(np.nanmin(values)), float(np.nanmax(values))]}
        if chosen.kind is kinds.CURVES:
            band = bands.find_band(residual, chosen.subject, level)
            own |= {"half": band.half.tolist(), "whole": band.whole.tolist()}
            own["anywhere"] = band.anywhere
            own["coverage"] = bands.measure_bands(residual, chosen.subject, level)
        else:
            own["half"] = intervals.half_width(residual, chosen.subject, level).half
            measured = intervals.measure_coverage(residual, chosen.subject, level)
            own["coverage"] = measured._asdict()
        if chosen.is_class:
            own = {"least": 1 - own["half"], "coverage": own["coverage"]}
            own["windows"] = [int((values == k).sum()) for k in range(len(target["classes"]))]
            pair = chosen.truth[:, 0], chosen.estimate
            own["coverage"]["size"] = sets.measure_size(*pair, chosen.subject, level)
        described.append(target | own | {"metrics": scores})
    return described
