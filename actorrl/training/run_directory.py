"""The directory of one run: what is in it, and how it is written.

runs/cartpole-20260101-120000/
    config.yaml         what was trained, and how; enough to do it again
    versions.yaml       by which versions, which commit and which command
    metrics.csv         a row per so many steps
    curve.png           the learning curve
    tensorboard/        the same rows for TensorBoard
    checkpoints/        best, final, latest; agents/0, 1, ... where several learn together
"""

from __future__ import annotations

import csv
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from actorrl._version import __version__
from actorrl.training.lines import parsed
from actorrl.training.versions import versions

Array = np.ndarray
KEYS = (
    *("env", "agent", "arrangement", "engine", "wrappers"),
    *("callbacks", "steps", "seed", "evaluation", "stop"),
)
"""Of a config."""
OLDEST = ("env", "agent", "steps", "seed")
"""Those that no version did without."""
CHECKPOINTS = ("best", "final", "latest")
WRITE_EVERY = 2.0  # seconds between two writes of metrics.csv
FIRST_COLUMNS = ["steps", "seconds", "steps_per_second", "episodes", "episode_return", "episode_length", "return_100"]
LAST_COLUMNS = ["evaluation_return", "evaluation_std", "best_return"]


class RunDirectory:
    """Paths of a run, and its configuration."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, run_dir: str | Path | None, name: str) -> RunDirectory:
        """A new directory: the one given, or `runs/<name>-<time>`.

        Raises:
            FileExistsError: the one given is there and not empty.
        """
        if run_dir is not None:
            path = Path(run_dir)
            require_free(path)
        else:
            stem = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
            path, i = stem, 2
            while path.exists():
                path, i = stem.with_name(f"{stem.name}-{i}"), i + 1
        path.mkdir(parents=True, exist_ok=True)
        return cls(path)

    @classmethod
    def existing(cls, run_dir: str | Path) -> RunDirectory:
        """The directory of a run that was started. FileNotFoundError if it is none."""
        path = Path(run_dir)
        if not (path / "config.yaml").is_file():
            what = "there is no config.yaml in it" if path.is_dir() else "there is no such directory"
            raise FileNotFoundError(f"{path} is not a run directory: {what}")
        return cls(path)

    def checkpoint(self, which: str) -> Path:
        """The directory of a checkpoint. ValueError for one that does not exist by its name."""
        if which not in CHECKPOINTS:
            raise ValueError(f"which must be one of {', '.join(CHECKPOINTS)}, found {which!r}")
        return self.path / "checkpoints" / which

    def agent(self, number: int) -> Path:
        """The directory of the last checkpoint of one of several agents."""
        return self.path / "checkpoints" / "agents" / str(number)

    def agents(self) -> list[int]:
        """The numbers of several agents; [] where there is one."""
        directory = self.path / "checkpoints" / "agents"
        return sorted(int(path.name) for path in directory.glob("*") if path.name.isdigit())

    def write_config(self, tree: dict[str, Any]) -> None:
        """Write config.yaml; one that is there stays whole until the new one is."""
        fresh = self.path / "config.new"
        try:
            fresh.write_text(yaml.safe_dump(tree, sort_keys=False, allow_unicode=True))
            fresh.replace(self.path / "config.yaml")
        except OSError:
            fresh.unlink(missing_ok=True)
            raise

    def write_versions(self, source: str | Path | None = None) -> None:
        """Write versions.yaml: what made this run; `source` is the one whose weights it began with."""
        said = versions() | ({} if source is None else {"from": str(Path(source).resolve())})
        (self.path / "versions.yaml").write_text(yaml.safe_dump(said, sort_keys=False))

    def read_versions(self) -> dict[str, Any]:
        """What versions.yaml holds; {} where there is none."""
        path = self.path / "versions.yaml"
        return yaml.safe_load(path.read_text()) if path.exists() else {}

    def read_config(self) -> dict[str, Any]:
        """What config.yaml holds. ValueError where it is of a version that had other keys, or no config at all."""
        path = self.path / "config.yaml"
        tree = parsed(path.read_text(), path)
        if not isinstance(tree, dict):
            raise ValueError(f"{path} must hold keys and values (env, agent, ...), found {tree!r:.60}")
        lacks, more = set(OLDEST) - set(tree), set(tree) - set(KEYS)
        if lacks or more:
            what = [f"lacks {', '.join(sorted(lacks))}"] if lacks else []
            what += [f"has {', '.join(sorted(more))}, which this one does not know"] if more else []
            raise ValueError(f"{path} {' and '.join(what)}: it was written by {self.writer}, and this is {__version__}")
        return {**dict.fromkeys(KEYS), **tree}

    @property
    def writer(self) -> str:
        """The version that wrote the directory, in words."""
        try:
            version = self.read_versions().get("actorrl")
        except (yaml.YAMLError, AttributeError):
            version = None
        return f"actorrl {version}" if version else "an older version of actorrl"

    @contextmanager
    def of_version(self) -> Iterator[None]:
        """Say which version wrote a config.yaml that does not fit (ValueError), where it was another one."""
        try:
            yield
        except ValueError as error:
            if self.writer == f"actorrl {__version__}":
                raise
            path = self.path / "config.yaml"
            raise ValueError(f"{path} was written by {self.writer}, and this is {__version__}: {error}") from error


def require_free(run_dir: str | Path) -> None:
    """FileExistsError where a run directory is there already and not empty."""
    path = Path(run_dir)
    if path.is_file() or (path.is_dir() and any(path.iterdir())):
        raise FileExistsError(
            f"the run directory {path} is there already and not empty: give another one, delete it, or leave "
            f"run_dir out for a fresh one under runs/"
        )


@contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Nobody else runs in the directory while the block lasts; a process that died holds nothing.

    Raises:
        BlockingIOError: another one does.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(os.fstat(descriptor))
            if holder is None or Path(f"/proc/{holder}").exists():  # else only a process that it left behind has it
                who = "another process" if holder is None else f"process {holder}"
                raise BlockingIOError(
                    f"the run directory {path} is in use: {who} is training in it. Wait until it is done, end it, or "
                    f"take another directory"
                ) from None
        yield
    finally:
        os.close(descriptor)


def _holder(status: os.stat_result) -> int | None:
    """The process that locked a file, as Linux tells it."""
    inode = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    with suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == inode:
                return int(fields[4])
    return None


class Metrics:
    """The rows of metrics.csv: one per step count, with whatever columns are known there.

    Args:
        path: of the file; None to keep it in memory only.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._rows: dict[int, dict[str, float]] = {}
        self._written = 0.0

    @classmethod
    def read(cls, path: Path) -> Metrics:
        """Of a run that was; empty where there is no file."""
        metrics = cls()
        if path.exists():
            with path.open(newline="") as file:
                for line in csv.DictReader(file):
                    values = {key: float(value) for key, value in line.items() if value != ""}
                    metrics.put(int(values.pop("steps")), values)
        return metrics

    def value(self, steps: int, column: str) -> float | None:
        """One value; None where there is none."""
        return self._rows.get(steps, {}).get(column)

    def put(self, steps: int, values: dict[str, float]) -> None:
        """Add values to the row of a step count; written to the file now and then."""
        self._rows.setdefault(steps, {}).update(values)
        if self._path is not None and time.monotonic() - self._written > WRITE_EVERY:
            self.write()

    def write(self) -> None:
        """Write the whole file; a reader never finds half of one."""
        if self._path is None:
            return
        columns = self._columns()
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            for steps in sorted(self._rows):
                row = self._rows[steps]
                writer.writerow([steps, *(_text(row.get(column)) for column in columns[1:])])
        fresh.replace(self._path)
        self._written = time.monotonic()

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Take back what `arrays` gave, in place of what there is."""
        self._rows = {}
        for i, steps in enumerate(arrays["steps"].tolist()):
            values = {name: float(column[i]) for name, column in arrays.items() if name != "steps"}
            self._rows[steps] = {name: value for name, value in values.items() if value == value}

    def _columns(self) -> list[str]:
        found = {column for row in self._rows.values() for column in row}
        ends = {*FIRST_COLUMNS, *LAST_COLUMNS}
        return [*FIRST_COLUMNS, *sorted(found - ends), *LAST_COLUMNS]

    def arrays(self) -> dict[str, Array]:
        """{column: float64 [rows]}, by step count; steps are int64, and NaN is where a row has no value."""
        steps = sorted(self._rows)
        table = {"steps": np.array(steps, np.int64)}
        for column in self._columns()[1:]:
            table[column] = np.array([self._rows[s].get(column, np.nan) for s in steps], np.float64)
        return table


def _text(value: float | None) -> str:
    if value is None or value != value:
        return ""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.7g}"
