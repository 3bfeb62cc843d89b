"""The screen that `--render` shows episodes on: whether there is one, and what to say where there is none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
"""Variables of the environment, one of which is set where there is a screen (or where somebody chose to have none)."""


@contextmanager
def screen() -> Iterator[None]:
    """Inside it environments show themselves.

    Without a display most of them still run, drawing where nobody looks: a warning says so. OSError where no window
    can be opened at all.
    """
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in DISPLAYS):
        print(
            "there is no display (DISPLAY and WAYLAND_DISPLAY are not set): the episodes are played, at the speed of "
            "a film, but nothing will be seen. Over ssh, ssh -X has one; xvfb-run makes one that nobody looks at",
            file=sys.stderr,
        )
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith("pygame"):
            raise
        raise OSError(f"--render found no screen that it could open a window on: {error}") from error
