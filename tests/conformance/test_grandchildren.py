"""What an actor has started ends with it or with the fork server, within 2 s; terminals do what people expect."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scripts import Script, running
from strays import alive, eventually, processes

WITHIN = 2.0
BREEDER = """
import multiprocessing, os, signal, subprocess, sys, time
from actorrl import startat, fetch, errors, stop, kill

class Breeder:
    def breed(self):
        sleep = ["sleep", "300"]
        plain = subprocess.Popen(sleep).pid
        session = subprocess.Popen(sleep, start_new_session=True).pid
        shell = "(sleep 300 >/dev/null 2>&1 & echo $!)"
        background = subprocess.run(["sh", "-c", shell], capture_output=True, text=True).stdout
        nested = subprocess.Popen(["sh", "-c", "sleep 300 & wait"], start_new_session=True).pid
        forked = os.fork()
        if not forked:
            signal.pause()
        return [plain, session, int(background), nested, forked]
    def parent(self):
        return os.getppid()
    def pid(self):
        return os.getpid()
    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)
    def ok(self):
        return "ok"

one, other = [startat(place, on_failure="ignore")(Breeder)() for place in (None, 3)]
print("one", *fetch(one.breed()))
print("other", *fetch(other.breed()))
print("server", fetch(one.parent()), "and", fetch(one.pid()), fetch(other.pid()))
print("ready", flush=True)
"""


def pids(script: Script, word: str) -> list[int]:
    return [int(pid) for pid in script.value(word).replace("and", "").split()]


def gone(left: list[int]) -> None:
    eventually(lambda: not any(alive(pid) for pid in left), WITHIN, f"one of {left} lives on")


@pytest.mark.parametrize("end", ["one.die.tell()", "kill(one)", "stop(one)"])
def test_what_an_actor_has_started_ends_with_it_and_nothing_of_its_neighbours(end: str):
    rest = f"{end}\nprint('over', flush=True)\nsys.stdin = None\nwhile True: time.sleep(1)\n"
    with running(BREEDER + rest) as script:
        script.says("over")
        gone(pids(script, "one "))
        assert all(alive(pid) for pid in pids(script, "other "))
        script.send(signal.SIGKILL)
        script.ends()
        script.leaves_nothing()


def test_what_was_started_under_a_fork_server_that_is_killed_is_gone_while_the_driver_lives():
    with running(BREEDER + "while True: time.sleep(1)\n") as script:
        script.says("ready")
        server = pids(script, "server ")
        os.kill(server[0], signal.SIGKILL)
        gone([*server, *pids(script, "one "), *pids(script, "other ")])
        assert list(processes(script.mark)) == [script.process.pid]
        script.send(signal.SIGKILL)
        script.ends()
        assert list(processes(script.mark)) == []


def test_the_driver_and_the_fork_server_killed_at_once_leave_no_actor():
    with running(BREEDER + "while True: time.sleep(1)\n") as script:
        script.says("ready")
        server = pids(script, "server ")
        script.send(signal.SIGSTOP)  # so that neither can clean up after the other
        os.kill(server[0], signal.SIGKILL)
        script.send(signal.SIGKILL)
        script.ends()
        gone(server)


TERMINAL = """
import time
from actorrl import startat, fetch, stop
class Works:
    def sleep(self):
        time.sleep(300)
    def ok(self):
        return "ok"
works, asleep = startat(None, Works), startat(2, Works)
fetch([works.ok(), asleep.ok()])
"""


class Terminal:
    """A program on a terminal of its own, as in a window."""

    def __init__(self, script: str, mark: str) -> None:
        self.master, slave = pty.openpty()
        environment = {**os.environ, "ACTORRL_TESTS_MARK": mark, "PYTHONPATH": os.getcwd()}
        takes = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "  # the terminal as its own
        takes += "os.execv(sys.argv[1], sys.argv[1:])"
        command = [sys.executable, "-c", takes, sys.executable, "-c", textwrap.dedent(script)]
        ends = {"stdin": slave, "stdout": slave, "stderr": slave}
        self.process = subprocess.Popen(command, start_new_session=True, env=environment, **ends)  # type: ignore[call-overload]
        os.close(slave)
        self.out = ""

    def says(self, word: str) -> None:
        while word not in self.out:
            self.out += os.read(self.master, 4096).decode()

    def rest(self) -> str:
        try:
            while data := os.read(self.master, 4096):
                self.out += data.decode()
        except OSError:
            pass  # its end
        return self.out


@contextmanager
def terminal(script: str) -> Iterator[Terminal]:
    mark = f"terminal-{os.getpid()}-{id(script)}"
    window = Terminal(TERMINAL + textwrap.dedent(script), mark)
    try:
        yield window
        window.process.wait(20)
        eventually(lambda: not processes(mark), WITHIN, "something outlives it")
    finally:
        for pid in [*processes(mark), *([window.process.pid] if window.process.poll() is None else [])]:
            os.kill(pid, signal.SIGKILL)
        window.process.wait()
        try:
            os.close(window.master)
        except OSError:
            pass


def test_a_terminal_that_is_closed_ends_everything():
    with terminal("print('ready', flush=True)\nfetch(asleep.sleep())\n") as window:
        window.says("ready")
        os.close(window.master)

        assert window.process.wait(20) == -signal.SIGHUP


def test_ctrl_c_at_a_terminal_is_one_traceback():
    with terminal("print('ready', flush=True)\nfetch(asleep.sleep())\n") as window:
        window.says("ready")
        os.write(window.master, b"\x03")
        said = window.rest()

        assert window.process.wait(20) in (-signal.SIGINT, 130)
        assert said.count("Traceback") == said.count("KeyboardInterrupt") == 1


def test_ctrl_c_again_while_the_program_ends_does_not_wait_for_it():
    script = """
    import sys
    try:
        print('ready', flush=True)
        fetch(asleep.sleep())
    finally:
        print('first', flush=True)
        stop(asleep, timeout=300)
    """
    with terminal(script) as window:
        window.says("ready")
        os.write(window.master, b"\x03")
        window.says("first")
        os.write(window.master, b"\x03")
        window.rest()

        assert window.process.wait(10) in (-signal.SIGINT, 130)


def test_a_program_that_handles_sigterm_shuts_down_in_good_order():
    script = """
    import signal, sys
    class Tidy:
        def ok(self):
            return "ok"
        def on_stop(self):
            print("tidied up", flush=True)
    tidy = startat(None, Tidy)
    fetch(tidy.ok())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    print('ready', flush=True)
    time.sleep(300)
    """
    with terminal(script) as window:
        window.says("ready")
        window.process.send_signal(signal.SIGTERM)
        said = window.rest()

        assert window.process.wait(20) == 3
        assert "tidied up" in said and "Traceback" not in said
