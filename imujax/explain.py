"""A configuration in words: each field with its sentence, a table of all, a template to fill in."""

import dataclasses
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from imujax import study
from imujax.nets import networks
from imujax.runtime import fields

WIDTH = 100
TEMPLATE = '''"""My study: what it asks, in one sentence.

    imujax config {name}
    imujax study --config {name} --raw raw --data data --workdir work/mine

Fields that are commented out have the value that stands there.  `imujax config` checks what stands
here; `imujax study` looks at cards, data sets, folds, sensors and memory too, before it trains.
"""

from ml_collections import ConfigDict

from imujax.configs import common
from imujax.nets import resnet


def get_config() -> ConfigDict:
    config = ConfigDict({{"seed": 0}})
    config.data_sets = ConfigDict(
        {{
            # Recordings without labels, and steps with labels, each described by a card
            # (`imujax card raw/mine --out raw/mine/unlabelled.toml` proposes one).
            "unlabelled": common.data_set("tabular", "mine", card="mine/unlabelled.toml"),
            "labelled": common.data_set("tabular", "mine", card="mine/labelled.toml"),
        }}
    )
    # For a trial resnet.tiny("none"); for a pod resnet.resnet50(64, "none").
    net = resnet.tan2023("none") | {{"pool": "mean_max"}}
    config.encoders = ConfigDict(
        {{
            "unit": common.encoder(
                ("unlabelled",),
                net,
{encoder}
            ),
        }}
    )
    config.tasks = ConfigDict(
        {{
            "mine": common.task(
                "labelled",
                "What is estimated, for the title of the report",
                common.arms("unit"),
                # For two cores and hours; for an accelerator leave these out.
{small}
{task}
            ),
        }}
    )
    return config
'''


def explain(config: ConfigDict) -> str:
    """Write a configuration with the sentence of every field.

    Parameters
    ----------
    config : ConfigDict
        Which `study.check_config` has passed.

    Returns
    -------
    str
    """
    return "\n".join(_section_lines(study.settings_class(), config, ""))


def _section_lines(settings: type, section: Any, place: str) -> Iterator[str]:
    hints = typing.get_type_hints(settings)
    below = []
    if place:
        yield f"\n[{place}]"
    for row in fields.rows(settings):
        if row.name not in section:
            continue
        value, hint = section[row.name], hints[row.name]
        if dataclasses.is_dataclass(hint):
            below.append((typing.cast(type, hint), value, _join(place, row.name)))
        elif part := fields.class_of_parts(hint):
            names = ((name, _join(place, f"{row.name}.{name}")) for name in value)
            below += [(part, value[name], dotted) for name, dotted in names]
        elif row.chooses:
            chosen = row.chooses(value)
            below.append((chosen, fields.defaults(chosen) | dict(value), _join(place, row.name)))
        else:
            value = _plain(value)
            is_other = row.default in (fields.REQUIRED, fields.ABSENT) or value != _plain(
                row.default
            )
            has_default = row.default not in (fields.REQUIRED, fields.ABSENT)
            sentence = _sentence(row)
            sentence += f"; {row.default!r} by default" if is_other and has_default else ""
            yield from _field_lines(f"{row.name} = {value!r}", sentence, "")
    for part, value, name in below:
        yield from _section_lines(part, value, name)


def _field_lines(code: str, sentence: str, indent: str) -> list[str]:
    """Code with its sentence behind it, or above it where the line would be too long."""
    if len(indent) + len(code) + len(sentence) + 4 <= WIDTH:
        return [f"{indent}{code}  # {sentence}"]
    return [
        *textwrap.wrap(
            sentence, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# "
        ),
        f"{indent}{code}",
    ]


def _sentence(row: fields.Row) -> str:
    return row.sentence + (f" [{row.unit}]" if row.unit else "")


def _plain(value: Any) -> Any:
    """Without the types of ml_collections."""
    if hasattr(value, "items"):
        return {name: _plain(part) for name, part in value.items()}
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def template(name: str) -> str:
    """Write a configuration file for somebody's own data set, encoder and task.

    Parameters
    ----------
    name : str
        Of the file, as it is called in its commands.

    Returns
    -------
    str
        Python, which is a configuration as it stands.
    """
    encoder, task = (
        "\n".join(_commented(part, given))
        for part, given in (
            (_parts()["encoders"], {"data", "net"}),
            (_parts()["tasks"], {"data", "title", "arms", *SMALL}),
        )
    )
    sentences = {row.name: _sentence(row) for row in fields.rows(_parts()["tasks"])}
    small = [
        line
        for key, value in SMALL.items()
        for line in _field_lines(f"{key}={value!r},", sentences[key], " " * 16)
    ]
    return TEMPLATE.format(name=name, encoder=encoder, small="\n".join(small), task=task)


# For two cores: that of configs/common.py, which stands above this room.
SMALL = {
    "passes": 25.0,
    "steps": (1000, 2500),
    "batch": 32,
    "rates": (1e-3, 3e-3, 1e-2, 3e-2),
    "select": {"folds": 4, "splits": (1, 2), "draws": 1},
    "draws": 2,
}


def _commented(settings: type, given: set[str]) -> Iterator[str]:
    """The other fields with their defaults, as comments."""
    for row in fields.rows(settings):
        if row.name in given or row.default is fields.ABSENT:
            continue
        default = row.default
        if row.name == "references":  # common.task adds those on the arms' embeddings
            default += tuple(f"ridge+{arm}" for arm in ("pretrained", "random"))
        code = f"# {row.name}={default!r},"
        yield from _field_lines(code, _sentence(row), " " * 16)


def _parts() -> dict[str, type]:
    """The class of each section of a configuration."""
    hints = typing.get_type_hints(study.settings_class())
    return {name: part for name, hint in hints.items() if (part := fields.class_of_parts(hint))}


def tables() -> str:
    """Write the tables of all fields, as they stand in configs/README.md.

    Returns
    -------
    str
        Markdown.
    """
    parts = {f"`{name}.NAME`": part for name, part in _parts().items()}
    encoder, task = (typing.get_type_hints(_parts()[name]) for name in ("encoders", "tasks"))
    for name, network in networks.NETWORKS.items():
        parts[f"`encoders.NAME.net`, {name}"] = network.SETTINGS
    parts["`encoders.NAME.simulated`"] = encoder["simulated"]
    parts["`tasks.NAME.arms.NAME`"] = fields.class_of_parts(task["arms"])
    parts["`tasks.NAME.select`"] = task["select"]
    blocks = []
    for name, part in parts.items():
        lines = [f"**{name}**: {(part.__doc__ or '').rstrip('.')}.", "", "| field | default | |"]
        lines += ["|---|---|---|", *map(_table_line, fields.rows(part))]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _table_line(row: fields.Row) -> str:
    if row.default is fields.REQUIRED:
        default = "must be given"
    else:
        default = "" if row.default is fields.ABSENT else f"`{row.default!r}`"
    return f"| `{row.name}` | {default} | {_sentence(row)} |"
