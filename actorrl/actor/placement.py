"""`startat`: where an actor lives. As a call it spawns, as a decorator it leaves a spawner.

It builds the `Spawn` request that the running engine carries out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar, overload

from . import engine as _seam
from .options import Options, check_place
from .ref import ActorRef
from .remote import Configured, class_options

__all__ = ["Spawner", "startat"]

P = ParamSpec("P")
T = TypeVar("T")
_MISSING: Any = object()


class Spawner(Generic[P, T]):
    """What `@startat(place)` leaves of a class or factory: calling it spawns an actor there."""

    def __init__(self, place: int | str | None, cls: Callable[P, T], options: Options) -> None:
        if not callable(cls):
            raise TypeError(f"startat({place!r}) decorates a class or a factory; got {cls!r}")
        functools.update_wrapper(self, cls, updated=())
        self.cls = cls
        self._place = place
        self._options = options

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> ActorRef[T]:
        spawn = _seam.Spawn(self._place, self.cls, args, kwargs, self._options)
        return _seam.engine(spawning=True).spawn(spawn)

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        name = getattr(self.cls, "__name__", "the class")
        raise TypeError(f"{name} is a spawner now and cannot be subclassed: inherit from {name}.cls")

    def __repr__(self) -> str:
        return f"<spawner of {getattr(self.cls, '__qualname__', self.cls)} at place {self._place}>"


@overload
def startat(place: int | str | None, cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> ActorRef[T]: ...
@overload
def startat(place: int | str | None, /, **options: Any) -> Callable[[Callable[P, T]], Spawner[P, T]]: ...


def startat(place: Any, cls: Any = _MISSING, /, *args: Any, **kwargs: Any) -> Any:
    """Start an actor at a place: `startat(2, Counter, 0)`, or `@startat(2, name="buffer")` above a class.

    Args:
        place: None for a process of its own; an int of at least 0 for that worker process, shared
            with the other actors placed there. On Ray: on the k-th node, modulo their number; and a str is
            the address of a node, or a resource that a node has.
        cls: the class, or any callable that returns the object; every further argument is its own.
            Without it, the keywords are options and the result is a decorator.

    Returns:
        The new actor's ActorRef, at once; or the decorator.

    Raises:
        ValueError: for a negative place, one that the engine or the cluster has not, a taken name, or options
            that differ from the place's.
        TypeError: for an option that does not exist or an argument that cannot be pickled.
    """
    place = check_place(place)
    if cls is _MISSING:
        Options().override(kwargs)

        def decorate(target: Callable[P, T]) -> Spawner[P, T]:
            return Spawner(place, target, class_options(target).override(kwargs))

        return decorate
    if isinstance(cls, Spawner):
        raise TypeError(f"{cls!r} has its place already: call it, or place {cls.__name__}.cls")  # type: ignore[attr-defined]
    options = class_options(cls)
    if isinstance(cls, Configured):
        cls, options = cls.cls, cls._options
    if not callable(cls):
        raise TypeError(f"startat({place!r}, ...) takes a class or a factory second; got {cls!r}")
    return _seam.engine(spawning=True).spawn(_seam.Spawn(place, cls, args, kwargs, options))
