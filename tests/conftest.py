"""What every test stands on: a private temporary directory, and the check that nothing outlives its module.

The tests under `conformance/` share the plain modules beside them (actors, gates, scripts, strays), which is why
that folder is on the path.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "conformance"))

import strays
from shared_system import shared, wanted

# A short name: the path of a unix socket has about 100 characters.
TEMPORARY = tempfile.mkdtemp(prefix="t-")
os.environ["TMPDIR"] = tempfile.tempdir = TEMPORARY
# Every process the tests start inherits this, whoever its parent is by then: that is how a stray is recognised.
os.environ[strays.MARK] = uuid.uuid4().hex
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the shared system of the conformance tests before the first test that does not run in it."""
    if wanted(nextitem) != shared.name:
        shared.close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    shared.close()
    if not session.testsfailed:
        shutil.rmtree(TEMPORARY, ignore_errors=True)


@pytest.fixture(autouse=True, scope="module")
def nothing_outlives_its_module() -> Iterator[None]:
    """No child process, no socket directory and no shared memory is left when a module's last test has ended."""
    mark = os.environ[strays.MARK]
    before = strays.processes(mark), strays.files(TEMPORARY)
    yield
    if shared.name is None:  # it looks for itself when it ends
        strays.assert_gone(mark, TEMPORARY, within=5.0, known=before)
