"""Owns the version number. Read by `setup.cfg` when the package is built and by `actorrl.__version__`."""

from __future__ import annotations

__version__ = "0.1.0"
