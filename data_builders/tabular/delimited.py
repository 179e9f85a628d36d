"""CSV, TSV and other tables of text: what a card says of their lines, and then pyarrow.

A file is read whole, decoded (UTF-8, UTF-16, else Latin-1) and cut into its head and its data;
what pyarrow cannot read is looked at line by line, so that the sentence says what stands there.
"""

import csv
import gzip
import re
import zlib
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from imujax.data_builders.tabular.card import BLANKS, Layout
from imujax.data_builders.tabular.sentences import (
    check_column_names,
    first_line,
    printable_name,
    unreadable_file,
)
from imujax.errors import UserError

SEPARATOR = re.compile(r"sep=(.)\s*")  # a first line that spreadsheet programs understand
UTF16 = (b"\xff\xfe", b"\xfe\xff")
BLANK = re.compile(rb"\n[ \t,;]*(?=\n)")
COMMENT = re.compile(r"\s*(#|//|%|;)")  # how comments begin
THOUSANDS = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d*)?")
MOST_HEAD = 1000  # lines before the names
MANY_LINES = 200_000  # that are looked at for the sentence on a fault


class Text(NamedTuple):
    """A file of text, taken apart.

    Attributes
    ----------
    names : list of str
        Of the columns, without blanks around them; that of several rows is joined by "/".
    data : bytes
        The lines with values, UTF-8 or Latin-1.
    encoding : str
        Of `data`.
    delimiter : str
        One character.
    first_line : int
        Number of the first line of data in the file, or 0 where lines were left out among them.
    """

    names: list[str]
    data: bytes
    encoding: str
    delimiter: str
    first_line: int


def read_text(path: Path, layout: Layout, default_delimiter: str, head_end: str = "") -> Text:
    """Take a file apart as the card says.

    Parameters
    ----------
    path : Path
        Plain or packed with gzip.
    layout, default_delimiter, head_end
        As of `cut_text`.

    Returns
    -------
    Text

    Raises
    ------
    UserError
        Where the file cannot be read or unpacked, and as of `cut_text`.
    """
    return cut_text(*unpack(path), layout, path, default_delimiter, head_end)


def cut_text(
    content: bytes,
    encoding: str,
    layout: Layout,
    path: Path,
    default_delimiter: str,
    head_end: str = "",
) -> Text:
    """Take text apart as the card says.

    Parameters
    ----------
    content : bytes
        Its lines end in a line feed.
    encoding : str
        UTF-8 or Latin-1.
    layout : Layout
    path : Path
        For the sentences.
    default_delimiter : str
        Where the card names none.
    head_end : str
        Where the card says nothing of lines before the names: the word in the last of them.

    Returns
    -------
    Text

    Raises
    ------
    UserError
        The line that should hold the names is missing or empty.
    """
    if layout.comment:
        content = _without_comments(content, layout.comment.encode(encoding, errors="replace"))
    separator = SEPARATOR.fullmatch(content[: content.find(b"\n")].decode("latin-1"))
    delimiter = layout.delimiter or (separator[1] if separator else default_delimiter)
    n_head = layout.skip_rows or _count_until(content, head_end) or int(separator is not None)
    if layout.header_has:
        n_head = _find_header(content, encoding, layout.header_has, delimiter, path)
    n_named = 0 if layout.names else layout.header_rows
    n_before = n_head + n_named + layout.unit_rows
    lines, at = [], 0
    for _ in range(n_before):
        end = content.find(b"\n", at)
        end = len(content) if end < 0 else end
        lines.append(content[at:end])
        at = min(end + 1, len(content))
    data = content[at:]
    if layout.until_blank and (blank := BLANK.search(data)):
        data = data[: blank.start() + 1]
    data = _without_footer(data, layout.footer_rows)
    named = [line.decode(encoding) for line in lines[n_head : n_head + n_named]]
    if n_named and not "".join(named).strip():
        number = n_head + 1
        raise UserError(f"{path}: line {number} should hold the column names, but is empty")
    if delimiter == BLANKS or (delimiter == " " and _has_runs(named, data)):
        data = re.sub(rb"(?m)^[ \t]+|[ \t]+$", b"", data)
        data = re.sub(rb"[ \t]+", b" ", data)
        named, delimiter = [" ".join(line.split()) for line in named], " "
    names = list(layout.names) or join_names([cut(line, delimiter) for line in named])
    return Text(names, data, encoding, delimiter, 0 if layout.comment else n_before + 1)


def unpack(path: Path) -> tuple[bytes, str]:
    """Read a file of text.

    Parameters
    ----------
    path : Path
        Plain or packed with gzip.

    Returns
    -------
    content : bytes
        Its lines end in a line feed.
    encoding : str
        UTF-8 or Latin-1.

    Raises
    ------
    UserError
        The file cannot be read or unpacked.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable_file(path, error) from None
    content, encoding = _decode(content)
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return content, encoding


def cut(line: str, delimiter: str) -> list[str]:
    """The fields of a line; a line that is none, such as one of a binary file, is one field."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return [line]


def _count_until(content: bytes, word: str) -> int:
    """How many lines there are up to and with the one that is this word, if there is one."""
    lines = content.split(b"\n", MOST_HEAD)[:MOST_HEAD] if word else []
    places = (i + 1 for i, line in enumerate(lines) if line.strip().lower() == word.encode())
    return next(places, 0)


def _find_header(
    content: bytes, encoding: str, names: tuple[str, ...], delimiter: str, path: Path
) -> int:
    """How many lines stand before the one with the names."""
    for i, raw in enumerate(content.split(b"\n", MOST_HEAD)[:MOST_HEAD]):
        line = raw.decode(encoding)
        fields = line.split() if delimiter == BLANKS else cut(line, delimiter)
        if {field.strip() for field in fields} & set(names):
            return i
    raise UserError(
        f'{path}: none of its first {MOST_HEAD} lines has a column "{names[0]}", by which '
        '"header_has" in the card knows the line with the names'
    )


def parse_columns(
    text: Text, layout: Layout, numbers: list[str], texts: list[str], path: Path
) -> pa.Table:
    """Columns of a file of text, under the names that the card gives them.

    Parameters
    ----------
    text : Text
    layout : Layout
    numbers, texts : list of str
        Names, which `find_column` finds.
    path : Path
        For the sentences.

    Returns
    -------
    pa.Table
        float64 and strings.

    Raises
    ------
    UserError
        For lines that are no such table; it says which one and what stands there.
    """
    try:
        places = {name: find_column(name, text.names, path) for name in [*numbers, *texts]}
    except UserError as error:
        if mark := COMMENT.match(text.names[0] if text.names else ""):
            raise UserError(f'{error}: comments? Say comment = "{mark[1]}"') from None
        raise
    if not text.data.strip():
        raise UserError(f"{path}: the table has no rows")
    width = len(text.names)
    width += _has_trailing_delimiter(text, width)
    keys = [f"{i}" for i in range(width)]
    as_text = pa.string() if layout.thousands else pa.float64()
    types = {keys[place]: as_text for name, place in places.items() if name in numbers}
    types |= {keys[place]: pa.string() for name, place in places.items() if name in texts}
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(text.data),
            pyarrow.csv.ReadOptions(use_threads=False, column_names=keys, encoding=text.encoding),
            pyarrow.csv.ParseOptions(delimiter=text.delimiter),
            pyarrow.csv.ConvertOptions(
                include_columns=list(types),
                column_types=types,
                decimal_point=layout.decimal,
                null_values=[*pyarrow.csv.ConvertOptions().null_values, *layout.missing],
            ),
        )
        if layout.thousands:
            table = _without_thousands(table, [keys[places[n]] for n in numbers], layout)
    except pa.ArrowException as error:
        raise _explain(text, layout, places, numbers, width, path, error) from None
    return pa.table({name: table[keys[place]] for name, place in places.items()})


def _without_thousands(table: pa.Table, columns: list[str], layout: Layout) -> pa.Table:
    for name in columns:
        words = pc.replace_substring(pc.utf8_trim_whitespace(table[name]), layout.thousands, "")
        words = pc.replace_substring(words, layout.decimal, ".")
        words = pc.if_else(pc.equal(words, ""), None, words)
        place = table.column_names.index(name)
        table = table.set_column(place, name, pc.cast(words, pa.float64()))
    return table


def find_column(name: str, names: list[str], source: Path | str) -> int:
    """The place of a column: by its name, or "name#2" for the second one of that name.

    Parameters
    ----------
    name : str
        As the card has it.
    names : list of str
        Of the file.
    source : Path or str
        For the sentence.

    Returns
    -------
    int

    Raises
    ------
    UserError
        There is none, or more than one of that name.
    """
    name = name.strip()
    numbered = re.fullmatch(r"(.+)#(\d+)", name)
    if numbered and name not in names:
        places = [i for i, other in enumerate(names) if other == numbered[1]]
        which = int(numbered[2])
        if not 1 <= which <= len(places):
            raise UserError(
                f'{source}: "{name}" asks for column {which} of the name "{numbered[1]}", and '
                f"there are {len(places)}"
            )
        return places[which - 1]
    check_column_names(names, [name], source)
    return names.index(name)


def _decode(content: bytes) -> tuple[bytes, str]:
    """UTF-8 or Latin-1 (degree signs, umlauts), without a byte order mark; UTF-16 becomes UTF-8."""
    if content[:2] in UTF16:
        content = content.decode("utf-16", errors="replace").encode()
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return content, "latin-1"
    return content, "utf-8"


def _without_comments(content: bytes, prefix: bytes) -> bytes:
    lines = content.split(b"\n")
    return b"\n".join(line for line in lines if not line.lstrip().startswith(prefix))


def _without_footer(data: bytes, count: int) -> bytes:
    data = data.rstrip(b"\n") + b"\n" if data.strip() else data
    for _ in range(count):
        data = data[: data.rstrip(b"\n").rfind(b"\n") + 1]
    return data


def _has_runs(named: list[str], data: bytes) -> bool:
    """Whether blanks stand in runs: one blank a column may also be a delimiter as any other."""
    first = data[: data.find(b"\n")].decode("latin-1")
    return any(line != line.strip() or "  " in line or "\t" in line for line in [*named, first])


def join_names(rows: list[list[str]]) -> list[str]:
    """Names of columns from one row or several, joined by "/"."""
    width = max(map(len, rows), default=0)
    filled = [[name.strip() for name in row] + [""] * (width - len(row)) for row in rows]
    return ["/".join(filter(None, parts)) for parts in zip(*filled, strict=True)]


def _has_trailing_delimiter(text: Text, width: int) -> bool:
    """Whether lines of data end in a delimiter more than the names have."""
    line = text.data[: text.data.find(b"\n")].decode(text.encoding)
    fields = cut(line, text.delimiter)
    return len(fields) == width + 1 and not fields[-1].strip()


def _explain(
    text: Text,
    layout: Layout,
    places: dict[str, int],
    numbers: list[str],
    width: int,
    path: Path,
    error: Exception,
) -> UserError:
    """The sentence on the first line that is not as the others."""
    columns = {places[name]: name for name in numbers}
    lines = text.data.decode(text.encoding).split("\n")
    last = max((i for i, line in enumerate(lines) if line.strip()), default=0)

    def words(fields: list[str]) -> list[str]:
        """The columns of numbers in which there is something else."""
        known = [(at, name) for at, name in columns.items() if at < len(fields)]
        return [
            name
            for at, name in known
            if not is_number(fields[at].replace(layout.thousands or "\0", ""), layout.decimal)
            and fields[at].strip() not in layout.missing
        ]

    for i, line in enumerate(lines[:MANY_LINES]):
        fields = cut(line, text.delimiter)
        wrong = words(fields)
        if not line.strip() or (len(fields) == width and not wrong):
            continue
        place = f"line {text.first_line + i}" if text.first_line else f"line {i + 1} of the data"
        place += ", the last one," if i == last else ""
        if len(fields) != width:
            shown = printable_name(line.strip())[:60]
            what = f'{place} has {len(fields)} of {width} columns: "{shown}"'
        else:
            value = printable_name(fields[places[wrong[0]]].strip())
            what = f'{place} is text in column "{wrong[0]}": "{value}"'
        mend = _mend_for(fields, wrong, places) or MEND
        if mark := COMMENT.match(line):
            mend = f'a comment? Say comment = "{mark[1]}"'
        elif i == 0 and last > 0 and not words(cut(lines[1], text.delimiter)):
            mend = "a line of units between names and data? Say unit_rows = 1"
        elif i == last and i and len(fields) <= 2:
            mend = "a footer? Say footer_rows = 1; or the file is cut off"
        elif i == last and i:
            mend = "the file is cut off there"
        return UserError(f"{path}: {what}: {mend}")
    return UserError(f"{path}: is no table as the card says: {first_line(error)}")


MEND = "mend the line, or see delimiter, decimal, comment and missing in the card"


def _mend_for(fields: list[str], wrong: list[str], places: dict[str, int]) -> str:
    """What a card can say to a word where a number should be, if it is clear."""
    if not wrong or places[wrong[0]] >= len(fields):
        return ""
    word = fields[places[wrong[0]]].strip().strip('"')
    if THOUSANDS.fullmatch(word):
        return 'commas between thousands? Say thousands = ","'
    if re.fullmatch(r"\W+|[a-zA-Z]{1,8}", word):
        return f'mend the line, or if it marks a missing value say so (missing = "{word}")'
    if re.fullmatch(r"-?[\d.]+ ?[a-zA-Z]+", word):
        return "a number with its unit: write the unit into the name of the column"
    return ""


def is_plain_number(word: str) -> bool:
    """Whether a word is a number and nothing else."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def is_number(field: str, decimal: str) -> bool:
    """Whether a field is a number or a missing one."""
    field = field.strip().strip('"')
    if field.lower() in ("", "nan", "na", "n/a", "null", "none", "#n/a", "-nan", "inf", "-inf"):
        return True
    try:
        float(field.replace(decimal, "."))
    except ValueError:
        return False
    return True


def to_number(field: str, decimal: str) -> float:
    """The number that a field is; NaN for a missing one, and for words."""
    try:
        return float(field.strip().strip('"').replace(decimal, "."))
    except ValueError:
        return float("nan")
