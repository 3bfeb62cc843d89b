"""The directory of the sockets: private, one per system, swept only when its driver is gone."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actorrl.actor import births
from actorrl.actor.births import make_directory


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="b-") as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield Path(directory)


def left_behind(root: Path, name: str = "actorrl-gone") -> Path:
    """The directory of a system whose driver has died without a word."""
    path = root / name
    path.mkdir(mode=0o700)
    (path / "lock").touch(0o600)
    (path / "1.sock").touch()
    return path


def test_the_directory_is_private_and_new_each_time(root: Path):
    first, first_lock = make_directory()
    second, second_lock = make_directory()

    assert first != second
    for path in (first, second):
        assert Path(path).parent == root
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
        assert stat.S_IMODE(os.stat(os.path.join(path, "lock")).st_mode) == 0o600
        assert sorted(os.listdir(path)) == ["key", "lock"]
        assert stat.S_IMODE(os.stat(os.path.join(path, "key")).st_mode) == 0o600
    for lock in (first_lock, second_lock):
        assert not os.get_inheritable(lock)
        os.close(lock)


def test_the_directory_of_a_dead_system_is_swept_and_a_living_ones_stays(root: Path):
    gone = left_behind(root)
    living, lock = make_directory()
    assert not gone.exists()
    other, other_lock = make_directory()

    assert os.path.exists(living)
    os.close(lock)  # its driver dies
    _, third_lock = make_directory()
    assert not os.path.exists(living)
    assert os.path.exists(other)
    os.close(other_lock)
    os.close(third_lock)


def test_the_lock_goes_with_the_process_that_holds_it(root: Path):
    code = (
        "import os, sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from actorrl.actor.births import make_directory\n"
        "print(make_directory()[0], flush=True); sys.stdin.read(1); os._exit(9)"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert driver.stdin is not None and driver.stdout is not None
    path = driver.stdout.readline().strip()
    births._sweep(str(root))
    assert os.path.isdir(path), "its driver lives"
    driver.communicate("x", timeout=30)
    births._sweep(str(root))

    assert not os.path.exists(path)


def test_what_is_not_ours_is_left_alone(root: Path):
    (root / "actorrl-a-file").write_text("not a directory")
    (root / "actorrl-without-a-lock").mkdir()
    (root / "somebody-elses").mkdir()
    (root / "somebody-elses" / "lock").touch()
    before = sorted(os.listdir(root))
    births._sweep(str(root))

    assert sorted(os.listdir(root)) == before


def test_another_users_directory_is_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch):
    path = left_behind(root)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    births._sweep(str(root))

    assert path.exists()


def test_a_directory_is_not_swept_while_it_is_being_made(root: Path, monkeypatch: pytest.MonkeyPatch):
    """Another system starts between the making of the lock and the locking of it."""
    lock_it = fcntl.flock

    def slow(fd: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX:
            monkeypatch.setattr(fcntl, "flock", lock_it)
            births._sweep(str(root))
        lock_it(fd, operation)

    monkeypatch.setattr(fcntl, "flock", slow)
    path, lock = make_directory()

    assert os.path.isdir(path)
    births._sweep(str(root))
    assert os.path.isdir(path)
    os.close(lock)


def test_a_long_temporary_directory_is_not_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * births.LONGEST)
    made: list[Any] = []
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **options: made.append(options) or os.makedirs(options["dir"]))
    with pytest.raises(FileExistsError):
        make_directory()

    assert made == [{"prefix": "actorrl-", "dir": "/tmp"}]
    assert len(os.path.join("/tmp", "actorrl-12345678", f"{2**32}.sock")) < 107


def test_a_worker_never_starts_a_nursery():
    own = births.Births("/nowhere", "t", print, print, None)
    own._driver = False

    assert own.nursery_pid is None
    with pytest.raises(RuntimeError, match="has been shut down"):
        own.ask("actors")
    own.send("log", "to nobody")
    own.close()
