"""The settings of a run that is resumed, or shared by processes: they must not differ."""

import json

from imujax.errors import UserError


def require_same_settings(old: dict, new: dict, workdir):
    """Raise UserError naming the first setting in which a finished or resumed run differs."""
    for name, was, now in differing_settings(old, new):
        raise UserError(
            f"{workdir} holds a run with {name}={was!r} but the configuration says {now!r}; take "
            "another --workdir or delete that folder"
        )


def require_same_command(first: dict, ours: dict):
    """Raise UserError naming the first setting in which this process differs from process 0."""
    for name, there, here in differing_settings(first, ours):
        raise UserError(
            f"{name} is {here!r} here but {there!r} on process 0; start all processes with the "
            "same command, code and data"
        )


def differing_settings(old: dict, new: dict):
    """(name, old value, new value) of each setting in which two trees differ, as JSON has them."""

    def flat(tree, name=""):
        if isinstance(tree, dict):
            return {
                k: v for key, sub in tree.items() for k, v in flat(sub, f"{name}.{key}").items()
            }
        return {name[1:]: tree}

    old, new = flat(json.loads(json.dumps(old))), flat(json.loads(json.dumps(new)))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield name, old.get(name), new.get(name)
