"""The report as one HTML file: pictures inside, no script, no address outside, names escaped."""

import base64
import html
import json
import math
import re
from collections.abc import Sequence

from imujax.report import figures, published
from imujax.report.sentences import percent
from imujax.report.statistics import LEVEL, RESAMPLES
from imujax.report.task_summary import Comparison, TaskSummary, reference_sentence

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
  sans-serif; color: #222; background: #fff; margin: 0; }
main { max-width: 1160px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 8px; letter-spacing: -0.01em; }
h2 { font-size: 21px; margin: 56px 0 4px; padding-top: 16px; border-top: 2px solid #222; }
h3 { font-size: 16px; margin: 32px 0 6px; }
p { margin: 6px 0; max-width: 75ch; }
.about, figcaption, .note { color: #5c5c5c; font-size: 14px; }
.answers { list-style: none; margin: 24px 0 32px; padding: 0; display: grid; gap: 24px 32px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
.answers li { border-left: 4px solid #999; padding: 0 0 0 16px; font-size: 15px; }
.answers .helps { border-color: #0072b2; }
.answers .harms { border-color: #d55e00; }
.answers strong { display: block; }
figure { margin: 24px 0; }
.wide { overflow-x: auto; }
.wide svg { display: block; width: 100%; height: auto; }
figure img { display: block; width: 820px; max-width: 100%; height: auto; }
figcaption { margin-top: 8px; max-width: 90ch; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; text-align: left; vertical-align: top; white-space: nowrap; }
th + th, td + td { padding-left: 12px; }
thead th { border-bottom: 1px solid #222; font-weight: 600; vertical-align: bottom; }
tbody tr { border-bottom: 1px solid #e3e3e3; }
td.n, th.n { text-align: right; }
small { display: block; font-weight: 400; color: #5c5c5c; font-size: 12px; }
.stamp { display: inline-block; border: 1px solid #222; padding: 0 8px; font-size: 12px;
  font-weight: 700; letter-spacing: 0.04em; vertical-align: middle; }
details { margin: 16px 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 24px; font-size: 14px; }
dt { color: #5c5c5c; } dd { margin: 0; overflow-wrap: anywhere; }
pre { font-size: 12px; overflow-x: auto; background: #f6f6f6; padding: 12px; }
@media print { h2 { break-before: page; } .wide { overflow: visible; } }
"""
METRIC_NAMES = {
    "r": "r",
    "rmse": "RMSE",
    "rrmse": "rRMSE",
    "r2": "R\u00b2",
    "mae": "MAE",
    "bias": "bias",
    "loa": "limits of agreement",
    "slope": "slope",
    "intercept": "intercept",
    "icc": "ICC(A,1)",
}
IN_UNIT = ("rmse", "mae", "bias", "loa", "intercept")
STAGES = figures.STAGES | {"reference": "reference"}


def page(tasks: Sequence[TaskSummary], curves_svg: bytes, agreement: Sequence[bytes | None]) -> str:
    """The whole document; agreement: a PNG for each task, or None where no arm is fine-tuned."""
    body = [
        "<h1>Does pre-training reduce the labelled data needed?</h1>",
        f'<p class="about">{len(tasks)} task{"s" * (len(tasks) != 1)}. Every number is the plain '
        "mean over test subjects, none of whom was in training.</p>",
        '<ul class="answers">',
        *(_answer(task) for task in tasks),
        "</ul>",
        _curves_figure(tasks, curves_svg),
        *(_task(task, picture) for task, picture in zip(tasks, agreement, strict=True)),
        _methods(),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>imujax report</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def table(head: Sequence[object], rows: Sequence[Sequence[object]], words: int = 1) -> str:
    """An HTML table; the first `words` columns are words, the others numbers, set right.

    A cell is text, or (text, small text below it). Everything is escaped.
    """

    def cell(tag: str, i: int, value: object) -> str:
        text, small = value if isinstance(value, tuple) else (value, "")
        below = f"<small>{html.escape(str(small))}</small>" if small else ""
        kind = ' class="n"' if i >= words else ""
        return f"<{tag}{kind}>{html.escape(str(text))}{below}</{tag}>"

    def line(tag: str, values: Sequence[object]) -> str:
        return "<tr>" + "".join(cell(tag, i, v) for i, v in enumerate(values)) + "</tr>"

    body = "\n".join(line("td", row) for row in rows)
    return (
        f'<div class="wide"><table>\n<thead>{line("th", head)}</thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def prose(sentence: str) -> str:
    """A sentence escaped, with numbers kept on one line with what belongs to them."""
    for space in (" %", "p < ", "p = ", "r = "):
        sentence = sentence.replace(space, space.replace(" ", "\u00a0"))
    return html.escape(sentence)


def format_number(value: float | None, digits: int = 3) -> str:
    """Fixed decimals with a true minus sign; a dash where there is no number."""
    if value is None or math.isnan(value):
        return "\u2013"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "\u2212")


def format_p(value: float) -> str:
    if math.isnan(value):
        return "\u2013"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _answer(task: TaskSummary) -> str:
    items = []
    for comparison in task.comparisons:
        word = comparison.verdict["word"]
        kind = word if word in ("helps", "harms") else "open"
        lines = [comparison.verdict["sentence"]]
        if comparison.reduction:
            lines.append(comparison.reduction["sentence"])
        if comparison.axis == "windows" and (sentence := reference_sentence(task, comparison.arm)):
            lines.append(sentence)
        text = "".join(f"<p>{prose(line)}</p>" for line in lines)
        title = html.escape(f"{task.title}, share of {comparison.axis}")
        items.append(f'<li class="{kind}"><strong>{title}{_stamp(task)}</strong>{text}</li>')
    if not items:
        title = html.escape(task.title)
        items.append(
            f"<li><strong>{title}{_stamp(task)}</strong><p>There is no fine-tuned arm of "
            "random weights to compare with.</p></li>"
        )
    return "\n".join(items)


def _stamp(task: TaskSummary) -> str:
    return ' <span class="stamp">SIMULATED DATA</span>' if task.simulated else ""


def _curves_figure(tasks: Sequence[TaskSummary], svg: bytes) -> str:
    text = svg.decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)  # HTML needs none of the addresses
    titles = html.escape(", ".join(task.title for task in tasks))
    text = text.replace("<svg", f'<svg role="img" aria-label="Curves of {titles}"', 1)
    # Below its readable width the picture scrolls rather than shrinks.
    least = 330 * min(3, max(len(tasks), len(tasks[0].axes)))
    text = text.replace("<svg", f'<svg style="min-width:{least}px;max-width:{2 * least}px"', 1)
    return (
        f'<figure><div class="wide">{text}</div><figcaption>Above: mean over subjects of Pearson '
        "r within the subject, against the share of labelled training data; bands are "
        f"{percent(LEVEL)} bootstrap intervals over subjects of the fine-tuned arms. The arrow "
        "runs at the level random weights end at, to where the other arm first reaches it. "
        "Below: difference in r to random weights, paired over subjects, with its interval. The "
        "overlap of two bands is no test of their difference.</figcaption></figure>"
    )


def _task(task: TaskSummary, picture: bytes | None) -> str:
    about = [
        ", ".join(task.sensors),
        f"{task.subjects} subjects",
        str(task.sweep.summary.get("target", "")),
        task.unit,
    ]
    line = " \u00b7 ".join(part for part in about if part)
    parts = [
        f"<h2>{html.escape(task.title)}{_stamp(task)}</h2>",
        f'<p class="about">{html.escape(line)}</p>',
    ]
    parts += [f'<p class="note">{html.escape(sentence)}</p>' for sentence in task.faults]
    for axis in task.axes:
        parts += [f"<h3>Mean r by share of {html.escape(axis)}</h3>", _curves_table(task, axis)]
    if task.published:
        parts += _published(task)
    for comparison in task.comparisons:
        parts += _differences(comparison)
    parts += ["<h3>Agreement with all windows</h3>", _agreement_table(task)]
    if picture:
        data = base64.b64encode(picture).decode("ascii")
        parts.append(
            f'<figure><img alt="Estimate against truth, and Bland-Altman, of '
            f'{html.escape(task.title)}" src="data:image/png;base64,{data}"><figcaption>Left: '
            "estimate against truth; right: Bland-Altman. One colour a test subject; the limits "
            "here are those of all differences together.</figcaption></figure>"
        )
    if any(len(rows) > 1 for rows in task.conditions.values()):
        parts += [
            "<h3>Within each condition, with all windows, fine-tuned</h3>",
            _conditions_table(task),
        ]
    if task.settings:
        rows = [
            (
                row["arm"],
                STAGES.get(row["stage"], row["stage"]),
                row["axis"],
                percent(row["fraction"]),
                row["chosen \u00d7 runs"],
            )
            for row in task.settings
        ]
        head = ("arm", "stage", "share of", "", "chosen \u00d7 runs")
        parts.append(
            "<details><summary>Settings chosen on inner subjects</summary>"
            f"{table(head, rows, words=5)}</details>"
        )
    parts.append(_what_ran(task))
    return "\n".join(parts)


def _curves_table(task: TaskSummary, axis: str) -> str:
    keys = dict.fromkeys((row["arm"], row["stage"]) for row in task.curves if row["axis"] == axis)
    order = {"finetune": 0, "probe": 1}
    keys = sorted(keys, key=lambda key: order.get(key[1], 2))
    fractions = sorted({row["fraction"] for row in task.curves if row["axis"] == axis})
    rows = []
    for arm, stage in keys:
        cells = {
            row["fraction"]: (
                format_number(row["mean"]),
                f"{format_number(row['low'])} to {format_number(row['high'])}",
            )
            for row in task.curve(arm, stage, axis)
        }
        rows.append((arm, STAGES.get(stage, stage), *(cells.get(f, "\u2013") for f in fractions)))
    return table(("arm", "stage", *map(percent, fractions)), rows, words=2)


def _published(task: TaskSummary) -> list[str]:
    """The published curve beside ours, arm by arm, and what either says of the gain."""
    said = task.sweep.summary["config"]["published"]
    arms = list(said["arms"])
    rows = []
    for arm in arms:
        of_arm = [row for row in task.published if row["arm"] == arm]
        here = [
            (
                format_number(row["here"]),
                f"{format_number(row['low'])} to {format_number(row['high'])}",
            )
            if row["here"] is not None
            else "\u2013"
            for row in of_arm
        ]
        rows += [
            (arm, "published", *(format_number(row["published"]) for row in of_arm)),
            (arm, "here", *here),
            (arm, "here minus published", *(format_number(row["difference"]) for row in of_arm)),
        ]
    for arm, baseline in task.baselines.items():
        if arm in arms and baseline in arms:
            for which in ("published", "here"):
                gain = published.published_gain(task.published, arm, baseline, which)
                rows.append((f"{arm} minus {baseline}", which, *map(format_number, gain)))
    head = ("arm", "", *map(percent, said["fractions"]))
    sentence = f"{said['source']}: {percent(said['reduction'])} fewer windows, without an interval."
    return [
        "<h3>Beside the published curve</h3>",
        f'<p class="note">{prose(sentence)}</p>',
        table(head, rows, words=2),
    ]


def _differences(comparison: Comparison) -> list[str]:
    rows = [
        (
            STAGES[row["stage"]],
            percent(row["fraction"]),
            format_number(row["difference"]),
            f"{format_number(row['low'])} to {format_number(row['high'])}",
            format_number(row["t"], 2),
            format_p(row["p_t"]),
            format_p(row["p_t_holm"]),
            format_p(row["p_wilcoxon"]),
            format_p(row["p_wilcoxon_holm"]),
            row["n_subjects"],
        )
        for row in comparison.differences
    ]
    head = ("stage", "share", "difference in r", f"{percent(LEVEL)} interval", "t", "p (t)")
    head += ("Holm", "p (Wilcoxon)", "Holm", "subjects")
    title = f"{comparison.arm} minus {comparison.baseline}, by share of {comparison.axis}"
    return [f"<h3>{html.escape(title)}</h3>", table(head, rows)]


def _agreement_table(task: TaskSummary) -> str:
    keys = dict.fromkeys((row["arm"], row["stage"]) for row in task.curves)
    head = ["arm", "stage"]
    head += [(name, task.unit if m in IN_UNIT else "") for m, name in METRIC_NAMES.items()]
    rows = []
    for arm, stage in sorted(keys, key=lambda key: {"finetune": 0, "probe": 1}.get(key[1], 2)):
        full = {
            row["metric"]: format_number(row["mean"], _digits(task, row["metric"]))
            for row in task.curves
            if (row["arm"], row["stage"], row["axis"], row["fraction"])
            == (arm, stage, "windows", 1)
        }
        if full:
            full["loa"] = f"{full['loa_low']} to {full['loa_high']}"
            rows.append((arm, STAGES.get(stage, stage), *(full[m] for m in METRIC_NAMES)))
    return table(head, rows, words=2)


def _digits(task: TaskSummary, metric: str) -> int:
    """Decimals so that the smallest RMSE shows three figures; ratios have three decimals."""
    errors = [row["mean"] for row in task.curves if row["metric"] == "rmse" and row["mean"] > 0]
    if metric.split("_")[0] not in IN_UNIT or not errors:
        return 3
    return min(6, max(0, 2 - math.floor(math.log10(min(errors)))))


def _conditions_table(task: TaskSummary) -> str:
    rows_of = task.conditions
    names = sorted({row["condition"] for rows in rows_of.values() for row in rows})
    by = {arm: {row["condition"]: row for row in rows} for arm, rows in rows_of.items()}
    head = ["condition", "subjects", "examples"]
    for arm in by:
        head += [f"r, {arm}", (f"RMSE, {arm}", task.unit)]
    rows = []
    for name in names:
        any_row = next(of_arm[name] for of_arm in by.values() if name in of_arm)
        cells = []
        for of_arm in by.values():
            row = of_arm.get(name)
            if row is None:
                cells += ["\u2013", "\u2013"]
                continue
            limits = f"{format_number(row['low'])} to {format_number(row['high'])}"
            cells += [
                (format_number(row["r"]), limits),
                format_number(row["rmse"], _digits(task, "rmse")),
            ]
        rows.append((name or "(none)", any_row["n_subjects"], any_row["n"], *cells))
    return table(head, rows)


def _what_ran(task: TaskSummary) -> str:
    summary = task.sweep.summary
    provenance = summary.get("provenance", {})
    facts = {
        "folder": task.sweep.folder.name,
        "data set": summary.get("dataset"),
        "seed": summary.get("seed"),
        "runs": f"{len(task.sweep.runs['run'])}, {len(task.sweep.predictions['run'])} predictions",
        **(provenance if isinstance(provenance, dict) else {"provenance": provenance}),
    }
    facts = {
        name: ", ".join(f"{k} {v}" for k, v in sorted(value.items()))
        if isinstance(value, dict)
        else value
        for name, value in facts.items()
    }
    items = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(value))}</dd>"
        for name, value in facts.items()
        if value not in (None, "")
    )
    config = html.escape(json.dumps(summary.get("config", {}), indent=1, sort_keys=True))
    return (
        f"<h3>What ran</h3><dl>{items}</dl>"
        f"<details><summary>Configuration</summary><pre>{config}</pre></details>"
    )


def _methods() -> str:
    return (
        "<h2>How the numbers are made</h2>"
        "<p>A metric is taken within each test subject, averaged over the draws of the training "
        "subset, then averaged over subjects. Folds are by subject; subsets are nested over the "
        "shares and the same for all arms and stages; settings are chosen on inner subjects of "
        "the training subset.</p>"
        f"<p>Intervals are {percent(LEVEL)} percentile bootstraps over subjects, {RESAMPLES:,} "
        "resamples, the same for all arms. Paired tests are two-sided; their p values are "
        "corrected by Holm over all rows of a task (all arms, both stages, all shares). The "
        "sentence at the top rests on one comparison a task and axis, the mean over all shares: "
        "it speaks of help or harm only when the interval leaves out 0 and the paired t-test is "
        "below .05.</p>"
        "<p>The data reduction is read where the curve, linear in the logarithm of the share, "
        f"first reaches the mean r that random weights have with all data. A resample that never "
        "reaches it counts as worse than any number. Where the estimate of a subject is constant "
        "or diverged, r counts as 0; subjects with fewer than 3 examples or a constant truth are "
        "left out. ICC(A,1) is that of McGraw and Wong (1996), absolute agreement.</p>"
    )
