"""Programs side by side, each with actors that die: what happens to one is nothing to the other."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable

import pytest
from scripts import running
from strays import alive, eventually

PROGRAM = """
import os, sys
from actorrl import startat, fetch, errors
class Works:
    def pid(self):
        return os.getpid()
    def ok(self, data):
        return len(data)
made = [startat(place, on_failure="ignore")(Works)() for place in (None, None, 1, 2)]
pids = fetch([ref.pid() for ref in made])
print("pids", *pids, flush=True)
died = 0
for line in sys.stdin:
    for i, ref in enumerate(made):
        try:
            assert fetch(ref.ok(b"x" * 1000), timeout=20) == 1000
        except errors.ActorDied:
            died += 1
            made[i] = startat(None, on_failure="ignore")(Works)()
    print("round", line.strip(), died, flush=True)
"""


@pytest.mark.slow
def test_two_programs_side_by_side_one_of_them_under_fire(time_left: Callable[[], bool]):
    noise = random.Random(1)
    while time_left():
        with running(PROGRAM.replace("for line in sys.stdin", "for line in '123456789'")) as calm:
            with running(PROGRAM.replace("for line in sys.stdin", "for line in '123456789' * 50")) as other:
                pids = [int(pid) for pid in other.value("pids").split()]
                for pid in pids:
                    if noise.random() < 0.7 and alive(pid):
                        os.kill(pid, signal.SIGKILL)
                if noise.random() < 0.5:
                    other.send(signal.SIGKILL)
                other.ends()
                other.leaves_nothing()
            calm.ends()
            eventually(lambda script=calm: "round 9 0" in script.out, what=calm.err)
            calm.leaves_nothing()
