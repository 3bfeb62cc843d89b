"""A killer with a seed among the environments of a training run: the run ends as it should, or with one clear error.

Deaths come at random moments (a Poisson process), of every kind: SIGKILL, SIGSTOP and a while later SIGCONT, an
exception, os._exit, a segmentation fault.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from scripts import Script, running
from strays import alive

STEPS = 6000
RATE = 1.5
"""Blows per second."""
BLOWS = ("kill", "stop", "raise", "exit", "crash")
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "raise": signal.SIGUSR1, "exit": signal.SIGUSR2}
SIGNALS["crash"] = signal.SIGALRM
TRAINING = f"""
import ctypes, os, signal, sys, time
import gymnasium, psutil
from actorrl import Central, current, errors, train

def blow(*_):
    raise ArithmeticError("a blow")

class Corridor(gymnasium.Env):
    observation_space = gymnasium.spaces.Discrete(20)
    action_space = gymnasium.spaces.Discrete(2)
    def __init__(self):
        try:
            current()
        except RuntimeError:
            return  # the throw-away copy in the program itself
        signal.signal(signal.SIGUSR1, blow)
        signal.signal(signal.SIGUSR2, lambda *_: os._exit(3))
        signal.signal(signal.SIGALRM, lambda *_: ctypes.string_at(0))
        open(os.path.join("pids", str(os.getpid())), "w").close()
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = 0
        return 0, {{}}
    def step(self, action):
        time.sleep(0.002)
        self.position = min(19, self.position + 1)
        return self.position, 1.0, self.position == 19, False, {{}}

class Walker:
    def get_action(self, observation, step):
        return 1
    def update(self, observation, action, reward, observation_next, terminated):
        pass

os.makedirs("pids", exist_ok=True)
train(Walker(), Corridor, steps=200, arrangement=Central(8), run_dir="warm")
def open_now():
    # Without the parts of the pool, which stay mapped for the next actors in the same slots.
    links = [os.path.join("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd")]
    links = [os.readlink(link) for link in links if os.path.islink(link)]
    return sum("actorrl-pool" not in link for link in links), psutil.Process().num_threads()

before = open_now()
for name in os.listdir("pids"):
    os.unlink(os.path.join("pids", name))
print("ready", flush=True)
try:
    run = train(Walker(), Corridor, steps={STEPS}, arrangement=Central(8), run_dir="run")
    print("made", int(run.metrics["steps"][-1]), flush=True)
except Exception as error:
    print("failed", type(error).__name__, "|", str(error).splitlines()[0], flush=True)
after = open_now()
print("files and threads", before == after, before, after, flush=True)
"""


def fire(script: Script, noise: random.Random) -> list[str]:
    """Blows until the program has finished."""
    pids = Path(script.directory) / "pids"
    blows: list[str] = []
    while script.process.poll() is None and "files and threads" not in script.out:
        time.sleep(noise.expovariate(RATE))
        victims = sorted(int(path.name) for path in pids.iterdir() if alive(int(path.name)))
        if not victims:
            continue
        victim, blow = noise.choice(victims), noise.choice(BLOWS)
        blows.append(blow)
        try:
            os.kill(victim, SIGNALS[blow])
            if blow == "stop":
                time.sleep(noise.uniform(0.0, 0.5))
                os.kill(victim, signal.SIGCONT)
        except ProcessLookupError:
            continue
    return blows


@pytest.mark.slow
def test_a_training_run_under_fire_finishes_or_fails_with_one_clear_error(time_left: Callable[[], bool]):
    seed, struck, outcomes = 0, 0, []
    while time_left():
        seed += 1
        with running(TRAINING) as script:
            script.says("ready", within=60)
            blows = fire(script, random.Random(seed))
            code = script.ends(within=30)
            script.leaves_nothing()
            script.read_all()
        said = f"seed {seed}, blows {blows}\n{script.out}\n{script.err}"
        struck += len(blows)
        assert code == 0, said
        assert script.value("files and threads").startswith("True"), said
        if "made" in script.out:
            assert script.value("made") == str(STEPS), said
            outcomes.append("made")
        else:
            assert re.match(r"(RuntimeError|ActorDied) \| .*environment", script.value("failed"), re.IGNORECASE), said
            outcomes.append("failed")
    print(f"{seed} runs, {struck} blows: {outcomes.count('made')} finished, {outcomes.count('failed')} failed")
    assert struck
