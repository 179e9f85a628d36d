"""Memory that a process keeps comes in large pages, and only once; who runs its programs."""

import pathlib
import platform
import subprocess
import sys

import pytest

from imujax import UserError, cli
from imujax.runtime import host

AGAIN = """
import resource, sys
from imujax.runtime import host
if sys.argv[1] == "keep":
    host.keep_freed_memory()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    filled = bytearray(b"x") * 2**27
    del filled
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


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


SETTINGS = {"pretrain": ["keep", "caller"], "sweep": ["keep"], "study": ["keep"], "quickstart": []}


@pytest.mark.parametrize("verb", SETTINGS)
def test_a_verb_asks_for_what_makes_it_faster(verb, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(host, "keep_freed_memory", lambda: calls.append("keep"))
    monkeypatch.setattr(host, "run_on_calling_thread", lambda: calls.append("caller"))
    words = [verb, "--config", str(tmp_path / "none.py"), "--workdir", str(tmp_path)]
    words += [] if verb == "quickstart" else ["--data", str(tmp_path)]
    with pytest.raises(UserError, match=r"none\.py"):
        cli.run_command(words)
    assert calls == SETTINGS[verb]
