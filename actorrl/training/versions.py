"""What made a run: versions, the commit of the directory it was started in, the command. The run directory keeps it."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from importlib import metadata
from typing import Any

from actorrl._version import __version__

LIBRARIES = ("numpy", "torch", "gymnasium", "ale-py")


def versions() -> dict[str, Any]:
    """By name: of actorrl, Python, the libraries that are installed, the machine, the commit, the command."""
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return {
        "actorrl": __version__,
        "python": platform.python_version(),
        **found,
        "system": platform.platform(),
        "git": commit(),
        "command": list(sys.argv),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def commit() -> dict[str, Any] | None:
    """The commit that the working directory is at, and whether something in it has changed; None outside of git."""
    try:
        name = _git("rev-parse", "HEAD")
        return {"commit": name, "changed": bool(_git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    return run.stdout.strip()
