"""What is left of a program on Ray, however it ends: no process, no shared memory; its files, to the next start."""

from __future__ import annotations

import glob
import os
import signal
from pathlib import Path

import pytest
import strays
from scripts import Script, running

pytestmark = [
    pytest.mark.skipif("ray" not in os.environ.get("ACTORRL_ENGINES", ""), reason="make ray runs it"),
    pytest.mark.slow,
]
PROGRAM = """
import os, subprocess, sys, time
import numpy as np
from actorrl import System, fetch, share, startat

class Parent:
    def start(self, shared):
        self.shared = shared
        self.child = subprocess.Popen(["sleep", "600"])
        return self.child.pid

    def work(self):
        time.sleep(600)

with System(engine="ray"):
    parent = startat(None, Parent)
    fetch(parent.start(share(np.zeros(1_000_000))))
    beside = [startat(1, Parent) for _ in range(2)]
    fetch([one.start(None) for one in beside])
    if "goes on" in {how!r}:
        working = parent.work()
        print("ready", flush=True)
        fetch(working)
print("done", flush=True)
"""
AGAIN = """
from actorrl import System
with System(engine="ray"):
    print("started", flush=True)
"""


def files_of(script: Script) -> list[str]:
    """Of the Ray that a program started, see `ROOT` in ray_cluster.py."""
    return glob.glob(f"/tmp/ar-{script.process.pid}-*")


def in_shared_memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").iterdir() if path.stat().st_uid == os.getuid()}


def test_a_program_that_ends_in_good_order_leaves_nothing_and_ray_has_nothing_to_say():
    before = in_shared_memory()
    with running(PROGRAM.format(how="ends")) as script:
        assert script.ends(60) == 0, script.err
        script.read_all()
        assert (script.out, script.err) == ("done\n", "")  # nor that Ray suspects the memory where an actor has ended
        script.leaves_nothing()
        assert files_of(script) == []
        assert in_shared_memory() <= before


@pytest.mark.parametrize("whom", ["it alone", "its process group"])
def test_a_killed_program_leaves_no_process_and_its_files_go_at_the_next_start(whom: str):
    before = in_shared_memory()
    with running(PROGRAM.format(how="goes on")) as script:
        script.says("ready", within=60)
        assert files_of(script)
        (script.send if whom == "it alone" else script.send_group)(signal.SIGKILL)
        assert script.ends() == -signal.SIGKILL
        strays.assert_gone(script.mark, script.temporary, within=10.0)
        assert in_shared_memory() <= before

        with running(AGAIN) as again:
            assert again.ends(60) == 0, again.err
        assert files_of(script) == []


def test_ctrl_c_is_one_traceback_and_leaves_nothing():
    before = in_shared_memory()
    with running(PROGRAM.format(how="goes on")) as script:
        script.says("ready", within=60)
        script.send_group(signal.SIGINT)
        assert script.ends() in (-signal.SIGINT, 130, 1)
        script.read_all()
        assert script.err.count("KeyboardInterrupt") == 1, script.err
        script.leaves_nothing(within=10.0)
        assert files_of(script) == []
        assert in_shared_memory() <= before
