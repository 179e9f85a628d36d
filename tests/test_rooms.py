"""Arrows go down only: which room imports which, as it is written in the files."""

import ast
import importlib.util
import pathlib
import subprocess
import sys

import pytest

import imujax

ROOT = pathlib.Path(imujax.__file__).parent
REPOSITORY = ROOT.parent
ORDER = ["errors", "runtime", "data", "nets", "simulate", "objectives", "pretrain", "sweep"]
ORDER += ["compiled", "report", "models", "checks", "study", "explain", "cli"]
ROOMS = [name for name in ORDER if (ROOT / name).is_dir()]
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path.name != "__main__.py"]
BUILDERS = sorted((REPOSITORY / "data_builders").rglob("*.py"))


def imports(file: pathlib.Path) -> list[list[str]]:
    """The dotted words behind "imujax" of all that a file imports, inside functions too."""
    dotted = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name} imports relatively, which nobody here reads"
            dotted += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            dotted += [alias.name for alias in node.names]
    return [words[1:] for name in dotted if (words := name.split("."))[0] == "imujax" and words[1:]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_arrows_go_down(file):
    """A file imports its own room and those before it in ORDER, by their doors."""
    room = file.relative_to(ROOT).parts[0].removesuffix(".py")
    allowed = ORDER if room == "__init__" else ORDER[: ORDER.index(room) + 1]
    for words in imports(file):
        if words[0] == "UserError":
            continue  # imujax.UserError is errors.UserError
        assert words[0] in allowed, f"{room} imports imujax.{'.'.join(words)}"
        if words[0] in ROOMS and words[0] != room:
            doors = importlib.import_module(f"imujax.{words[0]}").__all__
            assert words[1] in doors, f"{words[1]} is private to {words[0]}: {file.name} imports it"


@pytest.mark.parametrize("file", BUILDERS, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_builders_stand_on_the_data(file):
    for words in imports(file):
        assert words[0] in ("data_builders", "errors", "runtime", "data"), words


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_for_and_opens_its_doors(room):
    """A paragraph at the door, modules that exist, and nothing that is loaded before it is used."""
    module = importlib.import_module(f"imujax.{room}")
    assert len(module.__doc__.split()) > 30
    assert sorted(module.__all__) == list(module.__all__)
    for name in module.__all__:
        assert importlib.util.find_spec(f"imujax.{room}.{name}"), f"{room} has no {name}"
    code = (
        f"import sys, imujax.{room}; print(sorted({{'jax', 'numpy', 'scipy'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_public_names_are_shown_and_there():
    assert dir(imujax) == sorted(imujax.__all__)
    for name in imujax.__all__:
        assert getattr(imujax, name).__name__ == name
        assert getattr(imujax, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = imujax.lode
