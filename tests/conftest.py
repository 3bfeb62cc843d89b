"""What every test stands on: a private temporary directory, and the check that nothing outlives its module.

The tests under `conformance/` share the plain modules beside them (actors, gates, scripts, strays), which is why
that folder is on the path.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent / "conformance"))

import strays
from shared_system import named, shared, wanted

ON_RAY = "ray" in os.environ.get("ACTORRL_ENGINES", "")
# A short name: the path of a unix socket has about 100 characters.
TEMPORARY = tempfile.mkdtemp(prefix="t-")
os.environ["TMPDIR"] = tempfile.tempdir = TEMPORARY
# Every process the tests start inherits this, whoever its parent is by then: that is how a stray is recognised.
os.environ[strays.MARK] = uuid.uuid4().hex
os.environ.setdefault("OMP_NUM_THREADS", "1")
hypothesis.settings.register_profile("actorrl", deadline=None)  # how long an example takes says how busy the machine is
hypothesis.settings.load_profile("actorrl")
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a shell starts what it runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos", type=float, metavar="SECONDS", help="run tests/chaos too, each for about so long")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`tests/chaos` takes minutes: it is run where it is asked for."""
    return True if "chaos" in collection_path.parts and config.getoption("--chaos") is None else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where two processes run the tests, one takes those of the runtime: many small waits, and systems they share.

    On Ray a test may take longer: several systems of Ray's start in some, or many actors.
    """
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        runtime = folder in ("actor", "conformance")
        item.add_marker(pytest.mark.xdist_group("runtime" if runtime else f"{folder}/{item.path.name}"))
        if ON_RAY and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(10 * strays.PATIENCE))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the shared system of the conformance tests before the first test that does not run in it.

    Within a module the next engine's fixture does, after those that stand on this one.
    """
    following = wanted(nextitem)
    same_module = nextitem is not None and nextitem.path == item.path
    if following != shared.name and not (following and same_module):
        shared.close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    shared.close()
    if not session.testsfailed:
        shutil.rmtree(TEMPORARY, ignore_errors=True)


@pytest.fixture(autouse=True)
def nothing_stays_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test with a system of its own, or none, as many sockets, pipes and threads are open as before it."""
    if wanted(request.node) is not None or shared.name is not None or named(request.node) == "ray":
        yield  # actors of the shared system live on: it is looked at when it ends; Ray keeps some of its own
        return
    before, threads = strays.connections(), set(threading.enumerate())
    yield

    def new_threads() -> set[threading.Thread]:
        # One that gives shares back lives as long as the memory they are in, which is as long as the process.
        return {thread for thread in threading.enumerate() if thread.name != "actorrl-shares"} - threads

    def as_before() -> bool:
        return len(strays.connections()) <= len(before) and not new_threads()

    if shared.name is None and not as_before():
        gc.collect()
        text = f"open before: {before}, now {strays.connections()}; new: {new_threads()}"
        strays.eventually(as_before, within=5.0, what=text)


@pytest.fixture(autouse=True, scope="module")
def nothing_outlives_its_module() -> Iterator[None]:
    """No child process, no socket directory and no shared memory is left when a module's last test has ended."""
    mark = os.environ[strays.MARK]
    before = strays.processes(mark), strays.files(TEMPORARY)
    yield
    if shared.name is None:  # it looks for itself when it ends
        strays.assert_gone(mark, TEMPORARY, within=5.0, known=before)
