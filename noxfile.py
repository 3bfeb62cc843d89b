"""Runs the tests on every Python that is installed: `nox`, or `nox -s tests-3.12` for one.

`tests` needs a torch wheel for that Python; `runtime` does without: it runs what is below reinforcement learning.
"""

from __future__ import annotations

import nox

PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
nox.options.sessions = ["tests"]
nox.options.error_on_missing_interpreters = False


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The whole suite."""
    session.install("-c", "constraints.txt", "-e", ".[cli,test,tune]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=PYTHONS)
def runtime(session: nox.Session) -> None:
    """The runtime alone, without torch and gymnasium."""
    needed = ["numpy", "cloudpickle", "pyzmq", "hypothesis", "psutil", "pytest", "pytest-timeout"]
    session.install("-c", "constraints.txt", *needed)
    session.install("--no-deps", "-e", ".")
    tests = ["tests/actor", "tests/conformance", "tests/test_floors.py"]
    session.run("python", "-m", "pytest", *tests, *session.posargs)
