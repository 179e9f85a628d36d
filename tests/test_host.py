"""Memory that a process keeps does not come page by page from the system again."""

import platform
import subprocess
import sys

import pytest

AGAIN = """
import resource, sys
from imujax import host
if sys.argv[1] == "keep":
    host.keep_memory()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    filled = bytearray(b"x") * 2**27
    del filled
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can keep memory")
def test_memory_that_is_kept_costs_no_page_faults():
    def faults(word):
        done = subprocess.run([sys.executable, "-c", AGAIN, word], capture_output=True, text=True)
        return [int(line) for line in done.stdout.split()]

    first, second = faults("keep")
    assert second < first / 100
    first, second = faults("give back")
    assert second > first / 2
