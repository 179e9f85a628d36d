"""Going on from another pre-training: its weights, its scales, and what it has seen."""

import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from imujax.data import content
from imujax.errors import UserError
from imujax.nets import networks, parameters
from imujax.pretrain import encoder, packed

# Fields of a network that the weights of its encoder do not depend on.
FREE = {"conv", "dtype", "projection"}


class Parent(NamedTuple):
    """The pre-training that another one goes on from.

    Attributes
    ----------
    card : dict
        Its own, see encoder.Encoder.
    state : dict
        {"params": .., "stats": ..}, heads among them.
    settings : dict
        What tells it from others: its settings, those of its own parent in them, the step that it
        stands at, and the digest of its weights.
    """

    card: dict[str, Any]
    state: dict[str, Any]
    settings: dict[str, Any]


def read_parent(folder: pathlib.Path | str, config: ConfigDict) -> Parent:
    """Read the newest checkpoint of a pre-training, to go on from it.

    Parameters
    ----------
    folder : Path
        Of one pre-training.
    config : ConfigDict
        The section of the encoder that goes on.

    Returns
    -------
    Parent

    Raises
    ------
    UserError
        There is no checkpoint, it is not trained to its end, or its encoder is another network or
        has another rate.
    """
    card, state = packed.read(folder)
    require_alike(card, config, folder)
    if card["step"] < card["settings"]["steps"]:
        raise UserError(
            f"the parent {folder} stands at step {card['step']} of {card['settings']['steps']}: "
            "finish it with `imujax pretrain` first"
        )
    parts = (encoder.encoder_part(state[name]) for name in ("params", "stats"))
    digest = encoder.Encoder(card, *parts).weights_digest
    settings = {"settings": card["settings"], "step": card["step"], "digest": digest}
    return Parent(card, state, settings)


def require_alike(
    parent: Mapping[str, Any], config: Mapping[str, Any], place: pathlib.Path | str
) -> None:
    """Require that an encoder can go on from another one.

    Parameters
    ----------
    parent, config : mapping
        net and rate of both.
    place : Path or str
        The parent, for the sentence.

    Raises
    ------
    UserError
        The network differs, or the rate.
    """
    theirs, ours = ({"rate": x["rate"]} | _net_fields(x["net"]) for x in (parent, config))
    for name in sorted(theirs.keys() | ours.keys()):
        if theirs.get(name) != ours.get(name):
            raise UserError(
                f"the parent {place} has {name} {theirs.get(name)}, and here it is "
                f"{ours.get(name)}: whoever goes on has the network and the rate of the parent"
            )


def _net_fields(net) -> dict[str, Any]:
    return {f"net.{key}": x for key, x in networks.resolve_net(net).items() if key not in FREE}


def begin(state: dict[str, Any], parent: Parent | None) -> dict[str, Any]:
    """Put the weights of a parent into a fresh state.

    Parameters
    ----------
    state : dict
        See step.init_state.
    parent : Parent, optional

    Returns
    -------
    dict
        With the parent's encoder, and what else has the same name and shape, such as projection
        heads; the optimiser begins anew.
    """
    if parent is None:
        return state
    taken = {}
    for name in ("params", "stats"):
        own, theirs = (parameters.flatten(tree[name]) for tree in (state, parent.state))
        taken[name] = parameters.unflatten(
            {
                key: jnp.asarray(theirs[key], x.dtype)
                if key in theirs and np.shape(theirs[key]) == x.shape
                else x
                for key, x in own.items()
            }
        )
    return state | taken


def parents_first(encoders: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Put the encoders of a configuration in an order in which each can go on from its parent.

    Parameters
    ----------
    encoders : mapping of str to mapping
        The sections by name.

    Returns
    -------
    list of str

    Raises
    ------
    UserError
        An encoder goes on from itself, by whichever way, or two do not go together.
    """
    order: list[str] = []
    for name in encoders:
        line = [name]
        while (parent := encoders[line[-1]].get("parent", "")) in encoders:
            if parent in line:
                raise UserError(f"encoders.{name}.parent leads back to {parent}")
            if "without" in encoders[parent]:
                raise UserError(
                    f"encoders.{line[-1]}.parent is {parent}, which is trained fold by fold"
                )
            require_alike(encoders[parent], encoders[line[-1]], parent)
            line.append(parent)
        order += [one for one in reversed(line) if one not in order]
    return order


def parent_folders(
    name: str,
    encoders: Mapping[str, Mapping[str, Any]],
    folders: Mapping[str, Sequence[pathlib.Path]],
) -> list[pathlib.Path]:
    """List the pre-trainings that those of an encoder go on from, in turn.

    Parameters
    ----------
    name : str
        Of the encoder.
    encoders : mapping of str to mapping
        The sections of the configuration by name.
    folders : mapping of str to sequence of Path
        Of the pre-trainings of each.

    Returns
    -------
    list of Path
        None where it has no parent.

    Raises
    ------
    UserError
        The parent is neither an encoder of the configuration nor a folder.
    """
    parent = encoders[name].get("parent")
    if not parent or parent in encoders:
        return list(folders[parent]) if parent else []
    place = packed.find(parent)
    if not place.exists():
        boxed = ", ".join(packed.list_names())
        raise UserError(
            f"encoders.{name}.parent is {parent!r}: neither a folder, a packed encoder, one of "
            f"this configuration ({', '.join(encoders)}), nor one that comes with imujax ({boxed})"
        )
    return encoder.list_members(place) or [place]


def read_seen(
    name: str,
    encoders: Mapping[str, Mapping[str, Any]],
    data_paths: Mapping[str, pathlib.Path | str],
    without: Collection[str] = (),
) -> content.Content:
    """Read by what signals an encoder, and those before it, will have been trained.

    Parameters
    ----------
    name : str
        Of the encoder.
    encoders : mapping of str to mapping
        The sections of the configuration by name.
    data_paths : mapping of str to Path
        Folder of each data set.
    without : collection of str
        Subjects who are left out of its own data sets.

    Returns
    -------
    Content
    """
    section = encoders[name]
    own = content.read_sets(data_paths[key] for key in section["data"])
    seen = [content.leave_out(own, without)]
    parent = section.get("parent", "")
    if parent in encoders:
        seen.append(read_seen(parent, encoders, data_paths))
    elif parent:
        seen += map(packed.read_content, parent_folders(name, encoders, {}))
    return content.concatenate(seen)
