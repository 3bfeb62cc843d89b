"""stop() of an actor that is stuck: its process is killed, and the TimeoutError says where it was."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from engines import only_processes
from gates import Gate
from scripts import run
from strays import eventually

from actorrl import fetch, startat, stop


class Stuck:
    def wait(self, gate: Gate) -> None:
        self.wait_deeper(gate)

    def wait_deeper(self, gate: Gate) -> None:
        gate.through()

    def hold(self, gate: Gate) -> None:
        """Hold the interpreter's lock in C code."""
        (Path(gate.directory) / "entered").touch()
        library = ctypes.PyDLL(None)
        for _ in range(60):
            library.usleep(1_000_000)  # a signal wakes it

    def ask(self, other: Any, gate: Gate) -> None:
        fetch(other.wait(gate))

    def pause(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def pid(self) -> int:
        return os.getpid()

    def on_stop(self) -> None:
        if getattr(self, "slow", None) is not None:
            self.slow.through()

    def be_slow(self, gate: Gate) -> None:
        self.slow = gate


def stuck(ref: Any) -> str:
    with pytest.raises(TimeoutError) as caught:
        stop(ref, timeout=0.2)
    assert type(caught.value) is TimeoutError
    return str(caught.value)


@pytest.mark.parametrize("place", [None, 11])
def test_the_stack_of_the_stuck_handler_is_in_the_error(engine: str, gate: Gate, place: int | None):
    refs = [startat(place, on_failure="ignore")(Stuck)() for _ in range(2)]
    calls = [threading.Thread(target=refs[0].wait, args=(gate,)), threading.Thread(target=refs[1].pid)]
    for call in calls:
        call.start()
    gate.entered()
    text = stuck(refs[0])

    assert "did not stop within 0.2 s" in text
    assert ", in wait\n" in text and ", in wait_deeper\n    gate.through()\n" in text and ", in through\n" in text
    assert "cell.py" not in text and "threading.py" not in text, "only from the handler on"
    gate.open()
    for call in calls:
        call.join(20)


@only_processes
def test_a_handler_that_holds_the_interpreters_lock_in_c_code(engine: str, gate: Gate):
    ref = startat(None, on_failure="ignore")(Stuck)()
    ref.hold.tell(gate)
    gate.entered()
    text = stuck(ref)

    assert "while it ran 'hold'" in text and ", in hold\n    library.usleep" in text


@only_processes
def test_a_handler_that_waits_for_another_actor(engine: str, gate: Gate):
    ref, other = startat(None, on_failure="ignore")(Stuck)(), startat(None, on_failure="ignore")(Stuck)()
    ref.ask.tell(other, gate)
    gate.entered()
    text = stuck(ref)

    assert ", in ask\n    fetch(other.wait(gate))\n" in text and text.rstrip().splitlines()[-2].endswith(", in fetch")


@only_processes
def test_an_on_stop_that_is_stuck(engine: str, gate: Gate):
    ref = startat(None, on_failure="ignore")(Stuck)()
    fetch(ref.be_slow(gate))

    assert ", in on_stop\n    self.slow.through()\n" in stuck(ref)


@only_processes
def test_a_process_that_is_suspended_cannot_say_where_it_is(engine: str):
    ref = startat(None, on_failure="ignore")(Stuck)()
    process = psutil.Process(fetch(ref.pid()))
    ref.pause.tell()
    eventually(lambda: process.status() == psutil.STATUS_STOPPED)
    start = time.monotonic()

    assert "it did not say where it was" in stuck(ref)
    assert time.monotonic() - start < 10


@only_processes
def test_an_actor_that_stops_another_gets_the_stack_too(engine: str, gate: Gate):
    class Boss:
        def fire(self, ref: Any, gate: Gate) -> str:
            ref.wait.tell(gate)
            gate.entered()
            try:
                stop(ref, timeout=0.2)
            except TimeoutError as error:
                return str(error)
            return "it stopped"

    ref = startat(None, on_failure="ignore")(Stuck)()
    boss = startat(None, Boss)

    assert ", in wait_deeper\n" in fetch(boss.fire(ref, gate))


def test_a_shutdown_that_has_to_kill_says_where_the_actor_was():
    script = run(
        """
        import time
        from actorrl import startat, shutdown
        class Sleeps:
            def sleep(self):
                print("asleep", flush=True)
                time.sleep(300)
        startat(None, Sleeps).sleep.tell()
        shutdown(0.5)
        """
    )

    assert "killed at shutdown, still busy: <ActorRef Sleeps #1>" in script.err
    assert ", in sleep\n    time.sleep(300)\n" in script.err
