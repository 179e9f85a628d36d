"""Memory that a process keeps comes in large pages, and only once; who runs its programs."""

import os
import pathlib
import platform
import shutil
import subprocess
import sys

import pytest

from imujax import cli
from imujax.runtime import host

AGAIN = """
import os, resource, sys
from imujax.runtime import host
if sys.argv[1] == "keep":
    host.keep_freed_memory()
assert "GLIBC_TUNABLES" not in os.environ  # what this process starts is as usual
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    filled = bytearray(b"x") * 2**27
    del filled
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


BIN = str(pathlib.Path(sys.executable).parent)
PAGES = 2**27 // 4096  # of the usual size, in what is filled
GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can keep memory")
HUGE = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")


def faults(word):
    """Page faults of filling memory for the first and for the second time."""
    done = subprocess.run([sys.executable, "-c", AGAIN, word], capture_output=True, text=True)
    return [int(line) for line in done.stdout.split()]


@GLIBC
def test_memory_that_is_kept_costs_no_page_faults():
    assert faults("keep")[1] < PAGES / 100
    # Where every process gets huge pages, given back or not, there are few faults anyhow.
    if not HUGE.exists() or "[always]" not in HUGE.read_text():
        assert faults("give back")[1] > PAGES / 2


@GLIBC
@pytest.mark.skipif(
    not HUGE.exists() or "[never]" in HUGE.read_text(), reason="no huge pages on this machine"
)
def test_memory_that_is_kept_comes_in_huge_pages():
    assert faults("keep")[0] < PAGES / 10


READY = """
import sys
import jax, jax.numpy as jnp
from imujax.runtime import host
if sys.argv[1] == "caller":
    host.run_on_calling_thread()
long = jax.jit(lambda x: jax.lax.fori_loop(0, 300, lambda i, x: jnp.tanh(x @ x), x))
print(long(jnp.ones((512, 512))).is_ready())
"""


@pytest.mark.parametrize(("word", "ready"), [("caller", "True"), ("other", "False")])
def test_a_program_has_run_when_its_call_returns(word, ready):
    done = subprocess.run([sys.executable, "-c", READY, word], capture_output=True, text=True)
    assert done.stdout.strip() == ready, done.stderr


@GLIBC
def test_memory_is_left_alone_where_the_user_has_said_how(monkeypatch):
    """No other process takes this one's place, and the words stay for those that it starts."""
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=2")
    host.keep_freed_memory()
    assert os.environ["GLIBC_TUNABLES"] == "glibc.malloc.arena_max=2"


@GLIBC
def test_who_was_started_otherwise_is_not_started_again(monkeypatch):
    """A test, a notebook, a child of a server of processes: their words are not the command's."""
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    monkeypatch.setattr(os, "execv", lambda *words: pytest.fail(f"would become {words}"))
    monkeypatch.setattr(sys, "argv", ["imujax", "study", "--config", "x"])
    host.keep_freed_memory()
    assert "GLIBC_TUNABLES" not in os.environ


@GLIBC
@pytest.mark.parametrize("words", [["-m", "imujax"], [shutil.which("imujax", path=BIN)]])
def test_the_command_starts_again_with_the_same_words(words, tmp_path):
    """As users start it, either way: what it says is of the words that it was given."""
    clean = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    more = ["study", "--config", "no such", "--data", tmp_path, "--workdir", tmp_path]
    command = [sys.executable, *words, *more]
    done = subprocess.run(command, env=clean, capture_output=True, text=True)
    assert done.returncode == 2 and "no configuration no such" in done.stderr


SETTINGS = {"pretrain": ["keep", "caller"], "sweep": ["keep"], "study": ["keep"], "quickstart": []}


@pytest.mark.parametrize("verb", SETTINGS)
def test_a_verb_asks_for_what_makes_it_faster(verb, tmp_path, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(host, "keep_freed_memory", lambda: calls.append("keep"))
    monkeypatch.setattr(host, "run_on_calling_thread", lambda: calls.append("caller"))
    words = [verb, "--config", str(tmp_path / "none.py"), "--workdir", str(tmp_path)]
    words += [] if verb == "quickstart" else ["--data", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["imujax", *words])
    with pytest.raises(SystemExit):
        cli.main()
    assert "none.py" in capsys.readouterr().err
    assert calls == SETTINGS[verb]
