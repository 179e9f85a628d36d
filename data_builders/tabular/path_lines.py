"""The first lines of a proposed card: which paths are recordings, and what stands in them."""

import glob
import itertools
import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from imujax.data_builders.tabular import sources
from imujax.data_builders.tabular.card_lines import quote, quote_expression
from imujax.data_builders.tabular.inspection import SUBJECT, Look
from imujax.data_builders.tabular.sentences import printable_name


def files_and_match(names: list[Path], others: list[Path], look: Look) -> list[str]:
    """Propose `files`, and where subject and recording stand.

    Parameters
    ----------
    names : list of Path
        Of the recordings, below the raw folder.
    others : list of Path
        Of files that are none: `files` is to take none of them.
    look : Look
        Of one of the recordings.

    Returns
    -------
    list of str
    """
    depth = Counter(len(name.parts) for name in names).most_common(1)[0][0]
    same_name = len({name.name for name in names}) == 1 and depth > 1
    n_suffixes = 2 if names[0].name.endswith(".gz") else 1
    end = names[0].name if same_name else "*" + "".join(names[0].suffixes[-n_suffixes:])
    files, wrong = _narrow("/".join(["*"] * (depth - 1) + [end]), names, others)
    lines = [f"files = {quote(files)}  # guess"]
    if wrong:
        name = printable_name(wrong[0].as_posix())
        lines.append(f"# yours: it takes {name} too; move or rename what is none")
    if any(SUBJECT.search(name.lower()) for name in look.names):
        return lines  # [columns] says it
    # Folders that all files share come before the subject.
    shared = 0
    while shared < depth - 2 and len({name.parts[shared] for name in names}) == 1:
        shared += 1
    first = names[0].parts[shared] if depth > 1 else names[0].name
    before = "".join(re.escape(part) + "/" for part in names[0].parts[:shared])
    left = depth - shared
    if depth > 1 and not (same_name and left == 2 and "_" in first):
        recording = "/(?P<recording>[^.]+)"
        if same_name:
            recording = "/(?P<recording>.+)/" if left > 2 else "/"
        match = f"^{before}(?P<subject>[^/]+){recording}"
        lines.append(f"match = {quote_expression(match)}  # guess")
    elif "_" in first or "-" in first:
        tail = "/" if depth > 1 else r"\."
        lines.append(f"match = '^(?P<subject>[^_/-]+)[_-](?P<recording>[^/.]+){tail}'  # guess")
    elif len(names) == 1:
        lines.append('subject = "p1"  # yours: who was recorded')
    else:
        lines.append(r"match = '^(?P<subject>[^/.]+)\.'  # guess: a file a person")
    return lines


def _narrow(files: str, names: list[Path], others: list[Path]) -> tuple[str, list[Path]]:
    """The pattern, or one near it, that takes all names and the fewest others; and these."""
    folder, star, suffix = files.rpartition("*")
    ways, wrong = [files], [path for path in others if sources.is_taken(path, files)]
    if wrong and star:
        stems = [path.name.removesuffix(suffix) for path in names]
        begin = re.sub(r"\d+$", "", _common_start(stems))
        end = re.sub(r"^[^_. -]*", "", _common_start([stem[::-1] for stem in stems])[::-1])
        firsts, lasts = ({path.name.removesuffix(suffix)[i] for path in wrong} for i in (0, -1))
        ends = ["*_*", "*-*", f"*{glob.escape(end)}", f"{glob.escape(begin)}*"]
        ends += [f"[!{''.join(sorted(firsts))}]*", f"*[!{''.join(sorted(lasts))}]"]
        ways += [f"{folder}{way}{suffix}" for way in ends]
    takes = {way: [path for path in others if sources.is_taken(path, way)] for way in ways}
    takes = {
        way: wrong for way, wrong in takes.items() if all(sources.is_taken(p, way) for p in names)
    }
    return min(takes.items(), key=lambda pair: len(pair[1]))


def _common_start(words: Sequence[str]) -> str:
    letters = itertools.takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))
    return "".join(column[0] for column in letters)


def lines_of_pairs(first: Path, sibling: Path, lines: list[str]) -> list[str]:
    """Propose them where each recording is two files beside each other: p1_acc, p1_gyr.

    Parameters
    ----------
    first, sibling : Path
        The files of one recording, below the raw folder.
    lines : list of str
        Of `files_and_match`, which stay where it is not so.

    Returns
    -------
    list of str
    """
    prefix = _common_start([first.name, sibling.name])
    prefix = prefix[: max(map(prefix.rfind, "_-. "), default=-1) + 1]
    folder = "/".join(["*"] * (len(first.parts) - 1)) + "/" if len(first.parts) > 1 else ""
    if folder or not prefix.strip("_-. "):
        return lines
    rest = first.name[len(prefix) :]
    inner = prefix.strip("_-. ")
    recording = r"[_-](?P<recording>.+)" if re.search(r"[_-]", inner) else ""
    return [
        f"files = {quote('*' + prefix[-1] + rest)}  # guess",
        f"match = '^(?P<subject>[^_-]+){recording}{re.escape(prefix[-1] + rest)}$'  # guess",
    ]


def sibling_template(first: Path, sibling: Path, lines: list[str]) -> str:
    """Put braces into the path of a recording's other file.

    Parameters
    ----------
    first, sibling : Path
        The files of one recording, below the raw folder.
    lines : list of str
        Of `files_and_match`; the braces stand for what their `match` finds in `first`.

    Returns
    -------
    str
    """
    template = sibling.as_posix()
    groups = _find_groups(first, lines)
    for name, value in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        if value:
            template = template.replace(value, f"{{{name}}}", 1)
    return template


def known_names(names: list[Path], lines: list[str]) -> list[tuple[str, str]]:
    """Read subjects and recordings in paths.

    Parameters
    ----------
    names : list of Path
    lines : list of str
        Of `files_and_match`, with the `match` that tells them.

    Returns
    -------
    list of (subject, recording)
        "" for what is not told.
    """
    groups = [_find_groups(name, lines) for name in names]
    return [(one.get("subject", ""), one.get("recording", "")) for one in groups]


def _find_groups(name: Path, lines: list[str]) -> dict[str, str]:
    """What the `match` among the lines finds in a path."""
    found = [tomllib.loads(line)["match"] for line in lines if line.startswith("match = ")]
    match = re.search(found[0], name.as_posix()) if found else None
    return match.groupdict(default="") if match else {}
