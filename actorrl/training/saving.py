"""The checkpoint that a run goes on from: `checkpoints/latest`, written by the Runner, read by `resume`.

role 0 ── Saved ──►┐
role 1 ── Saved ──►┴ Saver ── all have given theirs ──► latest/agent.npz         what load() and --from read
Runner ── state ───┘                                    latest/agent-1.npz ...   of more agents
                                                        latest/training.npz ...  generators, counts
                                                        latest/rows-0.npz ...    of the replay table
                                                        latest/run.npz           metrics, the choice of the best
"""

from __future__ import annotations

import dataclasses
import errno
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from actorrl.rl.finite import NotFinite
from actorrl.training import arrays_file, checkpoints, row_files
from actorrl.training.roles import Recipe, Saved, Snapshot

__all__ = ["Resumption", "Saver", "read"]

TRAINING, RUN = "training.npz", "run.npz"
UNREADABLE = (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


class Kept(NamedTuple):
    """What a role is told of a checkpoint: from now on it need not give again what is in it."""

    rows: int | None
    """So many had been added to the replay table; None where it was not kept."""
    seconds: float
    """That writing took."""


class Saver:
    """Writes a checkpoint whenever every role has given its part.

    Args:
        directory: of the checkpoint.
        agents: how many roles there are.
        state: the Runner's, asked for when a checkpoint is written.
        repeatable: whether a role that goes on from an exact checkpoint does the same once more; then one that is not
            exact is kept beside `latest`, for a run that is killed.
    """

    def __init__(
        self, directory: Path, agents: int, state: Callable[[], dict[str, Any]], *, repeatable: bool = False
    ) -> None:
        self._directory, self._agents, self._state = directory, agents, state
        self.repeatable = repeatable and agents == 1
        self._parts: dict[int, Saved] = {}
        self._fresh: set[int] = set()  # those that have given a part since the last checkpoint
        self._kept: Kept | None = None
        self.path: Path | None = None
        """Of the checkpoint that this run has written last: `latest`, or what lies beside it."""
        self.written: int | None = None
        """The steps of `latest`, where this run has written it."""

    @property
    def used(self) -> bool:
        """Whether any role has given a part; some arrangements' do not."""
        return bool(self._parts)

    @property
    def last(self) -> str:
        """Where the last checkpoint is, in words."""
        if self.written is None:
            return "there is no checkpoint yet"
        return f"the last good checkpoint is {self._directory}, after {self.written:,} steps"

    def explained(self, error: BaseException) -> BaseException:
        """The error with the last checkpoint in it, where that is what one needs to know: nan, or a full disk."""
        if isinstance(error, NotFinite):
            return NotFinite(f"{error}; {self.last}")
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f" ({error.filename})" if error.filename else ""
            then = "begin again" if self.written is None else "go on from there"
            return OSError(error.errno, f"the disk is full{where}: {self.last}. Make room, then {then}")
        return error

    def take(self, number: int, saved: Saved) -> bool:
        """A role's part; whether a checkpoint was written. That of the very start is only kept in mind."""
        self._parts[number] = saved
        self._fresh.add(number)
        if not self._whole:
            return False
        began = time.monotonic()
        self.write()
        rows = (self._parts[0].table or {}).get("inserted")
        self._kept = Kept(None if rows is None else int(rows), time.monotonic() - began)
        return True

    def kept(self) -> Kept | None:
        """What the roles are to be told of the checkpoint that was written, once."""
        kept, self._kept = self._kept, None
        return kept

    @property
    def _whole(self) -> bool:
        """Whether every role has given a part since the last checkpoint, or is done, after some steps."""
        given = self._fresh | {one for one, part in self._parts.items() if part.done}
        begun = any(part.snapshot.steps for part in self._parts.values())
        return bool(self._fresh) and len(given) == self._agents and begun

    def write(self) -> None:
        """Write what there is."""
        parts = [self._parts[number] for number in sorted(self._parts)]
        steps, exact = sum(part.snapshot.steps for part in parts), parts[0].exact
        about: dict[str, Any] = {
            "steps": parts[0].snapshot.steps,
            "agent": parts[0].snapshot.agent,
            "agents": len(parts),
            "run_steps": steps,
            "exact": [part.exact for part in parts],
            "done": [part.done for part in parts],
            "format": checkpoints.IN_BLOCKS,
        }
        state, before = self._state(), self.path

        def write(directory: Path) -> None:
            for j, part in enumerate(parts):
                checkpoints.write_agent(directory, part.snapshot, j)
                rest = part.with_table(row_files.write(directory, part.table, before)) if part.table else part
                training = {"steps": part.snapshot.steps, **rest.training}
                arrays_file.save(directory / _numbered(TRAINING, j), training)
            arrays_file.save(directory / RUN, state)

        self._fresh.clear()
        if self.repeatable and not exact and not all(about["done"]):
            between = checkpoints.between(self._directory)
            checkpoints.replace(between, write, about, durable=True)
            self.path = between
            return
        checkpoints.replace(self._directory, write, about, keep=True, durable=True)
        checkpoints.tidy(self._directory, all_of_them=False)
        self.path, self.written = self._directory, about["run_steps"]

    def conclude(self) -> bool:
        """The run has come to its end: write the Runner's state once more, after the last snapshot was judged, so that
        a run that is made longer judges none of them again; whether it was. What the roles gave, replay tables too, is
        not written anew but linked."""
        steps = sum(part.snapshot.steps for part in self._parts.values())
        if self.written != steps or not all(part.done for part in self._parts.values()):
            return False  # some arrangements' roles give no parts
        state = self._state()

        def write(directory: Path) -> None:
            for path in self._directory.iterdir():
                if path.name not in (RUN, checkpoints.ABOUT):
                    row_files.link(path, directory / path.name)
            arrays_file.save(directory / RUN, state)

        checkpoints.replace(self._directory, write, checkpoints.about(self._directory), durable=True)
        return True

    def close(self) -> None:
        """The run is broken off by somebody who will go on: from an exact checkpoint, where that is as good."""
        exact = all(part.exact for part in self._parts.values())
        first = self.written is None and len(self._parts) == self._agents
        if first or (self._whole and (exact or not self.repeatable)):
            self.write()
        if self.repeatable and self.written is not None:
            checkpoints.tidy(self._directory, all_of_them=False)


def _numbered(name: str, number: int) -> str:
    return name if number == 0 else name.replace(".", f"-{number}.")


class Resumption(NamedTuple):
    """What a checkpoint holds, read back."""

    parts: list[Saved]
    run: dict[str, Any]
    """The Runner's state."""
    agents: list[Any]
    """The agents of those without a state_dict; else None."""

    @property
    def steps(self) -> int:
        """Environment steps of all agents."""
        return sum(part.snapshot.steps for part in self.parts)

    def recipes(self, recipes: Sequence[Recipe]) -> list[Recipe]:
        """The recipes of roles that go on from here."""
        return [
            dataclasses.replace(recipe, saved=part, **({} if agent is None else {"agent": agent}))
            for recipe, part, agent in zip(recipes, self.parts, self.agents, strict=True)
        ]


def read(directory: Path, *, trust: bool, said: Callable[[str], None]) -> Resumption | None:
    """The newest whole checkpoint, or where there is none the newest without its rows; None for none to go on from.

    Args:
        directory: of the checkpoint, `checkpoints/latest`.
        trust: open a pickled agent.
        said: gets a sentence about each that is not whole.

    Raises:
        PermissionError: a pickle, without trust.
    """
    whole: list[tuple[int, Path, dict[str, Any]]] = []
    for path in checkpoints.candidates(directory):
        with _left_out(path, said):
            about = checkpoints.about(path)
            if "agents" in about:  # else weights alone: nothing to go on from
                whole.append((int(about["run_steps"]), path, about))
    whole.sort(key=lambda one: -one[0])
    for _, path, about in whole:
        with _left_out(path, said):
            return _read(path, about, trust)
    for _, path, about in whole:  # one damaged file of rows is part of them all
        with _left_out(path, lambda text: None):
            resumption = _read(path, about, trust, rows=False)
            said(f"{path} can be read but for its replay table: the run goes on from there, and fills a new one")
            return resumption
    return None


@contextmanager
def _left_out(path: Path, said: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise
    except UNREADABLE as error:
        said(f"{path} cannot be read, and is left out: {error}")


def _read(path: Path, about: dict[str, Any], trust: bool, rows: bool = True) -> Resumption:
    parts, agents = [], []
    for j in range(int(about["agents"])):
        training = arrays_file.load(path / _numbered(TRAINING, j))
        pickled = checkpoints.is_pickle(path)
        agent = checkpoints.load_pickle(path, trust=trust, number=j) if pickled else None
        state = None if pickled else checkpoints.load_state(path, j)
        snapshot = Snapshot(int(training["steps"]), None, state, j)
        saved = Saved(snapshot, training, bool(about["exact"][j]), bool(about["done"][j]))
        if saved.table is not None:
            saved = saved.with_table(row_files.read(path, saved.table) if rows else None)
        parts.append(saved)
        agents.append(agent)
    return Resumption(parts, arrays_file.load(path / RUN), agents)


def unpacked(values: dict[str, Any], recipes: Sequence[Recipe], trust: bool) -> Snapshot:
    """A snapshot of what `checkpoints.packed` made of it. PermissionError for a pickle, without trust."""
    number, state = int(values["agent"]), values["state"]
    if state is None:
        checkpoints.require_trust(Path(RUN), trust)
        policy = checkpoints.opened(values["pickle"].tobytes(), Path(RUN))
    else:
        policy = recipes[number].restored(state)
    return Snapshot(int(values["steps"]), policy, state, number)
