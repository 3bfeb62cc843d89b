"""Promise 8: nothing listens beyond this machine, and only the user can open what listens on it."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from actors_for_tests import Counter, add
from engines import only_processes

from actorrl import fetch, startat, stop


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


def test_importing_actorrl_does_not_import_torch():
    script = (
        "import sys, actorrl; print([m for m in ('torch', 'gymnasium', 'numpy', 'matplotlib') if m in sys.modules]);"
        "from actorrl import remote, startat, fetch, wait, as_completed, stop, System, errors, batched;"
        "print('torch' in sys.modules, 'gymnasium' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path.cwd())

    assert out.stdout.split("\n")[0] in ("[]", "['numpy']")
    assert out.stdout.split("\n")[1] == "False False"
