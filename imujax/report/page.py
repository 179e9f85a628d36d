"""The report as one HTML file: pictures inside, no script, no address outside, names escaped.

page.html is the template and page.css its style sheet; here are the numbers and words that they
show.
"""

import base64
import functools
import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from imujax.report import figures, omissions, page_tables, training
from imujax.report.comparisons import REDUCTION_ALPHA
from imujax.report.sentences import format_percent
from imujax.report.statistics import LEVEL, RESAMPLES
from imujax.report.task_summary import TaskSummary, reference_sentence

MIN_PANEL_PIXELS = 330  # narrower, and a panel of the curves cannot be read: it scrolls


def render_page(
    tasks: Sequence[TaskSummary],
    curves_svg: bytes,
    agreement_pngs: Sequence[bytes | None],
    training_pngs: Sequence[bytes | None],
    subjects_pngs: Sequence[bytes | None],
    missing: Sequence[str] = (),
) -> str:
    """The whole document.

    Parameters
    ----------
    tasks : sequence of TaskSummary
    curves_svg : bytes
        The picture of the curves of all tasks.
    agreement_pngs : sequence of (bytes or None)
        A picture for each task, or None where no arm is fine-tuned with all windows.
    training_pngs : sequence of (bytes or None)
        A picture for each task, or None where no arm is fine-tuned.
    subjects_pngs : sequence of (bytes or None)
        A picture for each task, or None where nothing has runs with all windows.
    missing : sequence of str
        Tasks that are named in a configuration and have not been begun.

    Returns
    -------
    str
        HTML.
    """
    svg_attributes, svg_content = _clean_svg(curves_svg)
    n_panels = min(figures.PANELS_IN_ROW, max(len(tasks), len(tasks[0].axes)))
    template = _environment().get_template("page.html")
    pictures = zip(tasks, agreement_pngs, training_pngs, subjects_pngs, strict=True)
    return template.render(
        tasks=[_task_view(*of_task) for of_task in pictures],
        small_budget=_small_budget(tasks),
        missing=", ".join(missing),
        titles=_join_titles(tasks),
        measure=" or ".join(dict.fromkeys(task.sweep.kind.measure for task in tasks)),
        has_arrow=any(c.reduction for task in tasks for c in task.comparisons),
        has_probes_alone=any(task.stage == "probe" for task in tasks),
        has_finetuning=any(task.stage == "finetune" for task in tasks),
        has_differences=any(task.comparisons for task in tasks),
        has_published=any(task.published for task in tasks),
        has_references=any(task.references for task in tasks),
        svg_attributes=svg_attributes,
        svg_content=svg_content,
        svg_pixels=n_panels * MIN_PANEL_PIXELS,
        level=format_percent(LEVEL),
        resamples=f"{RESAMPLES:,}",
        alpha=f"{REDUCTION_ALPHA:g}",
    )


def keep_together(sentence: str) -> str:
    """The sentence with no-break spaces between numbers and what belongs to them."""
    for phrase in (" %", "p < ", "p = ", "r = "):
        sentence = sentence.replace(phrase, phrase.replace(" ", "\u00a0"))
    return sentence


@functools.cache
def _environment() -> jinja2.Environment:
    folder = resources.files("imujax.report")
    sources = {name: (folder / name).read_text("utf-8") for name in ("page.html", "page.css")}
    return jinja2.Environment(
        loader=jinja2.DictLoader(sources),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _clean_svg(svg: bytes) -> tuple[Markup, Markup]:
    """Attributes and content of the <svg> element, without metadata, comments and addresses."""
    text = svg.decode("utf-8")
    text = text[text.index("<svg") + len("<svg") : text.rindex("</svg>")]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)  # HTML needs none of the addresses
    attributes, _, content = text.partition(">")
    # The picture is our own, and matplotlib draws letters as outlines.
    return Markup(attributes), Markup(content)


def _small_budget(tasks: Sequence[TaskSummary]) -> str | None:
    """The first line of the page where a budget is small on purpose."""
    small = [task.title for task in tasks if training.has_small_budget(task.sweep)]
    if not small:
        return None
    names = "" if len(small) == len(tasks) else f" ({', '.join(small)})"
    return training.SMALL_BUDGET.replace(":", f"{names}:", 1)


def _configuration(config: Any) -> str:
    return json.dumps(_brief(config), indent=1, sort_keys=True)


def _brief(config: Any, name: str = "") -> Any:
    """A configuration with the number of raw files in the place of their names and checksums."""
    if isinstance(config, dict):
        return {key: _brief(value, key) for key, value in config.items()}
    if isinstance(config, list):
        return f"{len(config)} raw files" if name == "files" else [_brief(x) for x in config]
    return config


def _join_titles(tasks: Sequence[TaskSummary]) -> str:
    """The titles of the tasks, as they stand in that of the page."""
    titles = list(dict.fromkeys(task.title for task in tasks))
    return "; ".join(titles)


def _task_view(
    task: TaskSummary,
    agreement_png: bytes | None,
    training_png: bytes | None,
    subjects_png: bytes | None,
) -> dict[str, Any]:
    target = (task.sweep.target["name"], task.unit)
    subtitle = (", ".join(task.sensors), f"{task.n_subjects} subjects", *target)
    is_split = any(len(rows) > 1 for rows in task.conditions.values())
    references = [(axis, page_tables.references_table(task, axis)) for axis in task.axes]
    return {
        "title": task.title,
        "measure": task.sweep.kind.word,
        "losses": task.sweep.kind.losses,
        "simulated": task.simulated,
        "answers": _answers(task),
        "unfinished": training.unfinished_sentence(task.training),
        "subtitle": " \u00b7 ".join(part for part in subtitle if part),
        "faults": task.faults,
        "curves": [(axis, page_tables.curves_table(task, axis)) for axis in task.axes],
        "published": _published_view(task) if task.published else None,
        "differences": [
            (f"{c.arm} minus {c.baseline}, by share of {c.axis}", page_tables.differences_table(c))
            for c in task.comparisons
        ],
        "agreement": page_tables.agreement_table(task),
        "agreement_png": _base64(agreement_png),
        "subjects": page_tables.subjects_table(task) if subjects_png else None,
        "subjects_png": _base64(subjects_png),
        "shares": page_tables.shares_table(task),
        "conditions": page_tables.conditions_table(task) if is_split else None,
        "references": [(axis, table) for axis, table in references if table],
        "added_values": [
            (arm, page_tables.added_values_table(rows)) for arm, rows in task.added_values.items()
        ],
        "training": page_tables.training_table(task) if task.training else None,
        "training_png": _base64(training_png),
        "training_pixels": _width(training_png) // 2 if training_png else 0,  # sharp when enlarged
        "choices": page_tables.choices_table(task) if task.training else None,
        "edges": _edges_sentence(task),
        "settings": page_tables.settings_table(task),
        "provenance": _provenance(task),
        "config": json.dumps(
            _brief(task.sweep.summary.get("config", {})), indent=1, sort_keys=True
        ),
    }


def _width(png: bytes) -> int:
    """Pixels, as they stand in the header of the file."""
    return int.from_bytes(png[16:20], "big")


def _base64(png: bytes | None) -> str | None:
    return base64.b64encode(png).decode("ascii") if png else None


def _edges_sentence(task: TaskSummary) -> str | None:
    """How many choices of a task lay at an edge of what was offered."""
    clauses = []
    for name in training.SETTINGS:
        choices = [share.choices[name] for share in task.training]
        n, lowest, highest = (
            sum(getattr(choice, key) for choice in choices)
            for key in ("n_runs", "n_lowest", "n_highest")
        )
        if n:
            edges = f"{lowest} lowest, {highest} highest"
            clauses.append(f"{name} in {lowest + highest} of {n} runs ({edges})")
    return f"Chosen at an edge of what was offered: {'; '.join(clauses)}." if clauses else None


def _answers(task: TaskSummary) -> list[dict[str, Any]]:
    """An answer a comparison: its kind, its title and its sentences."""
    answers = []
    not_learned = omissions.not_learned(task.sweep)
    for comparison in task.comparisons:
        word = comparison.verdict["word"]
        numbers = [comparison.verdict, comparison.fifth, comparison.reduction]
        sentences = [part["sentence"] for part in numbers if part]
        if comparison.axis == "windows":
            added = task.added_values.get(comparison.arm)
            sentences.append(reference_sentence(task, comparison.arm))
            sentences.append(added[-1]["sentence"] if added else None)
        shares = training.shares_of_axis(task.training, comparison.axis)
        arms = (comparison.arm, comparison.baseline)
        unfinished = training.unfinished_sentence(s for s in shares if s.arm in arms)
        specs = (task.sweep.summary.get("config") or {}).get("arms", {})
        encoder = specs.get(comparison.arm, {}).get("encoder")
        answers.append(
            {
                "unlearned": not_learned.get(encoder),
                "unfinished": unfinished and keep_together(unfinished),
                "kind": word if word in ("helps", "harms") else "open",
                "title": f"{task.title}, share of {comparison.axis}",
                "sentences": [keep_together(sentence) for sentence in sentences if sentence],
            }
        )
    return answers


def _published_view(task: TaskSummary) -> dict[str, Any]:
    config = task.sweep.summary["config"]["published"]
    saved = f"{format_percent(config['reduction'])} fewer windows, without an interval."
    return {
        "sentence": keep_together(f"{config['source']}: {saved}"),
        "table": page_tables.published_table(task),
    }


def _provenance(task: TaskSummary) -> dict[str, str]:
    """What ran, by name; what is not known is left out."""
    summary, sweep = task.sweep.summary, task.sweep
    provenance = summary.get("provenance", {})
    facts = {
        "folder": sweep.folder.name,
        "data set": summary.get("dataset"),
        "built from it": _built(summary.get("built")),
        "dropped or mended by its builder": _dropped(summary.get("built")),
        "what the encoders were trained on": _trained_on(summary.get("encoders", {})),
        "what the encoders have learned": _retrieval(summary.get("encoders", {})),
        "seed": summary.get("seed"),
        "runs": f"{len(sweep.runs['run'])}, {len(sweep.predictions['run'])} predictions",
        "weights to start from": _starts(task),
        **(provenance if isinstance(provenance, dict) else {"provenance": provenance}),
    }
    for name, value in facts.items():
        if isinstance(value, dict):
            facts[name] = ", ".join(f"{k} {v}" for k, v in sorted(value.items()))
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}


def _built(built: Any) -> str | None:
    """How much a data set holds."""
    if not isinstance(built, dict):
        return None
    return f"{built['kept']:,} examples, {built['hours']:.2f} h"


def _dropped(built: Any) -> str | None:
    """What the builder of a data set has left out or mended, with its number."""
    if not isinstance(built, dict):
        return None
    return "; ".join(f"{n:,} {why}" for why, n in built["dropped"].items()) or "nothing"


def _trained_on(encoders: Any) -> str | None:
    """How much the data sets of each encoder hold, or for an older one the windows it was given."""
    sentences = []
    for name, members in encoders.items() if isinstance(encoders, dict) else ():
        first: dict[str, Any] = next(iter(members), {})  # they all have the same
        sets = [
            f"{one['name']}, {one['subjects']} subjects, {one['hours']:.2f} h"
            for one in first.get("data") or ()
        ]
        if not sets and first.get("windows"):
            count, seconds = first["windows"], first["window_seconds"]
            sets = [f"{count:,} sensor-windows of {seconds:.2f} s, {count * seconds / 3600:.2f} h"]
        if sets:
            by_fold = " (the first fold's; anew in each)" if "fold" in first else ""
            sentences.append(f"{name}: {' and '.join(sets)}{by_fold}")
    return "; ".join(sentences) or None


def _retrieval(encoders: Any) -> str | None:
    """How often the partner of a window is found, against chance, for each pre-training."""
    sentences = []
    for name, members in encoders.items() if isinstance(encoders, dict) else ():
        found = [one["retrieval"] for one in members if one.get("retrieval")]
        if found:
            shares = ", ".join(format_percent(one["found"]) for one in found)
            sentences.append(
                f"{name} finds the gyroscope window of {shares} of the accelerometer windows that "
                f"it watches, among {found[0]['among']:,}, where chance finds "
                f"{format_percent(1 / found[0]['among'])}"
            )
    return "; ".join(sentences) or None


def _starts(task: TaskSummary) -> dict[str, str]:
    """How many different weights each arm starts from; one set for all runs is one pre-training."""
    runs = task.sweep.runs
    counts = {arm: len(set(runs["start"][runs["arm"] == arm].tolist())) for arm in task.arms}
    return {arm: "one pre-training" if n == 1 else str(n) for arm, n in counts.items()}
