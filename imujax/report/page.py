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

from imujax.report import figures, page_tables
from imujax.report.sentences import format_percent
from imujax.report.statistics import LEVEL, RESAMPLES
from imujax.report.task_summary import TaskSummary, reference_sentence

MIN_PANEL_PIXELS = 330  # narrower, and a panel of the curves cannot be read: it scrolls


def render_page(
    tasks: Sequence[TaskSummary], curves_svg: bytes, agreement_pngs: Sequence[bytes | None]
) -> str:
    """The whole document.

    Parameters
    ----------
    tasks : sequence of TaskSummary
    curves_svg : bytes
        The picture of the curves of all tasks.
    agreement_pngs : sequence of (bytes or None)
        A picture for each task, or None where no arm is fine-tuned with all windows.

    Returns
    -------
    str
        HTML.
    """
    svg_attributes, svg_content = _clean_svg(curves_svg)
    n_panels = min(figures.PANELS_IN_ROW, max(len(tasks), len(tasks[0].axes)))
    template = _environment().get_template("page.html")
    return template.render(
        tasks=[_task_view(*pair) for pair in zip(tasks, agreement_pngs, strict=True)],
        svg_attributes=svg_attributes,
        svg_content=svg_content,
        svg_pixels=n_panels * MIN_PANEL_PIXELS,
        level=format_percent(LEVEL),
        resamples=f"{RESAMPLES:,}",
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


def _task_view(task: TaskSummary, agreement_png: bytes | None) -> dict[str, Any]:
    target = str(task.sweep.summary.get("target", ""))
    subtitle = (", ".join(task.sensors), f"{task.n_subjects} subjects", target, task.unit)
    is_split = any(len(rows) > 1 for rows in task.conditions.values())
    png = base64.b64encode(agreement_png).decode("ascii") if agreement_png else None
    return {
        "title": task.title,
        "simulated": task.simulated,
        "answers": _answers(task),
        "subtitle": " \u00b7 ".join(part for part in subtitle if part),
        "faults": task.faults,
        "curves": [(axis, page_tables.curves_table(task, axis)) for axis in task.axes],
        "published": _published_view(task) if task.published else None,
        "differences": [
            (f"{c.arm} minus {c.baseline}, by share of {c.axis}", page_tables.differences_table(c))
            for c in task.comparisons
        ],
        "agreement": page_tables.agreement_table(task),
        "agreement_png": png,
        "conditions": page_tables.conditions_table(task) if is_split else None,
        "settings": page_tables.settings_table(task) if task.settings else None,
        "provenance": _provenance(task),
        "config": json.dumps(task.sweep.summary.get("config", {}), indent=1, sort_keys=True),
    }


def _answers(task: TaskSummary) -> list[dict[str, Any]]:
    """An answer a comparison: its kind, its title and its sentences."""
    answers = []
    for comparison in task.comparisons:
        word = comparison.verdict["word"]
        sentences = [comparison.verdict["sentence"]]
        if comparison.reduction:
            sentences.append(comparison.reduction["sentence"])
        if comparison.axis == "windows" and (sentence := reference_sentence(task, comparison.arm)):
            sentences.append(sentence)
        answers.append(
            {
                "kind": word if word in ("helps", "harms") else "open",
                "title": f"{task.title}, share of {comparison.axis}",
                "sentences": [keep_together(sentence) for sentence in sentences],
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
        "seed": summary.get("seed"),
        "runs": f"{len(sweep.runs['run'])}, {len(sweep.predictions['run'])} predictions",
        **(provenance if isinstance(provenance, dict) else {"provenance": provenance}),
    }
    for name, value in facts.items():
        if isinstance(value, dict):
            facts[name] = ", ".join(f"{k} {v}" for k, v in sorted(value.items()))
    return {name: str(value) for name, value in facts.items() if value not in (None, "")}
