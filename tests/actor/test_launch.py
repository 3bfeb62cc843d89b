"""Starting and ending processes: which variables need a fresh interpreter, who is found, who is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from actorrl.actor import reaping
from actorrl.actor.launch import fork_worker, needs_fresh_start
from actorrl.actor.reaping import MARK
from actorrl.actor.threads import ONE_THREAD
from actorrl.actor.worker import Settings

SLEEPER = "import sys; print('up', flush=True); sys.stdin.read()"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (None, False),
        ({}, False),
        ({"MY_SETTING": "1", "HOME": "/"}, False),
        ({"OMP_NUM_THREADS": "2"}, True),
        ({"HOME": "/", "PYTHONHASHSEED": "0"}, True),
        ({"CUDA_VISIBLE_DEVICES": ""}, True),
        ({"A_PYTHON": "1"}, False),
    ],
)
def test_what_libraries_read_at_import_needs_a_fresh_start(environment: dict[str, str] | None, expected: bool):
    assert needs_fresh_start(environment) is expected


def settings(threads: int | None, environment: dict[str, str]) -> Settings:
    return Settings("/nowhere", "t", 1, None, 0, 0, 0, environment, "/", [], threads, None, 1, 0, 0)


def test_threads_that_a_place_asks_for_are_those_of_every_library():
    mark = {MARK: "t:1"}
    own = settings(None, {"OMP_NUM_THREADS": "3"}).variables()
    assert own == {"OMP_NUM_THREADS": "3", **mark}, "the place's own `env`"
    assert settings(2, {"OMP_NUM_THREADS": "3"}).variables() == {**dict.fromkeys(ONE_THREAD, "2"), **mark}


def started() -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdin=pipe, stdout=pipe, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def test_killing_a_group_ends_it_and_what_is_gone_is_no_error():
    process = started()
    reaping.kill_group(process.pid)

    assert process.wait(20) == -signal.SIGKILL
    reaping.kill_group(process.pid)
    process.communicate()


def test_a_child_that_has_ended_is_found_and_one_that_lives_is_not():
    ended, living = started(), started()
    ended.kill()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    found = []
    for pid in reaping.ended_children([]):
        found.append(pid)
        if pid == ended.pid:
            ended.wait(20)
    assert ended.pid in found
    assert living.pid not in found
    living.communicate("x")


def test_starting_a_process_does_not_take_the_news_of_anothers_death():
    first = fork_worker(os._exit, 3)
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    second = fork_worker(os._exit, 4)

    assert first.pid in list(reaping.ended_children([first.pid]))
    assert first.reap() == 3
    os.waitid(os.P_PID, second.pid, os.WEXITED | os.WNOWAIT)
    assert second.reap() == 4


def test_descendants_are_found_through_their_parents():
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {SLEEPER!r}], start_new_session=True)\n"
        "print(child.pid, flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    grandchild = int(process.stdout.readline())
    found = reaping._descendants(os.getpid())

    assert {process.pid, grandchild} <= set(found)
    assert os.getpid() not in found
    assert reaping._descendants(process.pid) == [grandchild]
    process.communicate("x")
