"""Ctrl-C, as a run takes it: the first one ends it after a checkpoint, the second one at once. The Runner asks.

An exception in the midst of a step would leave a half-made state behind; so the signal is only noted, and looked at
between two slices of work.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from actorrl.training import checkpoints
from actorrl.training.names import is_lasting
from actorrl.training.run_directory import RunDirectory

__all__ = ["Interrupted", "Interrupts"]


class Interrupts:
    """Notes Ctrl-C, between `watch()` and `leave()`, where nobody else wants it."""

    def __init__(self) -> None:
        self.asked = False
        self._watching = False

    def watch(self) -> None:
        """Only the main thread may, and only where Ctrl-C would be a KeyboardInterrupt."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._watching = True

    def leave(self) -> None:
        """Ctrl-C is a KeyboardInterrupt again."""
        if self._watching and signal.getsignal(signal.SIGINT) == self._note:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        self._watching = False

    def _note(self, *_: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


class Interrupted(KeyboardInterrupt):
    """A run that was ended by Ctrl-C, after its checkpoint; says how to go on.

    Args:
        directory: of the run.
        written: after how many steps the checkpoint was taken; None where there is none.
        config: what config.yaml holds. Where another process cannot make all of it again, it is to be passed again.
    """

    def __init__(self, directory: Path, written: int | None, config: Mapping[str, Any]) -> None:
        where = "" if written is None else f" from step {written:,}"
        again, pickled = _to_pass_again(config), checkpoints.is_pickle(RunDirectory(directory).checkpoint("latest"))
        how = f"actorrl resume {directory}{' --trust' if pickled else ''}"
        if again:
            how = f"resume({str(directory)!r}, {', '.join([*again, *(['trust=True'] if pickled else [])])})"
        super().__init__(f"interrupted; what there is lies in {directory}; go on{where} with: {how}")


def _to_pass_again(config: Mapping[str, Any]) -> list[str]:
    """Arguments of `resume` for what has no name, or one in a script that only another process runs."""
    named = {"env=...": [config.get("env", "")]}
    named |= {f"{key}=[...]": config.get(key, []) for key in ("wrappers", "callbacks")}
    return [argument for argument, items in named.items() if not all(map(_is_lasting, items))]


def _is_lasting(item: Any) -> bool:
    return item is not None and is_lasting(str(item["name"] if isinstance(item, Mapping) else item))
