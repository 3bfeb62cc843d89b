"""Promise 8: nothing listens beyond this machine, and only the user can open what listens on it."""

from __future__ import annotations

import os
import pickle
import random
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq
from actors_for_tests import Counter, add
from engines import not_on_ray, only_processes

from actorrl import fetch, startat, stop


@not_on_ray("the ports are Ray's, which listen on the network")
@only_processes
def test_no_process_listens_on_the_network(engine: str):
    counter = startat(0, Counter, 0)
    fetch(add(counter, 1))
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]

    assert len(family) > 1
    for process in family:
        listening = [c for c in process.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
        assert listening == [], f"{process} listens: {listening}"
    stop(counter)


@only_processes
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells where the sockets are")
def test_sockets_live_in_a_0700_directory(engine: str):
    counter = startat(0, Counter, 0)
    fetch(add(counter, 1))
    paths = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if len(line.split()) == 8]
    here = os.environ["TMPDIR"]
    ours = [Path(path) for path in paths if path.startswith(here)]

    for path in ours:
        inner = path.parent
        modes = []
        while str(inner) != here:
            modes.append(stat.S_IMODE(inner.stat().st_mode))
            inner = inner.parent
        assert 0o700 in modes, f"{path}: its directories have the modes {[oct(mode) for mode in modes]}"
    # An abstract socket (its name begins with @) has no directory and is open to every user of the machine.
    assert [path for path in paths if re.match(r"@.*actorrl", path)] == []
    stop(counter)


class Bomb:
    """Goes off when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@not_on_ray("there are no sockets of ours")
@only_processes
def test_of_a_stranger_no_byte_is_unpickled_and_the_actor_lives_on(engine: str, tmp_path: Path):
    """Only the user's own programs can open the sockets; one that does without the key is not listened to."""
    counters = [startat(None, Counter, 0), startat(0, Counter, 0)]
    fetch([add(counter, 1) for counter in counters])
    bomb = pickle.dumps([1, Bomb(tmp_path / "went-off")], 5)
    noise = random.Random(0)
    context = zmq.Context()
    doors = list(Path(os.environ["TMPDIR"]).glob("actorrl-*/*.sock"))
    assert len(doors) >= 3, "the driver's and two actors'"
    for door in doors:
        stranger = context.socket(zmq.PUSH)
        stranger.connect(f"ipc://{door}")
        for parts in ([bomb], [b"\x01\x04" + bomb, bomb], [b""], [noise.randbytes(50)], [bomb + noise.randbytes(16)]):
            stranger.send_multipart(parts)
        stranger.close(1000)
    context.term()

    for _ in range(100):
        fetch([add(counter, 1) for counter in counters])
    assert list(tmp_path.iterdir()) == []
    for counter in counters:
        assert fetch(add(counter, 1)) == 102
        stop(counter)


def test_importing_actorrl_does_not_import_torch():
    script = (
        "import sys, actorrl; print([m for m in ('torch', 'gymnasium', 'numpy', 'matplotlib') if m in sys.modules]);"
        "from actorrl import remote, startat, fetch, wait, as_completed, stop, System, errors, batched;"
        "print('torch' in sys.modules, 'gymnasium' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path.cwd())

    assert out.stdout.split("\n")[0] in ("[]", "['numpy']")
    assert out.stdout.split("\n")[1] == "False False"
