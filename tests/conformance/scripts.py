"""Programs run as users run them: a file, `python -c`, stdin. For tests that need a driver of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import strays

ROOT = Path(__file__).resolve().parents[2]


class Script:
    """One running program, with a temporary directory and a mark of its own."""

    def __init__(
        self, source: str, form: str = "file", temporary: str | None = None, extra: tuple[str, ...] = ()
    ) -> None:
        self.mark, self.extra = uuid.uuid4().hex, extra
        self.directory = tempfile.mkdtemp(prefix="pytest-s-")
        self.temporary = temporary or os.path.join(self.directory, "t")
        os.makedirs(self.temporary, exist_ok=True)
        source = textwrap.dedent(source)
        command, stdin = self._command(source, form)
        env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "COV"))}
        env |= {strays.MARK: self.mark, "TMPDIR": self.temporary, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
            cwd=self.directory,
            start_new_session=True,  # a process group of its own, to be killed as one
        )
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._readers = [
            threading.Thread(target=_read, args=(stream, into), daemon=True)
            for stream, into in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))
        ]
        for reader in self._readers:
            reader.start()
        assert self.process.stdin is not None
        self.process.stdin.write(stdin)
        self.process.stdin.close()

    def _command(self, source: str, form: str) -> tuple[list[str], str]:
        if form == "-c":
            return [sys.executable, "-c", source], ""
        if form == "stdin":
            return [sys.executable, "-"], source
        path = Path(self.directory) / ("test_script.py" if form == "pytest" else "script.py")
        path.write_text(source)
        if form == "pytest":
            return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *self.extra, str(path)], ""
        if form == "-m":
            return [sys.executable, "-m", "script"], ""
        return [sys.executable, str(path)], ""

    @property
    def out(self) -> str:
        """What it has printed so far."""
        return "".join(self.lines)

    @property
    def err(self) -> str:
        """What it has written to stderr so far."""
        return "".join(self.errors)

    def says(self, word: str, within: float = 30.0) -> None:
        """Return when it has printed `word`."""
        try:
            strays.eventually(lambda: word in self.out or self.process.poll() is not None, within)
            strays.eventually(lambda: word in self.out, 1.0)
        except AssertionError:
            raise AssertionError(f"it never said {word!r}; out: {self.out}\nerr: {self.err}") from None

    def value(self, word: str) -> str:
        """What follows `word` on the line that it has printed."""
        self.says(word)
        return next(line.split(word, 1)[1].strip() for line in self.lines if word in line)

    def send(self, number: int) -> None:
        """A signal for the program alone."""
        self.process.send_signal(number)

    def send_group(self, number: int) -> None:
        """A signal for its whole process group, as a terminal sends Ctrl-C."""
        os.killpg(self.process.pid, number)

    def ends(self, within: float = 30.0) -> int:
        """Wait for its end. The exit code; minus the signal's number where one ended it."""
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {within} s; out: {self.out}\nerr: {self.err}") from None
        self.ended = time.monotonic()
        return code

    def read_all(self) -> None:
        """Wait until its output is complete: nobody holds it any more."""
        for reader in self._readers:
            reader.join(5.0)

    def leaves_nothing(self, within: float = 2.0) -> None:
        """No process and no file of it is left `within` seconds after its end."""
        spent = time.monotonic() - self.ended
        strays.assert_gone(self.mark, self.temporary, max(0.0, within - spent))

    def clean(self) -> None:
        """End whatever the test has left."""
        for pid in [self.process.pid, *strays.processes(self.mark)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        self.read_all()
        shutil.rmtree(self.directory, ignore_errors=True)


def _read(stream: Any, into: list[str]) -> None:
    with stream:
        for line in stream:
            into.append(line)


@contextmanager
def running(source: str, form: str = "file", **options: Any) -> Iterator[Script]:
    """The program, started."""
    script = Script(source, form, **options)
    try:
        yield script
    finally:
        script.clean()


def run(source: str, form: str = "file", code: int = 0, **options: Any) -> Script:
    """Run a program to its end: it exits with `code` and leaves nothing."""
    with running(source, form, **options) as script:
        found = script.ends()
        script.read_all()
        assert found == code, f"exit code {found}, expected {code}; out: {script.out}\nerr: {script.err}"
        script.leaves_nothing()
        return script
