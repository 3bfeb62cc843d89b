"""Failures at the end of a program: raised there at the latest, with code 1, unless somebody has received them."""

from __future__ import annotations

import pytest
from scripts import run

FAILS = """
from actorrl import startat, fetch, wait, stop, shutdown, errors, System
import os, sys

class Fails:
    def __init__(self, how="not"):
        if how == "at birth":
            raise ValueError("born broken")
    def fail(self):
        raise ValueError("told in vain")
    def die(self):
        os._exit(3)
    def ok(self):
        return "ok"
"""


def program(text: str) -> str:
    return FAILS + "\n".join(line.strip("|") for line in text.splitlines()) + "\n"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("startat(None, Fails).fail.tell()", "told in vain"),
        ("startat(1, Fails).fail.tell()", "told in vain"),
        ("startat(None, Fails, 'at birth')", "born broken"),
        ("startat(None, Fails).die.tell()", "code 3"),
        ("ref = startat(None, Fails); ref.fail.tell(); stop(ref)", "told in vain"),
        ("ref = startat(None, Fails); ref.fail.tell(); shutdown()", "told in vain"),
        ("with System(engine='inline'): startat(None, Fails).fail.tell()", "told in vain"),
    ],
    ids=["tell", "tell at a place", "constructor", "death", "before stop", "before shutdown", "inline"],
)
def test_a_failure_nobody_received_is_raised_at_normal_exit_with_code_1(body: str, said: str):
    script = run(program(body), code=1)

    assert said in script.err
    assert "Fails" in script.err or "fail" in script.err


@pytest.mark.parametrize(
    "body",
    [
        "ref = startat(None, on_failure='ignore')(Fails)(); ref.fail.tell(); fetch(ref.ok())",
        "startat(None, on_failure='ignore')(Fails)('at birth')",
        "ref = startat(None, on_failure='ignore')(Fails)(); ref.die.tell()",
    ],
    ids=["tell", "constructor", "death"],
)
def test_ignored_failures_are_logged_and_the_exit_code_is_0(body: str):
    script = run(program(body))

    assert any(text in script.err for text in ("told in vain", "born broken", "code 3"))


def test_a_failure_that_a_call_received_is_no_failure_of_the_program():
    script = run(
        program(
            """
|ref = startat(None, Fails)
|try:
|    fetch(ref.fail())
|except ValueError as error:
|    print("received", error)
|try:
|    fetch(ref.die())
|except errors.ActorDied as error:
|    print("received", error.exitcode)
"""
        )
    )

    assert script.out == "received told in vain\nreceived 3\n"
    assert script.err == ""


def test_a_failure_that_a_fetch_raised_is_not_raised_again_at_exit():
    script = run(
        program(
            """
|ref = startat(None, Fails)
|ref.fail.tell()
|while True:
|    try:
|        fetch(ref.ok())
|    except ValueError:
|        break
"""
        )
    )

    assert "told in vain" in script.err  # it was logged at once


def test_a_future_nobody_read_is_logged_at_the_end_of_the_program():
    script = run(program("ref = startat(None, Fails)\nfuture = ref.fail()\nwait([future])\n"))

    assert "told in vain" in script.err
    assert "in fail" in script.err  # the traceback


def test_the_programs_own_exit_code_stays_its_own():
    assert run(program("fetch(startat(None, Fails).ok())\nsys.exit(7)\n"), code=7).err == ""


def test_the_programs_own_error_comes_first():
    script = run(program("startat(None, Fails).fail.tell()\nraise LookupError('of the program')\n"), code=1)

    assert "of the program" in script.err
    assert "told in vain" in script.err


def test_messages_sent_before_a_normal_exit_are_delivered():
    script = run(
        """
        import sys
        from actorrl import startat
        class Writer:
            def write(self, n):
                print(n, flush=True)
        writer = startat(None, Writer)
        for n in range(100):
            writer.write.tell(n)
        """
    )

    assert [line.split(") ")[1] for line in script.out.splitlines()] == [str(n) for n in range(100)]


def test_on_stop_is_called_at_a_normal_exit():
    script = run(
        """
        from actorrl import startat, fetch
        class Closes:
            def ok(self):
                return "ok"
            def on_stop(self):
                print("closed")
        one = startat(None, Closes), startat(1, Closes)
        fetch([ref.ok() for ref in one])
        """
    )

    assert [line.split(") ")[1] for line in script.out.splitlines()] == ["closed", "closed"]


FORKED = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork of a process with threads
from actorrl import startat, fetch, stop, get_actor, System
class Works:
    def ok(self):
        return "ok"
works = startat(None, name="works")(Works)()
future = works.ok()
fetch(future)
def attempt(call):
    try:
        call()
        return "no error"
    except RuntimeError as error:
        return "RuntimeError" if "fork" in str(error) else f"RuntimeError without a word about fork: {error}"
    except BaseException as error:
        return repr(error)
read, write = os.pipe()
child = os.fork()
if child == 0:
    calls = [works.ok, works.ok.tell, lambda: startat(None, Works), lambda: stop(works), lambda: get_actor("works")]
    os.write(write, "\\n".join(map(attempt, calls)).encode())
    sys.exit(0)
os.close(write)
_, status = os.waitpid(child, 0)
print(os.read(read, 10_000).decode())
print("exit", os.waitstatus_to_exitcode(status))
print("and the parent", fetch(works.ok(), timeout=10))
"""


def test_in_a_forked_child_everything_is_a_runtime_error_and_its_exit_hurts_nobody():
    script = run(FORKED)

    assert script.out.splitlines() == ["RuntimeError"] * 5 + ["exit 0", "and the parent ok"]
    assert script.err == ""


def test_a_multiprocessing_child_of_the_driver_hurts_nobody():
    script = run(
        """
        import multiprocessing, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from actorrl import startat, fetch
        class Works:
            def ok(self):
                return "ok"
        works = startat(None, Works)
        fetch(works.ok())
        def child():
            pass
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        print(process.exitcode, fetch(works.ok(), timeout=10))
        """
    )

    assert script.out == "0 ok\n"
    assert script.err == ""


def test_threads_of_torch_used_before_the_first_spawn():
    pytest.importorskip("torch")
    script = run(
        """
        import torch
        torch.set_num_threads(2)
        x = torch.randn(300, 300)
        (x @ x).sum().item()
        from actorrl import startat, fetch
        class Trains:
            def __init__(self):
                self.net = torch.nn.Linear(300, 300)
            def step(self, x):
                loss = self.net(x).square().mean()
                loss.backward()
                with torch.no_grad():
                    for parameter in self.net.parameters():
                        parameter -= 0.01 * parameter.grad
                return loss.item()
        trainers = [startat(None, Trains), startat(1, Trains)]
        for _ in range(2):
            losses = fetch([trainer.step(x) for trainer in trainers], timeout=60)
        print(all(loss > 0 for loss in losses))
        """
    )

    assert script.out == "True\n"
