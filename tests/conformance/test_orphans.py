"""No process outlives its driver by more than 2 s, however it ends; no socket stays; Ctrl-C is one clean traceback."""

from __future__ import annotations

import os
import signal
import textwrap

import pytest
from scripts import Script, run, running
from strays import eventually, processes

FAMILY = """
import os, signal, subprocess, sys, time
from actorrl import remote, startat, fetch, errors, current

class Parent:
    def spawn(self):
        self.child = startat(None, Worker)
        return fetch(self.child.start())

class Worker:
    def start(self):
        subprocess.Popen(["sleep", "300"])
        subprocess.Popen(["sleep", "300"], start_new_session=True)      # leaves the process group, not the tree
        subprocess.run(["sh", "-c", "sleep 300 >/dev/null 2>&1 &"])     # leaves the tree, not the group
        return os.getpid()
    def forks(self):
        if os.fork() == 0:
            signal.pause()
    def busy(self):
        while True:
            pass
    def sleep(self):
        time.sleep(300)
    def ok(self):
        return "ok"

alone, placed, parent = startat(None, Worker), startat(1, Worker), startat(2, Parent)
pids = [fetch(alone.start()), fetch(placed.start()), fetch(parent.spawn())]
fetch(alone.forks())
busy, asleep = startat(None, Worker), startat(None, Worker)
"""
READY = 'print("ready", flush=True)\n'
BUSY = "waiting = [busy.busy(), asleep.sleep()]\n"

ENDS = {
    "normal exit": "",
    "sys.exit": "sys.exit(0)\n",
    "exception": 'raise LookupError("of the driver")\n',
    "os._exit": "os._exit(0)\n",
    "abort": "os.abort()\n",
    "shutdown": "import actorrl; actorrl.shutdown()\n",
}
CODES = {"exception": 1, "abort": -signal.SIGABRT}


@pytest.mark.parametrize("end", ENDS)
def test_the_driver_ends_by_itself(end: str):
    script = run(FAMILY + READY + ENDS[end], code=CODES.get(end, 0))

    assert "ready" in script.out
    if end == "exception":
        assert script.err.count("Traceback") == 1
        assert "of the driver" in script.err


def family(script: Script) -> None:
    """The driver is ready and its family is as large as it should be."""
    script.says("ready")
    assert len(processes(script.mark)) >= 16


SIGNALS = ["SIGKILL", "SIGTERM", "SIGHUP", "SIGQUIT"]


@pytest.mark.parametrize("group", [False, True], ids=["alone", "with its process group"])
@pytest.mark.parametrize("number", SIGNALS)
def test_the_driver_is_ended_by_a_signal(number: str, group: bool):
    with running(FAMILY + BUSY + READY + "fetch(waiting)\n") as script:
        family(script)
        (script.send_group if group else script.send)(getattr(signal, number))
        code = script.ends()
        script.leaves_nothing()

        assert code == -getattr(signal, number)


@pytest.mark.parametrize("what", ["fetch(waiting)", "time.sleep(60)", "fetch(waiting[0], timeout=60)"])
@pytest.mark.parametrize("group", [False, True], ids=["alone", "as a terminal does"])
def test_ctrl_c_is_one_clean_keyboard_interrupt(what: str, group: bool):
    with running(FAMILY + BUSY + READY + what + "\n") as script:
        family(script)
        (script.send_group if group else script.send)(signal.SIGINT)
        code = script.ends(within=10)
        script.leaves_nothing()
        script.read_all()

    assert code in (-signal.SIGINT, 130)
    assert script.err.count("KeyboardInterrupt") == 1, script.err
    assert script.err.count("Traceback (most recent call last)") == 1, script.err
    assert script.errors[-1] == "KeyboardInterrupt\n", script.err


def test_ctrl_c_that_the_program_catches_leaves_its_actors_working():
    rest = """
    try:
        print("ready", flush=True)
        fetch(waiting)
    except KeyboardInterrupt:
        print("caught", fetch(alone.ok()), fetch(placed.ok()), flush=True)
    os._exit(0)
    """
    with running(FAMILY + BUSY + textwrap.dedent(rest)) as script:
        family(script)
        script.send_group(signal.SIGINT)
        code = script.ends()
        script.leaves_nothing()

        assert (code, script.value("caught")) == (0, "ok ok")


def test_a_second_ctrl_c_kills():
    rest = """
    from actorrl import stop
    print("ready", flush=True)
    try:
        fetch(waiting)
    except KeyboardInterrupt:
        print("first", flush=True)
        stop(busy, timeout=60)
    """
    with running(FAMILY + BUSY + textwrap.dedent(rest)) as script:
        family(script)
        script.send_group(signal.SIGINT)
        script.says("first")
        script.send_group(signal.SIGINT)
        script.ends(within=5)
        script.leaves_nothing()


def test_ctrl_c_while_actors_are_being_spawned():
    rest = """
    print("ready", flush=True)
    while True:
        startat(None, Worker).ok()
    """
    with running(FAMILY + textwrap.dedent(rest)) as script:
        family(script)
        before = len(processes(script.mark))
        eventually(lambda: len(processes(script.mark)) > before + 2)
        script.send_group(signal.SIGINT)
        script.ends(within=10)
        script.leaves_nothing()
        script.read_all()

    assert script.err.count("KeyboardInterrupt") == 1, script.err


def test_kill_of_the_fork_server_fails_its_actors_and_the_next_spawn_starts_another():
    script = run(
        """
        import os, signal, time
        from actorrl import startat, fetch, errors
        class Where:
            def parent(self):
                return os.getppid()
            def ok(self):
                return "ok"
        where = startat(None, on_failure="ignore")(Where)()
        server = fetch(where.parent())
        os.kill(server, signal.SIGKILL)
        start = time.monotonic()
        try:
            while True:
                fetch(where.ok(), timeout=20)
        except errors.ActorDied as error:
            print("died", error.exitcode, time.monotonic() - start < 1.0)
        again = startat(None, Where)
        print(fetch(again.ok(), timeout=20), fetch(again.parent()) != server)
        """
    )

    assert script.out == "died None True\nok True\n"


def test_two_programs_side_by_side_do_not_disturb_each_other():
    with running(FAMILY + READY + "fetch(asleep.sleep())\n") as one, running(FAMILY + READY) as other:
        family(one)
        other.says("ready")
        other.ends()
        other.leaves_nothing()
        assert one.process.poll() is None
        assert len(processes(one.mark)) >= 10
        os.kill(one.process.pid, signal.SIGKILL)
        one.ends()
        one.leaves_nothing()


def test_what_a_power_cut_left_is_swept_at_the_next_start():
    """A power cut ends everything at once: the driver, its actors and whoever would have swept up."""
    with running(FAMILY + READY + "fetch(asleep.sleep())\n") as script:
        family(script)
        for pid in [script.process.pid, *processes(script.mark)]:
            os.kill(pid, signal.SIGSTOP)
        for pid in [*processes(script.mark), script.process.pid]:
            os.kill(pid, signal.SIGKILL)
        script.ends()

        run(FAMILY + READY, temporary=script.temporary)
        assert os.listdir(script.temporary) == []
