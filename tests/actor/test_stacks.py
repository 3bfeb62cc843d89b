"""Stacks of a stuck process: from what faulthandler writes to what an error shows."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator

import pytest
import zmq

from actorrl.actor import stacks
from actorrl.actor.stacks import Dump, late, of_actor, of_thread

CELL = os.path.join(os.path.dirname(stacks.__file__), "cell.py")
FETCH = os.path.join(os.path.dirname(stacks.__file__), "waiting.py")
HEADS = (
    "Thread 0x0000000000000007 (most recent call first):\n{}\n"
    "Current thread 0x0000000000000001 [main] (most recent call first):\n{}"
)
MAIN = '  File "<string>", line 1 in <module>\n'


def frame(file: str, line: int, name: str) -> str:
    return f'  File "{file}", line {line} in {name}\n'


def dump(text: str, thread: int = 7) -> Dump:
    return Dump("step", thread, text)


def test_the_stack_of_the_actors_own_thread_is_shown_from_its_handler_on():
    theirs = frame("/env.py", 9, "wait") + frame("/env.py", 4, "step") + frame(CELL, 70, "handle") + MAIN

    running, text = of_actor(lambda: dump(HEADS.format(theirs, MAIN)))
    assert running == "step"
    assert text == '  File "/env.py", line 4, in step\n  File "/env.py", line 9, in wait\n'


@pytest.mark.parametrize("inmost", ["", frame(zmq.__file__, 9, "__init__"), frame(threading.__file__, 9, "wait")])
def test_of_the_runtime_only_what_the_handler_called_is_shown(inmost: str):
    runtime = inmost + frame(FETCH, 90, "_one") + frame(FETCH, 40, "fetch")
    theirs = runtime + frame("/a.py", 4, "step") + frame(CELL, 70, "handle")
    _, text = of_actor(lambda: dump(HEADS.format(theirs, MAIN)))

    assert [line.rsplit(", ", 1)[1] for line in text.splitlines() if "File" in line] == ["in step", "in fetch"]


def test_it_is_read_until_it_is_whole():
    whole = HEADS.format(frame("/env.py", 4, "step") + frame(CELL, 70, "handle"), MAIN)
    parts: Iterator[str] = iter([whole[:cut] for cut in (0, 0, 30, 90, len(whole) - 1)])

    assert "line 4, in step" in of_actor(lambda: dump(next(parts, whole)))[1]


def test_a_process_that_writes_nothing_and_an_actor_that_has_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stacks, "LIMIT", 0.02)

    assert of_actor(lambda: dump("")) == ("step", "")
    assert of_actor(lambda: None) == (None, "")
    assert "did not say where it was" in str(late("<ref>", 0.2, "was killed", None, ""))


def test_a_stack_deeper_than_faulthandler_shows():
    deep = frame("/env.py", 4, "step") * 100 + "  ...\n"
    _, text = of_actor(lambda: dump(f"Current thread 0x0000000000000007 (most recent call first):\n{deep}"))

    assert text.count("in step") == 100


def test_a_thread_of_this_process():
    here, go = threading.Event(), threading.Event()

    def waits() -> None:
        here.set()
        go.wait()

    thread = threading.Thread(target=waits)
    thread.start()
    here.wait()
    try:
        assert "in waits\n    go.wait()\n" in of_thread(thread.ident)
    finally:
        go.set()
        thread.join()
    assert of_thread(None) == "" and of_thread(12345) == ""


def test_a_process_writes_its_stacks_when_it_is_asked_to_though_it_holds_the_lock_of_the_interpreter():
    code = """
import ctypes, sys
from actorrl.actor.stacks import write_on_demand
def holds():
    lib = ctypes.PyDLL(None)
    print("ready", flush=True)
    while True:
        lib.usleep(1_000_000)
write_on_demand(int(sys.argv[1]), 4096)
holds()
"""
    with tempfile.TemporaryFile() as file:
        file.truncate(4096 + stacks.ROOM)
        page = mmap.mmap(file.fileno(), 4096 + stacks.ROOM)
        command = [sys.executable, "-c", code, str(file.fileno())]
        process = subprocess.Popen(command, pass_fds=[file.fileno()], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            stacks.demand(process.pid)
            main = int(threading.main_thread().ident or 0)

            def ask() -> Dump:
                text = stacks.written(page, 4096)
                found = stacks._THREAD.search(text)
                return Dump("holds", int(found.group(1), 16) if found else main, text)

            assert ", in holds\n" in of_actor(ask)[1]
        finally:
            process.kill()
            process.communicate()
