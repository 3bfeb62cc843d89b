"""What actors print comes out of the driver: whole lines with a prefix, all of them, each on the stream it was for."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile

import pytest
from engines import only_processes
from gates import Gate
from scripts import ROOT, run, running
from strays import eventually

from actorrl import fetch, kill, startat
from actorrl.errors import ActorDied

TALKER = r"""
import ctypes, logging, os, signal, subprocess, sys, threading, time
from actorrl import startat, fetch, errors, stop, kill, current

class Talker:
    def say(self, *lines, to="stdout"):
        for line in lines:
            print(line, file=getattr(sys, to))
    def direct(self):
        os.write(1, b"out by number\n")
        os.write(2, b"err by number\n")
        subprocess.run(["sh", "-c", "echo out of a child; echo err of a child >&2"])
    def log(self):
        logging.getLogger("mine").warning("logged")
    def begin(self):
        print("begun", end="")
        sys.stderr.write("begun too")
    def many(self, n):
        for i in range(n):
            print("line", i, "x" * 50)
    def lines(self, name, n):
        for i in range(n):
            print(name, i)
    def pid(self):
        return os.getpid()
    def die(self):
        print("before the end")
        sys.stderr.write("python's last\n")
        os.write(2, b"number's last")
        os.kill(os.getpid(), signal.SIGKILL)
    def crash(self):
        ctypes.string_at(0)
    def on_stop(self):
        print("stopping")
"""


def test_every_line_says_who_wrote_it_and_stays_on_its_stream():
    script = run(
        TALKER
        + """
one, two, three = startat(None, Talker), startat(None, name="named")(Talker)(), startat(1, Talker)
fetch([one.say("hello"), two.say("hello"), three.say("hello"), one.say("oh", to="stderr"), one.log()])
print("pids", *fetch([one.pid(), two.pid(), three.pid()]))
"""
    )
    one, two, three = script.value("pids").split()

    said = {line.strip() for line in script.lines if not line.startswith("pids")}
    who = [f"(Talker {one})", f"(named {two})", f"(Talker {three})"]
    assert said == {f"{name} {word}" for name in who for word in ("hello", "stopping")}
    assert [line.strip() for line in script.errors] == [f"(Talker {one}) oh", f"(Talker {one}) logged"]


def test_several_actors_of_a_place_speak_with_its_name_and_in_whole_lines():
    script = run(
        TALKER
        + """
talkers = [startat(3, Talker) for _ in range(4)]
print("pid", fetch(talkers[0].pid()))
fetch([talker.lines(name, 200) for talker, name in zip(talkers, "abcd")])
"""
    )
    prefix = f"(place 3 {script.value('pid')}) "
    said = [line.removeprefix(prefix).strip() for line in script.lines]

    for name in "abcd":
        assert [line for line in said if line.startswith(name)] == [f"{name} {i}" for i in range(200)]
    assert [line for line in said if line[0] not in "abcdp"] == ["stopping", "... repeated 3 times"]


def test_what_c_code_and_subprocesses_write_comes_out_too():
    script = run(TALKER + "fetch(startat(None, Talker).direct())\n")

    assert [line.split(") ")[1] for line in script.lines] == ["out by number\n", "out of a child\n", "stopping\n"]
    assert [line.split(") ")[1] for line in script.errors] == ["err by number\n", "err of a child\n"]


def test_a_line_that_an_actor_repeats_is_folded():
    script = run(TALKER + "fetch(startat(None, Talker).say(*['again'] * 42, 'other'))\n")

    said = [line.split(") ")[1].strip() for line in script.lines]
    assert said[0] == "again" and said[-2:] == ["other", "stopping"]
    folded = [int(line.split()[2]) for line in said if line.startswith("... repeated")]
    assert sum(folded) + said.count("again") == 42 and len(said) < 10


def test_a_line_that_was_only_begun_comes_out_a_moment_later():
    rest = "fetch(startat(None, Talker).begin())\nprint('waits', flush=True)\ntime.sleep(60)\n"
    with running(TALKER + rest) as script:
        script.says("waits")
        script.says(") begun\n")
        eventually(lambda: ") begun too\n" in script.err)


def test_nothing_is_lost_at_a_stop_a_kill_a_death_or_the_end_of_the_program():
    script = run(
        TALKER
        + """
stopped, killed, dies, left = [startat(None, on_failure="ignore")(Talker)() for _ in range(4)]
for talker in (stopped, killed, dies, left):
    talker.many.tell(3000)
stop(stopped)
fetch(killed.many(1))
kill(killed)
try:
    fetch(dies.die())
except errors.ActorDied:
    pass
print("pids", *[ref for ref in (stopped, killed, dies, left)])
"""
    )
    by_actor: dict[str, list[str]] = {}
    for line in script.lines:
        if line.startswith("("):
            who, said = line[1:].split(") ", 1)
            by_actor.setdefault(who, []).append(said.strip())
    lines = [f"line {i} {'x' * 50}" for i in range(3000)]
    expected = [[*lines, "stopping"]] * 2 + [[*lines, "before the end"], [*lines, lines[0]]]

    assert sorted(by_actor.values(), key=lambda said: said[-1]) == sorted(expected, key=lambda said: said[-1])


def test_a_terminal_that_is_slow_slows_the_actor_and_nobody_else():
    source = (
        TALKER
        + """
talks, other = startat(None, Talker), startat(None, Talker)
flood = talks.many(50_000)
sys.stderr.write("flooding\\n")
while not flood.done():
    fetch(other.pid(), timeout=20)
    fetch(startat(None, on_failure="ignore")(Talker)().pid(), timeout=20)
    sys.stderr.write("alive\\n")
    time.sleep(0.01)
"""
    )
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", source], stdout=pipe, stderr=pipe, env=environment, text=True)
    assert process.stdout is not None and process.stderr is not None
    try:
        # Nobody reads stdout, which would hold about 3,000 lines of it: the others live on all the same.
        for _ in range(8):
            assert process.stderr.readline() in ("flooding\n", "alive\n")
        out = process.stdout.read()
        process.stderr.read()
        assert process.wait(60) == 0
        assert sum(") line " in line for line in out.splitlines()) == 50_000
    finally:
        process.kill()
        process.wait()


def test_the_output_goes_to_what_is_sys_stdout_in_the_driver_just_then():
    script = run(
        TALKER
        + """
import contextlib, io
talker = startat(None, Talker)
with contextlib.redirect_stdout(io.StringIO()) as taken:
    fetch(talker.say("captured"))
    stop(talker)
    while "stopping" not in taken.getvalue():
        time.sleep(0.001)
print("taken:", repr(taken.getvalue()))
"""
    )

    assert script.out.count("captured") == 1 and "taken: '(Talker" in script.out


NOTEBOOK = """
import json, nbclient, nbformat
says = "class Says:\\n    def say(self, x):\\n        print(x)\\n        time.sleep(0.3)\\n"
first = f"import time\\nfrom actorrl import startat, fetch\\n{says}ref = startat(None, Says)\\nfetch(ref.say('one'))"
notebook = nbformat.v4.new_notebook()
notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in (first, "fetch(ref.say('two'))")]
nbclient.NotebookClient(notebook, timeout=60).execute()
print(json.dumps(["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]))
"""


def test_in_a_notebook_the_output_appears_in_the_cell_that_runs():
    for needed in ("nbformat", "nbclient", "ipykernel"):
        pytest.importorskip(needed)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", NOTEBOOK]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)

    assert done.returncode == 0, done.stderr
    assert [line.split(") ")[1] for line in json.loads(done.stdout)] == ["one\n", "two\n"]


def test_a_driver_without_stdout_and_stderr_runs_all_the_same():
    code = TALKER + "fetch([startat(None, Talker).many(100), startat(2, Talker).direct()])\nopen('done', 'w')\n"
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with tempfile.TemporaryDirectory(prefix="pytest-") as directory:
        command = 'exec "$0" -c "$1" >&- 2>&- <&-'
        done = subprocess.run(["sh", "-c", command, sys.executable, code], env=environment, cwd=directory, timeout=60)
        assert done.returncode == 0
        assert os.listdir(directory) == ["done"]


@only_processes
@pytest.mark.parametrize("place", [None, 4])
def test_the_error_of_a_death_has_the_last_words_however_they_were_written(engine: str, place: int | None):
    class Dies:
        def die(self) -> None:
            sys.stderr.write("by Python\n")
            os.write(2, b"by number\n")
            subprocess.run(["sh", "-c", "echo by a child >&2"])
            os.abort()

    with pytest.raises(ActorDied) as caught:
        fetch(startat(place, on_failure="ignore")(Dies)().die())

    assert caught.value.stderr.startswith("by Python\nby number\nby a child\nFatal Python error: Aborted")
    assert re.search(r"line \d+ in die\n", caught.value.stderr), "and where it was"


@only_processes
def test_last_words_of_an_actor_that_is_killed(engine: str, gate: Gate):
    class Waits:
        def wait(self, gate: Gate) -> None:
            os.write(2, b"still waiting")
            gate.through()

    ref = startat(None, Waits)
    future = ref.wait(gate)
    gate.entered()
    kill(ref)

    with pytest.raises(ActorDied) as caught:
        fetch(future)
    assert caught.value.stderr == "still waiting"
