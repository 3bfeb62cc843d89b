"""Programs in unusual surroundings: few files, little shared memory, short-lived threads, workers inside actors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from scripts import ROOT, run


def test_a_program_that_ends_with_live_refs_and_futures_in_its_globals():
    script = run(
        """
        from actorrl import startat, fetch, group, watch
        class Works:
            def __init__(self, other=None):
                self.other = other
            def ok(self):
                return "ok"
        first = startat(None, Works)
        second, third = startat(1, Works, first), startat(None, Works, first)
        both = group([second, third])
        futures = [ref.ok() for ref in (first, second, third)]
        unread, seen, kept = both.ok(), watch(first), first.ok
        import builtins
        builtins.kept = [first, futures, kept]
        print(fetch(futures))
        """
    )

    assert script.out == "['ok', 'ok', 'ok']\n"
    assert script.err == ""


@pytest.mark.parametrize("place", [None, 2])
def test_an_actor_outlives_the_thread_that_spawned_it(place: int | None):
    """Where a child is told to die with its parent, Linux means the parent's thread."""
    script = run(
        f"""
        import threading
        from actorrl import startat, fetch
        class Works:
            def ok(self):
                return "ok"
        made = []
        for _ in range(3):
            thread = threading.Thread(target=lambda: made.append(startat({place}, Works)))
            thread.start()
            thread.join()
        for _ in range(200):
            fetch([ref.ok() for ref in made])
        print(fetch([ref.ok() for ref in made]))
        """
    )

    assert script.out == "['ok', 'ok', 'ok']\n"
    assert script.err == ""


def test_a_data_loader_with_workers_inside_an_actor():
    pytest.importorskip("torch")
    script = run(
        """
        import torch
        from torch.utils.data import DataLoader, Dataset
        from actorrl import startat, fetch
        class Numbers(Dataset):
            def __len__(self):
                return 64
            def __getitem__(self, i):
                return torch.tensor([i])
        class Reads:
            def total(self):
                return sum(int(batch.sum()) for batch in DataLoader(Numbers(), batch_size=8, num_workers=2))
            def begin(self):
                self.half_read = iter(DataLoader(Numbers(), batch_size=8, num_workers=2))
                return int(next(self.half_read).sum())
        one, other = startat(None, Reads), startat(None, Reads)
        print(fetch([one.total(), other.total()]), fetch(one.begin()))
        """
    )

    assert script.out == "[2016, 2016] 28\n"


def test_a_program_that_may_open_few_files_says_so_and_goes_on():
    script = run(
        """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        from actorrl import startat, fetch, stop
        class Works:
            def ok(self):
                return "ok"
        made = []
        for _ in range(64):
            try:
                ref = startat(None, Works)
                fetch(ref.ok(), timeout=30)
                made.append(ref)
            except OSError as error:
                print("refused:", error, flush=True)
                break
        print(set(fetch([ref.ok() for ref in made], timeout=30)), len(made) >= 4)
        for ref in made[-3:]:
            stop(ref)
        again = startat(None, Works)
        print(fetch(again.ok(), timeout=30))
        """
    )

    assert "refused:" in script.out and "Too many open files" in script.out
    assert "{'ok'} True\nok\n" in script.out


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare, to mount a /dev/shm of its own")
def test_a_shared_memory_of_one_megabyte_that_is_full():
    mount = "mount -t tmpfs -o size=1m none /dev/shm && "
    spaces = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*spaces, mount + "true"], capture_output=True).returncode:
        spaces = ["unshare", "--mount", "sh", "-c"]
        if os.getuid() or subprocess.run([*spaces, mount + "true"], capture_output=True).returncode:
            pytest.skip("this machine lets nobody mount a /dev/shm of his own")
    program = """
import numpy as np
from actorrl import startat, fetch, share
with open("/dev/shm/full", "wb") as file:
    try:
        file.write(bytes(2 << 20))
    except OSError:
        pass
class Sums:
    def sum(self, x):
        return float(x.sum())
    def ones(self, n):
        return np.ones(n)
refs = [startat(None, Sums), startat(1, Sums)]
for size in (10, 100_000, 3_000_000):
    print(fetch([ref.sum(np.ones(size)) for ref in refs], timeout=60), fetch(refs[0].ones(size), timeout=60).size)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [*spaces, mount + 'exec "$0" -c "$1"', sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, env=environment)

    sizes = (10, 100_000, 3_000_000)
    assert done.stdout == "".join(f"[{float(size)}, {float(size)}] {size}\n" for size in sizes), done.stderr


def test_a_program_that_is_interrupted_at_any_moment_and_goes_on():
    """Ctrl-C that the program catches, hundreds of times in the middle of calls and tells: no message is lost that a
    later one would wait for, and whoever read the socket has given it back.
    """
    script = run(
        """
        import random, signal, time
        from actorrl import startat, fetch
        class Counter:
            def __init__(self):
                self.count = 0
            def add(self, n):
                self.count += n
                return self.count
        counter, random.seed = startat(None, Counter), random.seed(0)
        fetch(counter.add(0))
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        interrupts, end = 0, time.monotonic() + 6
        while time.monotonic() < end:
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0002, 0.002))
                while True:
                    fetch(counter.add(1))
                    counter.add.tell(1)
                    fetch([counter.add(1), counter.add(1)])
            except KeyboardInterrupt:
                interrupts += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            fetch(counter.add(1), timeout=20)
        print(interrupts > 100, fetch(counter.add(0), timeout=20) > interrupts)
        """
    )

    assert script.out == "True True\n"
