"""How near simulated windows are to real ones, placement by placement.

    python launch/compare_simulated.py --out work/near --people 40 \\
        --set "name=feet real=data/ipol_gait/windows_100hz_w128_s64/1.0.0 sensors=lf,rf \\
            segments=foot_r,foot_l activity=walking condition=straight" \\
        --set "name=waist real=data/sisfall/100hz_w128_s64/1.0.0 segments=pelvis activity=D01,D02"

A set is a built data set of real windows, as `imujax build` writes it, beside windows of simulated
people who walk (gait=running: run) with units on the segments, at the same rate and length. Its
entries, quoted as in a shell, are name, real (the folder), segments, and, if not all are wanted,
sensors, activity and condition of the real windows, separated by commas; length (samples) cuts both
to their beginnings; ways=bends,stairs,impaired: of simulated people all who can walk in those ways
do (imujax/simulate/stream.py); spin=.5: only windows, real and simulated, in which the unit turns
about the mean of its acceleration by that many rad/s or more. Windows in which the sensor does not
move are left out.

Units are mounted with their own axes, so most of what is compared does not change when a unit is
turned: principal SDs (roots of the eigenvalues of a window's covariance), SD and spectrum of the
norm. SDs are roots of mean squares over windows. AUC: boosted trees tell real from simulated
windows by such features, with whole people held out; .5 is by chance, 1 is always. Beside it is
the mean AUC of the features alone, each counted from .5 up, which tells more where all together
leave no doubt. Written to the folder are compare.md, compare.csv (AUC and medians of each feature)
and compare.png (spectra; lines are medians over people, areas their quartiles).
"""

import argparse
import csv
import functools
import itertools
import pathlib
import shlex
from typing import NamedTuple

import jax
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

import imujax
from imujax.errors import UserError
from imujax.simulate import body, stream

BANDS = (0, 2, 5, 10, 20, 50)  # Hz
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOTION = 0.3  # m/s^2, the mean SD of the acceleration's axes from which on a window moves
MAX_WINDOWS = 60  # of one person, so that nobody outweighs the others
FOLDS = 5
AT_ONCE = 16  # people simulated by one call, half of them walk and half run
OPTIONAL = ("sensors", "activity", "condition", "gait", "length", "ways", "spin")
ENTRIES = ("name", "real", "segments", *OPTIONAL)
WAYS = ("bends", "stairs", "impaired")
GAITS = ("walking", "running")  # in the order of the people of a stream
COLORS = {"real": "#333333", "simulated": "#c0392b"}


class Windows(NamedTuple):
    """Windows of one unit each.

    Attributes
    ----------
    acc, gyr : ndarray, [N, T, 3]
        m/s^2, rad/s.
    person : ndarray, [N], str
    """

    acc: np.ndarray
    gyr: np.ndarray
    person: np.ndarray


def parse_set(text: str) -> dict[str, str]:
    """The entries of one --set, the optional ones "" where they are not given."""
    given = dict(word.partition("=")[::2] for word in shlex.split(text))
    unknown = sorted(given.keys() - set(ENTRIES))
    if unknown:
        raise UserError(f"a set has no {unknown[0]!r}: it has {', '.join(ENTRIES)}")
    missing = [name for name in ENTRIES[:3] if not given.get(name)]
    if missing:
        raise UserError(f"a set needs {missing[0]}=...: give {', '.join(ENTRIES[:3])}")
    entries = dict.fromkeys(ENTRIES, "") | {"gait": "walking"} | given
    if entries["gait"] not in GAITS:
        raise UserError(f"no gait {entries['gait']!r}: there are {', '.join(GAITS)}")
    unknown = [name for name in entries["segments"].split(",") if name not in body.INDEX]
    if unknown:
        raise UserError(f"no segment {unknown[0]!r}: there are {', '.join(body.SEGMENTS)}")
    unknown = [name for name in filter(None, entries["ways"].split(",")) if name not in WAYS]
    if unknown:
        raise UserError(f"no way {unknown[0]!r}: there are {', '.join(WAYS)}")
    for name, number in (("length", int), ("spin", float)):
        try:
            number(entries[name] or 0)
        except ValueError:
            raise UserError(f"{name}={entries[name]} is no number") from None
    return entries


def read_real(entries: dict[str, str], rng: np.random.Generator) -> tuple[Windows, float]:
    """The moving windows of a set's real recordings, and their rate [Hz]."""
    data = imujax.read(entries["real"])
    keep = np.ones(len(data.acc), bool)
    for name in ("activity", "condition"):
        if entries[name]:
            keep &= np.isin(getattr(data, name), entries[name].split(","))
    length = int(entries["length"] or data.acc.shape[1])
    keep &= data.length >= length
    names = list(data.info["sensors"])
    wanted = entries["sensors"].split(",") if entries["sensors"] else names
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise UserError(f"{entries['real']} has no sensor {unknown[0]!r}: {', '.join(names)}")
    parts = [
        Windows(*(getattr(data, s)[keep, :length, names.index(n)] for s in ("acc", "gyr")), who)
        for n in wanted
        for who in [data.subject[keep].astype(str)]
    ]
    windows = Windows(*(np.concatenate(x) for x in zip(*parts, strict=True)))
    windows = choose_moving(windows, rng, float(entries["spin"] or 0))
    if not len(windows.acc):
        raise UserError(f"no windows of {entries['name']} are left of {entries['real']}")
    return windows, float(data.info["rate"])


def mean_spin(windows: Windows) -> np.ndarray:
    """Mean rate of each window about the mean of its acceleration, either way [N] rad/s."""
    up = windows.acc.mean(1)
    return np.abs((windows.gyr.mean(1) * up).sum(1)) / np.linalg.norm(up, axis=1)


def choose_moving(windows: Windows, rng: np.random.Generator, spin: float = 0.0) -> Windows:
    """At most MAX_WINDOWS of each person, at random of those that move, and turn by `spin`."""
    moves = windows.acc.std(1).mean(1) >= MOTION
    order = rng.permutation(np.flatnonzero(moves & (mean_spin(windows) >= spin)))
    chosen = [order[windows.person[order] == p][:MAX_WINDOWS] for p in np.unique(windows.person)]
    chosen = np.concatenate([np.zeros(0, int), *chosen])
    return Windows(*(x[chosen] for x in windows))


def simulate_people(
    seed: int, people: int, segments: tuple[str, ...], rate: float, length: int, ways: str
) -> dict[str, np.ndarray]:
    """{gait: acc and gyr [2, P, W, S, T, 3]} of at least `people` people of each gait."""
    changes = {"gait": 1.0, "sensors": list(segments), "windows": 4}
    options = stream.settings(changes | dict.fromkeys(filter(None, ways.split(",")), 1.0))

    @jax.jit
    def simulate(key):
        return stream.simulate_windows(key, options, AT_ONCE, rate, length)

    rounds = -(-2 * people // AT_ONCE)
    keys = jax.random.split(jax.random.key(seed), rounds)
    signals = np.concatenate([np.stack([np.asarray(x) for x in simulate(k)]) for k in keys], 1)
    return {gait: signals[:, i::2] for i, gait in enumerate(GAITS)}


def of_segments(signals: np.ndarray, every: tuple[str, ...], wanted: list[str]) -> Windows:
    """The windows of some segments of signals [2, P, W, S, T, 3] with the segments `every`."""
    acc, gyr = signals[:, :, :, [every.index(name) for name in wanted]]
    person = np.arange(len(acc))[:, None, None] + np.zeros(acc.shape[1:3], int)
    person = np.char.add("simulated ", person.reshape(-1).astype(str))
    return Windows(*(x.reshape(-1, *x.shape[3:]) for x in (acc, gyr)), person)


def principal_sds(signal: np.ndarray) -> np.ndarray:
    """Roots of the eigenvalues of each window's covariance [N, 3], the largest first."""
    centred = signal - signal.mean(1, keepdims=True)
    covariance = np.einsum("nti,ntj->nij", centred, centred) / signal.shape[1]
    return np.sqrt(np.maximum(np.linalg.eigvalsh(covariance)[:, ::-1], 0))


def norm_power(signal: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies [F] and power densities [N, F] of the norm's deviation from its mean."""
    norm = np.linalg.norm(signal, axis=2)
    taper = np.hanning(norm.shape[1] + 2)[1:-1]
    power = np.abs(np.fft.rfft((norm - norm.mean(1, keepdims=True)) * taper)) ** 2
    return np.fft.rfftfreq(norm.shape[1], 1 / rate), 2 * power / (rate * (taper**2).sum())


def band_shares(signal: np.ndarray, rate: float) -> np.ndarray:
    """Share of the norm's power in each of BANDS [N, 5]."""
    frequency, power = norm_power(signal, rate)
    bands = np.stack(
        [
            power[:, (frequency >= a) & (frequency < b)].sum(1)
            for a, b in zip(BANDS, (*BANDS[1:-1], np.inf), strict=False)
        ],
        1,
    )
    return bands / bands.sum(1, keepdims=True)


def features(windows: Windows, rate: float) -> dict[str, np.ndarray]:
    """What of each window does not change when the unit is turned, each [N]."""
    columns = {}
    norms = {}
    for name in ("acc", "gyr"):
        signal = getattr(windows, name)
        norm = norms[name] = np.linalg.norm(signal, axis=2)
        columns |= {f"{name} SD {i + 1}": x for i, x in enumerate(principal_sds(signal).T)}
        columns |= {f"{name} mean": norm.mean(1), f"{name} SD of the norm": norm.std(1)}
        quantiles = np.quantile(norm, QUANTILES, axis=1)
        columns |= {f"{name} quantile {q:g}": x for q, x in zip(QUANTILES, quantiles, strict=True)}
        columns[f"{name} largest"] = norm.max(1)
        columns[f"{name} change"] = np.sqrt((np.diff(signal, axis=1) ** 2).sum(2).mean(1)) * rate
        shares = band_shares(signal, rate).T
        names = [f"{name} {a}-{b} Hz" for a, b in itertools.pairwise(BANDS)]
        columns |= dict(zip(names, shares, strict=True))
    a, g = (x - x.mean(1, keepdims=True) for x in norms.values())
    both = np.sqrt((a * a).sum(1) * (g * g).sum(1))
    columns["correlation of the norms"] = (a * g).sum(1) / np.maximum(both, 1e-9)
    return columns


def tell_apart(
    real: Windows, simulated: Windows, rate: float, seed: int
) -> tuple[float, dict[str, tuple[float, float, float]]]:
    """AUC of trees that are shown other people, {feature: its AUC alone, both medians}."""
    columns = [features(x, rate) for x in (real, simulated)]
    names = list(columns[0])
    x = np.concatenate([np.stack([c[name] for name in names], 1) for c in columns])
    y = np.repeat([0, 1], [len(real.acc), len(simulated.acc)])
    person = np.concatenate([real.person, simulated.person])
    folds = StratifiedGroupKFold(
        min(FOLDS, len(set(real.person))), shuffle=True, random_state=seed
    ).split(x, y, person)
    score = np.zeros(len(y))
    for train, test in folds:
        model = HistGradientBoostingClassifier(max_iter=100, random_state=seed)
        with threadpool_limits(1):  # several threads wait for each other longer than they work
            score[test] = model.fit(x[train], y[train]).predict_proba(x[test])[:, 1]
    alone = {}
    for name, values in zip(names, x.T, strict=True):
        auc = roc_auc_score(y, values)
        alone[name] = max(auc, 1 - auc), *(float(np.median(values[y == i])) for i in (0, 1))
    return float(roc_auc_score(y, score)), alone


def describe(windows: Windows, rate: float) -> dict[str, np.ndarray]:
    """The numbers of one row of the table."""
    row = {}
    for name in ("gyr", "acc"):
        signal = getattr(windows, name)
        row[f"{name} axes"] = np.sqrt(signal.var(1).mean(0))
        row[f"{name} principal"] = np.sqrt((principal_sds(signal) ** 2).mean(0))
        row[f"{name} norm"] = np.sqrt(np.linalg.norm(signal, axis=2).var(1).mean(keepdims=True))
        row[f"{name} bands"] = 100 * band_shares(signal, rate).mean(0)
    return row


def markdown(results: list[dict]) -> str:
    """The table: two rows for each set."""
    bands = ", ".join(f"{a}-{b}" for a, b in itertools.pairwise(BANDS))
    head = ["set", "windows (people)", "gyroscope: axes", "principal", "norm"]
    head += ["accelerometer: axes", "principal", "norm"]
    head += [f"gyroscope in {bands} Hz [%]", "accelerometer [%]", "AUC, of one feature"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for result in results:
        for who in ("real", "simulated"):
            windows, row = result[who], describe(result[who], result["rate"])
            cells = [f"{result['name']}, {who}"]
            cells.append(f"{len(windows.acc):,} ({len(set(windows.person))})")
            for name, digits in (("gyr", 2), ("acc", 1)):
                for key in ("axes", "principal", "norm"):
                    values = row[f"{name} {key}"]
                    cells.append(", ".join(f"{v:.{digits}f}".lstrip("0") for v in values))
            cells += [", ".join(f"{v:.0f}" for v in row[f"{n} bands"]) for n in ("gyr", "acc")]
            mean = np.mean([auc for auc, _, _ in result["alone"].values()])
            text = ", ".join(f"{x:.3f}".lstrip("0") for x in (result["auc"], mean))
            cells.append(text if who == "simulated" else "")
            lines.append(f"| {' | '.join(cells)} |")
    lines.append("\nSD in rad/s and m/s^2. Simulated is simulated; what is real is in aggregate.")
    return "\n".join(lines) + "\n"


def draw_spectra(results: list[dict], path: pathlib.Path) -> None:
    """Power density of the norms, a row of panels for each set."""
    figure, panels = plt.subplots(
        len(results), 2, figsize=(9, 2.3 * len(results) + 0.6), squeeze=False, layout="constrained"
    )
    units = {"gyr": ("gyroscope", "(rad/s)²/Hz"), "acc": ("accelerometer", "(m/s²)²/Hz")}
    for row, result in zip(panels, results, strict=True):
        for panel, (name, (title, unit)) in zip(row, units.items(), strict=True):
            tops = []
            for who, color in COLORS.items():
                windows = result[who]
                frequency, power = norm_power(getattr(windows, name), result["rate"])
                each = [power[windows.person == p].mean(0) for p in np.unique(windows.person)]
                low, middle, high = np.quantile(each, (0.25, 0.5, 0.75), axis=0)[:, 1:]
                panel.fill_between(frequency[1:], low, high, color=color, alpha=0.2, lw=0)
                panel.plot(frequency[1:], middle, color=color, lw=1.5, label=who)
                tops.append((middle.max(), middle.min()))
            panel.set_yscale("log")
            panel.set_ylim(min(t[1] for t in tops) / 3, max(t[0] for t in tops) * 3)
            panel.set_xlim(0, result["rate"] / 2)
            panel.set_ylabel(unit)
            panel.set_title(f"{result['name']}: {title}", fontsize=10, loc="left")
            panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[-1]:
        panel.set_xlabel("frequency of the norm [Hz]")
    panels[0, 1].legend(frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def compare(sets: list[dict[str, str]], people: int, seed: int) -> list[dict]:
    """Real and simulated windows of every set, and how well they are told apart."""
    rng = np.random.default_rng(seed)
    read = [read_real(entries, rng) for entries in sets]
    every = tuple(sorted({s for entries in sets for s in entries["segments"].split(",")}))
    longest = max(windows.acc.shape[1] for windows, _ in read)
    simulate = functools.cache(
        lambda rate, ways: simulate_people(seed, people, every, rate, longest, ways)
    )
    results = []
    for entries, (real, rate) in zip(sets, read, strict=True):
        signals = simulate(rate, entries["ways"])[entries["gait"]][..., : real.acc.shape[1], :]
        made = of_segments(signals, every, entries["segments"].split(","))
        made = choose_moving(made, rng, float(entries["spin"] or 0))
        if not len(made.acc):
            raise UserError(f"no simulated windows of {entries['name']} are left")
        auc, alone = tell_apart(real, made, rate, seed)
        results.append(
            {"name": entries["name"], "real": real, "simulated": made, "rate": rate}
            | {"auc": auc, "alone": alone}
        )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder to write to")
    parser.add_argument("--set", dest="sets", action="append", required=True, help="see above")
    parser.add_argument("--people", type=int, default=40, help="simulated, of each gait")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        results = compare([parse_set(s) for s in options.sets], options.people, options.seed)
    except UserError as error:
        parser.exit(2, f"{error}\n")
    options.out.mkdir(parents=True, exist_ok=True)
    table = markdown(results)
    (options.out / "compare.md").write_text(table)
    with open(options.out / "compare.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["set", "feature", "AUC", "real", "simulated"])
        for result in results:
            for name, values in sorted(result["alone"].items(), key=lambda item: -item[1][0]):
                rows.writerow((result["name"], name, *(f"{x:.4g}" for x in values)))
    draw_spectra(results, options.out / "compare.png")
    print(table)


if __name__ == "__main__":
    main()
