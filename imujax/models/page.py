"""The page of a model for people: README.md in its folder, written from its card."""

from typing import Any

PAGE = """# {title}

{simulated}An imujax model. It estimates **{targets}**
of one window of {samples} samples at {rate:g} Hz from {sensors}.

```python
import imujax

model = imujax.load("this folder")
# Both [N, {samples}, {n_sensors}, 3], in m/s^2 with gravity and in rad/s.
estimates = model.predict(acc, gyr)
estimates.estimate, estimates.low, estimates.high  # {layout}
```

## What it is

- Made of: {model}.
- Trained on {examples:,} windows of {subjects} people, data set {data}.
- Axes: {frame}.

## How good it is

Of people who were held out, each estimated by models that had not seen them, mean over people:

| | r | RMSE | bias |
|---|---|---|---|
{scores}

{choice}

## How sure an estimate is

Asked for were intervals of {asked:.0f} %, and {people} people can promise {level:.0f} %: the
estimate and half an interval to either side hold so many of the windows of a new person, on average
over persons like these. Of those people, each by the intervals of the others, so many windows lay
within:

| | half an interval | mean over people | of the person with the fewest |
|---|---|---|---|
{coverage}

## Its limits

- In training there was {ranges}: beyond that it has learned nothing.
- Windows whose signals leave what was seen in training are marked `is_unlike`, and recordings of
  which a sensor lies turned against it are refused.
- Other sensors, other places, other ways to cut the windows and other people than those it was
  trained on have not been tried.
"""

SCORES = "| {name} | {metrics[r]:.3f} | {metrics[rmse]:.3g} {unit} | {metrics[bias]:.3g} {unit} |"
COVERAGE = (
    "| {name} | {half:.3g} {unit} | {coverage[mean]:.0%} ({coverage[low]:.0%} to "
    "{coverage[high]:.0%}) | {coverage[least]:.0%} |"
)
LINE = (
    "{name}: of people held out r {metrics[r]:.3f}, RMSE {metrics[rmse]:.3g} {unit}; "
    "+-{half:.3g} {unit}, within which {coverage[mean]:.0%} ({coverage[low]:.0%} to "
    "{coverage[high]:.0%}) of their windows lay, each by the intervals of the others, of one of "
    "them {coverage[least]:.0%}"
)


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
    listed = ", ".join(
        f"{name} {' and '.join(f'{error:.3g}' for error in errors)}"
        for name, errors in sorted(card["candidates"].items(), key=lambda pair: pair[1])
    )
    choice = f"RMSE of what there was to choose from: {listed}."
    if card["asked"] == "best":
        choice += " The best of them was taken, so that its own number is a little too good."
    simulated = "**Trained on simulated people alone.** " if trained["simulated"] else ""
    return PAGE.format(
        title=card["title"],
        simulated=simulated,
        targets=each_target(targets, "{name} [{unit}]", ", "),
        layout=f"in {targets[0]['unit']}" if len(targets) == 1 else f"[N, {len(targets)}]",
        samples=card["window"],
        rate=card["rate"],
        sensors=", ".join(card["sensors"]),
        n_sensors=len(card["sensors"]),
        model=card["model"],
        examples=trained["examples"],
        subjects=trained["subjects"],
        data=trained["data"]["name"],
        frame=card["frame"] or "as in its data set",
        choice=choice,
        scores=each_target(targets, SCORES, "\n"),
        asked=100 * interval["asked"],
        people=interval["people"],
        level=100 * interval["level"],
        coverage=each_target(targets, COVERAGE, "\n"),
        ranges=each_target(targets, "{name} from {range[0]:.3g} to {range[1]:.3g} {unit}", ", "),
    )


def each_target(targets: list[dict[str, Any]], text: str, between: str) -> str:
    """Fill in a text for each target of a card, with these words between them."""
    return between.join(text.format(**target) for target in targets)


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
    interval = card["interval"]
    promise = (
        f"an interval promises {interval['level']:.0%} of the windows of a new person "
        f"({interval['asked']:.0%} asked, {interval['people']} people)"
    )
    return f"{card['model']}; {each_target(card['targets'], LINE, '; ')}; {promise}"
