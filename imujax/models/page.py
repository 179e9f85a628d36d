"""The page of a model for people: README.md in its folder, written from its card."""

from typing import Any, NamedTuple


class Wording(NamedTuple):
    """How numbers or classes are told; what is in braces is filled in for each target of a card."""

    estimates: str
    fields: str  # of Estimates, in the example
    heads: str  # of the table of metrics, whose row is a target
    row: str
    scores: str  # the same in a line
    judged: str  # what candidates were chosen by
    sure: str  # the name of what is promised
    promise: str
    reach: str
    holds: str  # between reach and the level
    what: str  # of which so many are held
    coverage_heads: str
    coverage_row: str
    within: str  # the same in a line
    seen: str
    limits: str


NUMBERS = Wording(
    estimates="{name} [{unit}]",
    fields="estimates.estimate, estimates.low, estimates.high  # {layout}",
    heads="| | r | RMSE | bias |\n|---|---|---|---|",
    row="| {name} | {metrics[r]:.3f} | {metrics[rmse]:.3g} {unit} | {metrics[bias]:.3g} {unit} |",
    scores="r {metrics[r]:.3f}, RMSE {metrics[rmse]:.3g} {unit}",
    judged="RMSE",
    sure="interval",
    promise="""the
estimate and half an interval to either side hold so many of the windows of a new person, on average
over persons like these. Of those people, each by the intervals of the others, so many windows lay
within:""",
    reach="+-{half:.3g} {unit}",
    holds=" holds",
    what="windows",
    coverage_heads="""| | half an interval | mean over people | of the person with the fewest |
|---|---|---|---|""",
    coverage_row="| {name} | {half:.3g} {unit} | {coverage[mean]:.0%} ({coverage[low]:.0%} to "
    "{coverage[high]:.0%}) | {coverage[least]:.0%} |",
    within="+-{half:.3g} {unit}, within which {coverage[mean]:.0%} ({coverage[low]:.0%} to "
    "{coverage[high]:.0%}) of their windows lay, each by the intervals of the others, of one of "
    "them {coverage[least]:.0%}",
    seen="{name} from {range[0]:.3g} to {range[1]:.3g} {unit}",
    limits="In training there was {seen}: beyond that it has learned nothing.",
)
CLASSES = Wording(
    estimates="{name}: {listed}",
    fields="""estimates.estimate, estimates.probability  # words [N], and [N, {layout}]
estimates.sets  # of each window, the words that it may be""",
    heads="| | balanced accuracy | macro F1 | kappa | accuracy |\n|---|---|---|---|---|",
    row="| {name} | {metrics[balanced_accuracy]:.3f} | {metrics[macro_f1]:.3f} | "
    "{metrics[kappa]:.3f} | {metrics[accuracy]:.3f} |",
    scores="balanced accuracy {metrics[balanced_accuracy]:.3f}, macro F1 {metrics[macro_f1]:.3f}, "
    "kappa {metrics[kappa]:.3f}, accuracy {metrics[accuracy]:.3f}",
    judged="Balanced accuracy",
    sure="set",
    promise="""in so
many of the windows of a new person the true class is in the set, on average over persons like
these. A set has the most probable class, and every other of the probability below or more. Of those
people, each by the sets of the others, so many windows had the true class in theirs:""",
    reach="the most probable class and every other of {least:.2g} and more",
    holds=", with the true one in",
    what="windows",
    coverage_heads="| | probability | classes in a set | mean over people | of the person with the "
    "fewest |\n|---|---|---|---|---|",
    coverage_row="| {name} | {least:.2g} | {coverage[size]:.1f} of {count} | {coverage[mean]:.0%} "
    "({coverage[low]:.0%} to {coverage[high]:.0%}) | {coverage[least]:.0%} |",
    within="sets of {coverage[size]:.1f} of {count} classes, which held the true one in "
    "{coverage[mean]:.0%} ({coverage[low]:.0%} to {coverage[high]:.0%}) of their windows, each by "
    "the sets of the others, of one of them {coverage[least]:.0%}",
    seen="{counted}",
    limits="""In training there were windows of {seen}: whatever else somebody does
  is called one of these. A class that is hard to tell is missing in more sets than an easy one.""",
)
IN_SAMPLES = ("fields", "promise", "what", "within", "limits")
SAMPLES = CLASSES._replace(
    estimates="{name}: {listed}, every {seconds:.3g} s",
    **{
        name: getattr(CLASSES, name).replace("window", "sample").replace("[N", "[samples")
        for name in IN_SAMPLES
    },
)
CURVES = NUMBERS._replace(
    estimates="{name} [{unit}], a value every {seconds:.3g} s",
    fields="""estimates.estimate, estimates.low, estimates.high  # {layout}
estimates.lowest, estimates.highest  # of whole curves""",
    heads="| | r | RMSE | of the peak | of its time | of the integral |\n|---|---|---|---|---|---|",
    row="| {name} | {metrics[r]:.3f} | {metrics[rmse]:.3g} {unit} "
    "| {metrics[peak_rmse]:.3g} {unit} | {metrics[peak_time_rmse]:.3g} s "
    "| {metrics[impulse_rmse]:.3g} {unit} s |",
    sure="band",
    what="values",
    promise="""the
estimate and half a band to either side hold so many of the values of the windows of a new person at
each place of a window; and so many of the windows with their whole curve, where the band is wider.
Where curves are joined over a recording the band has one width. All on average over
persons like these. Of those people, each by the bands of the others, there lay within:""",
    reach="+-{narrow:.3g} to {wide:.3g} {unit}",
    coverage_heads="""| | half a band | of the person with the fewest | mean over people |
|---|---|---|---|""",
    coverage_row="| {name}, values | {narrow:.3g} to {wide:.3g} {unit} | "
    "{coverage[pointwise][least]:.0%} | {coverage[pointwise][mean]:.0%} "
    "({coverage[pointwise][low]:.0%} to {coverage[pointwise][high]:.0%}) |\n"
    "| {name}, whole curves | {whole_narrow:.3g} to {whole_wide:.3g} {unit} | "
    "{coverage[whole][least]:.0%} | {coverage[whole][mean]:.0%} ({coverage[whole][low]:.0%} to "
    "{coverage[whole][high]:.0%}) |\n"
    "| {name}, joined | {anywhere:.3g} {unit} | {coverage[anywhere][least]:.0%} | "
    "{coverage[anywhere][mean]:.0%} ({coverage[anywhere][low]:.0%} to "
    "{coverage[anywhere][high]:.0%}) |",
    within="+-{narrow:.3g} to {wide:.3g} {unit}, within which {coverage[pointwise][mean]:.0%} of "
    "their values lay, and +-{whole_narrow:.3g} to {whole_wide:.3g} {unit}, within which "
    "{coverage[whole][mean]:.0%} of their whole curves lay, each by the bands of the others",
)
PAGE = """# {title}

{simulated}An imujax model. It estimates **{targets}**
of one window of {samples} samples at {rate:g} Hz from {sensors}.

```python
import imujax

model = imujax.load("this folder")
# Both [N, {samples}, {n_sensors}, 3], in m/s^2 with gravity and in rad/s.
estimates = model.predict(acc, gyr)
{fields}
```

## What it is

- Made of: {model}.
- Trained on {examples:,} windows of {subjects} people, data set {data}.
- Axes: {frame}.

## How good it is

Of people who were held out, each estimated by models that had not seen them, mean over people:

{heads}
{rows}

{choice}

## How sure an estimate is

Asked for were {sure}s of {asked:.0f} %, and {people} people can promise {level:.0f} %: {promise}

{coverage_heads}
{coverage_rows}

## Its limits

- {limits}
- Windows whose signals leave what was seen in training are marked `is_unlike`, and recordings of
  which a sensor lies turned against it are refused.
- Other sensors, other places, other ways to cut the windows and other people than those it was
  trained on have not been tried.
"""


def wording(card: dict[str, Any]) -> Wording:
    """How the targets of a card are told."""
    first = card["targets"][0]
    if "classes" in first:
        return SAMPLES if "every" in first else CLASSES
    return CURVES if "every" in first else NUMBERS


def write_page(card: dict[str, Any]) -> str:
    """Write the page.

    Parameters
    ----------
    card : dict
        Of a Model.

    Returns
    -------
    str
        Markdown.
    """
    interval, targets, trained = card["interval"], card["targets"], card["trained_on"]
    words = wording(card)
    # The best first: by RMSE the least, by balanced accuracy the greatest.
    is_class = words in (CLASSES, SAMPLES)
    ranked = sorted(card["candidates"].items(), key=lambda pair: pair[1], reverse=is_class)
    listed = ", ".join(
        f"{name} {' and '.join(f'{value:.3g}' for value in values)}" for name, values in ranked
    )
    choice = f"{words.judged} of what there was to choose from: {listed}."
    if card["asked"] == "best":
        choice += " The best of them was taken, so that its own number is a little too good."
    simulated = "**Trained on simulated people alone.** " if trained["simulated"] else ""
    shape = ["N", "values", len(targets)] if words is CURVES else ["N", len(targets)]
    layout = f"in {targets[0]['unit']}"
    if len(targets) > 1:
        layout = f"[{', '.join(map(str, shape))}]"
    if is_class:
        layout = str(len(targets[0]["classes"]))
    return PAGE.format(
        title=card["title"],
        simulated=simulated,
        targets=each_target(targets, words.estimates, ", "),
        fields=words.fields.format(layout=layout),
        samples=card["window"],
        rate=card["rate"],
        sensors=", ".join(card["sensors"]),
        n_sensors=len(card["sensors"]),
        model=card["model"],
        examples=trained["examples"],
        subjects=trained["subjects"],
        data=trained["data"]["name"],
        frame=card["frame"] or "as in its data set",
        heads=words.heads,
        rows=each_target(targets, words.row, "\n"),
        choice=choice,
        sure=words.sure,
        asked=100 * interval["asked"],
        people=interval["people"],
        level=100 * interval["level"],
        promise=words.promise,
        coverage_heads=words.coverage_heads,
        coverage_rows=each_target(targets, words.coverage_row, "\n"),
        limits=words.limits.format(seen=each_target(targets, words.seen, ", ")),
    )


def each_target(targets: list[dict[str, Any]], text: str, between: str) -> str:
    """Fill in a text for each target of a card, with these words between them.

    Of a class also count, how many there are, listed, their words, and counted, with the windows;
    of a curve narrow and wide, the least and the greatest half of its band, and those of whole
    curves.
    """
    return between.join(
        text.format(**target, **_count_classes(target), **_range_of_band(target))
        for target in targets
    )


def _count_classes(target: dict[str, Any]) -> dict[str, Any]:
    classes = target.get("classes", ())
    counts = zip(classes, target.get("windows", ()), strict=False)
    counted = ", ".join(f"{word} ({count:,})" for word, count in counts)
    return {"count": len(classes), "listed": ", ".join(classes), "counted": counted}


def _range_of_band(target: dict[str, Any]) -> dict[str, float]:
    if not isinstance(target.get("half"), list):
        return {}
    half, whole = target["half"], target["whole"]
    return {
        "narrow": min(half),
        "wide": max(half),
        "whole_narrow": min(whole),
        "whole_wide": max(whole),
    }


def write_line(card: dict[str, Any]) -> str:
    """Write what matters of the page in one line.

    Parameters
    ----------
    card : dict
        Of a Model.

    Returns
    -------
    str
    """
    interval, words = card["interval"], wording(card)
    told = "{name}: of people held out " + f"{words.scores}; {words.within}"
    article = "an" if words.sure == "interval" else "a"
    promise = (
        f"{article} {words.sure} promises {interval['level']:.0%} of the "
        f"{words.what} of a new person ({interval['asked']:.0%} asked, {interval['people']} people)"
    )
    return f"{card['model']}; {each_target(card['targets'], told, '; ')}; {promise}"
