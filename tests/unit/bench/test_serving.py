"""Ray as a measurement starts it."""

from __future__ import annotations

import subprocess
import sys

import pytest

BURNS_CPU = "import time\nwhile time.process_time() < 0.3: pass"
ADOPTS = f"""
import os, subprocess, sys
from pipeline.bench.serving import _adopt_orphans, _reap_children

_adopt_orphans()
leaves = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True)"
subprocess.run([sys.executable, "-c", leaves, {BURNS_CPU!r}], check=True)
before = os.times()
_reap_children()
after = os.times()
print(after.children_user + after.children_system - before.children_user - before.children_system)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process adopt others")
def test_the_time_of_a_process_that_left_its_parent_counts_as_ours() -> None:
    done = subprocess.run([sys.executable, "-c", ADOPTS], capture_output=True, text=True, check=True)
    assert 0.2 < float(done.stdout) < 1.0
