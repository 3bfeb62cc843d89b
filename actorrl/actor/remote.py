"""`@remote`: functions that take an actor for their struct, and classes that can be spawned.

A decorated function stays a function, a decorated class stays the class it was: on plain objects
both just run, here. Spawning itself is `placement.py`'s.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import types
import typing
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from . import engine as _seam
from .codec import by_identity, can_import, find_definition, key_of
from .future import Future
from .options import Options
from .ref import ActorRef

__all__ = ["RemoteFunction", "class_options", "expected_types", "function_at", "remote"]

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")
C = TypeVar("C", bound=type)
OPTIONS = "__actorrl_options__"


class RemoteFunction(Generic[A, P, R]):
    """A function whose first parameter may be an actor: then the call is a message to it.

    With a plain object the function runs here, as it would without the decorator.
    """

    __wrapped__: Callable[..., R]
    __name__: str
    __qualname__: str

    def __init__(self, function: Callable[Concatenate[A, P], R]) -> None:
        functools.update_wrapper(self, function)
        by_identity.add(function)
        self._fit: weakref.WeakSet[type] = weakref.WeakSet()  # classes whose actors may be given
        self._address: str | None = None  # where it can be imported from; "" for nowhere
        self._first = next(iter(inspect.signature(function).parameters))

    @overload
    def __call__(self, actor: ActorRef[A], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]: ...
    @overload
    def __call__(self, struct: A, /, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]
        first = args[0] if args else kwargs.get(self._first)
        if not isinstance(first, ActorRef):
            return self.__wrapped__(*args, **kwargs)
        return _seam.engine().call(*self._message(first, args, kwargs))

    def tell(self, *args: Any, **kwargs: Any) -> None:
        """Send the message one way: no Future is made. TypeError if the first argument is no ActorRef."""
        first = args[0] if args else kwargs.get(self._first)
        if not isinstance(first, ActorRef):
            kind = type(first).__name__
            raise TypeError(f"{self.__name__}.tell() takes an ActorRef for {self._first!r}, it sends; got {kind}")
        _seam.engine().tell(*self._message(first, args, kwargs))

    def _message(self, ref: ActorRef[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        if args:
            args = args[1:]
        else:
            kwargs = {key: value for key, value in kwargs.items() if key != self._first}
        if ref._kind is not None and not self.fits(ref._kind):
            raise TypeError(mismatch(self, expected_types(self), ref._cls))
        return ref, self.__name__, self, args, kwargs

    def fits(self, kind: type) -> bool:
        """Whether actors of the class are what the first parameter is annotated with; True where that is unknown."""
        if kind in self._fit:
            return True
        hint, resolved = _hint(self)
        expected = _classes(hint)
        if expected and not issubclass(kind, expected):
            return False
        if resolved:  # else a name may still be defined that is not yet
            self._fit.add(kind)
        return True

    def address(self, known: set[str]) -> str | None:
        """What names this function in a process with the definitions `known`; None if it has to be sent."""
        if self._address is None:
            named = _lives_under_its_name(self)
            self._address = f"{self.__module__}:{self.__qualname__}" if named else ""
        if self._address:
            return self._address
        key = key_of(self.__wrapped__)
        return key if key in known else None

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __reduce__(self) -> Any:
        if _lives_under_its_name(self):
            return self.__qualname__
        return RemoteFunction, (self.__wrapped__,)

    def __repr__(self) -> str:
        return f"<remote function {self.__qualname__}>"


def _lives_under_its_name(function: Any) -> bool:
    module = sys.modules.get(function.__module__)
    if module is None or module.__name__ == "__main__" or not can_import(module):
        return False
    found: Any = module
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is function


_functions: dict[str, RemoteFunction[Any, Any, Any]] = {}


def function_at(address: str) -> RemoteFunction[Any, Any, Any]:
    """The function that `RemoteFunction.address` names."""
    found = _functions.get(address)
    if found is None:
        module, _, name = address.partition(":")
        if name:
            target: Any = importlib.import_module(module)
            for part in name.split("."):
                target = getattr(target, part)
        else:
            target = RemoteFunction(find_definition(address))
        found = _functions[address] = target
    return found


def expected_types(function: RemoteFunction[Any, Any, Any]) -> tuple[type, ...]:
    """The classes the first parameter is annotated with; empty where every actor will do."""
    return _classes(_hint(function)[0])


def _hint(function: RemoteFunction[Any, Any, Any]) -> tuple[Any, bool]:
    """The annotation of the first parameter, and whether all names in it are known here."""
    wrapped = function.__wrapped__
    try:
        return typing.get_type_hints(wrapped).get(function._first), True
    except Exception:  # a name that does not resolve here: the actor, or nobody, can tell
        return getattr(wrapped, "__annotations__", {}).get(function._first), False


def _classes(hint: Any) -> tuple[type, ...]:
    members = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    found = [_as_class(member) for member in members]
    return () if None in found else tuple(kind for kind in found if kind is not None)


def _as_class(hint: Any) -> type | None:
    hint = typing.get_origin(hint) or hint
    if not isinstance(hint, type) or hint in (Any, object):
        return None
    if getattr(hint, "_is_protocol", False):
        return None
    return hint


def mismatch(function: RemoteFunction[Any, Any, Any], expected: tuple[type, ...], found: str) -> str:
    """What to say when the actor is of another class than the function is for."""
    wanted = " or ".join(kind.__qualname__ for kind in expected)
    return f"{function.__name__}() is for actors of {wanted}, and this one is of {found}"


class _Remote:
    """The attribute `remote` of a decorated class: spawns the class it is read from."""

    def __get__(self, instance: Any, owner: type) -> Callable[..., ActorRef[Any]]:
        return Configured(owner, class_options(owner)).remote


class _Options:
    """The attribute `options` of a decorated class: the same class with other options."""

    def __get__(self, instance: Any, owner: type) -> Callable[..., Configured]:
        def options(**changes: Any) -> Configured:
            return Configured(owner, class_options(owner).override(changes))

        return options


class Configured:
    """A class with options of its own for the next spawns; `.remote(...)` spawns."""

    def __init__(self, cls: Callable[..., Any], options: Options) -> None:
        self.cls = cls
        self._options = options

    def remote(self, *args: Any, **kwargs: Any) -> ActorRef[Any]:
        """Spawn the class in a process of its own; the arguments are the constructor's."""
        spawn = _seam.Spawn(None, self.cls, args, kwargs, self._options)
        return _seam.engine(spawning=True).spawn(spawn)

    def options(self, **changes: Any) -> Configured:
        """The same with more options."""
        return Configured(self.cls, self._options.override(changes))


def class_options(cls: Any) -> Options:
    """The options a class was decorated with, its bases' where it was not; the defaults for anything else."""
    found = getattr(cls, OPTIONS, None) if isinstance(cls, type) else None
    return Options(**found) if found is not None else Options()


@overload
def remote(target: C, /) -> C: ...  # type: ignore[overload-overlap]
@overload
def remote(target: Callable[Concatenate[A, P], R], /) -> RemoteFunction[A, P, R]: ...
@overload
def remote(**options: Any) -> Callable[[C], C]: ...


def remote(target: Any = None, /, **options: Any) -> Any:
    """Make a function or a class usable with actors.

    On a function, the first parameter may then be an ActorRef: the call becomes a message and
    returns a Future. On a class, `Cls.remote(...)` spawns and `Cls.options(...)` changes the options;
    the class is otherwise untouched.

    Args:
        target: the function or class.
        options: for a class, what every spawn of it is told; see `Options`.

    Raises:
        TypeError: for an option that does not exist, for options on a function, or for a class
            that has a `remote` or `options` of its own.
    """
    if target is None:
        Options().override(options)
        return lambda cls: _decorate_class(cls, options)
    if isinstance(target, type):
        return _decorate_class(target, {})
    if isinstance(target, RemoteFunction) or not callable(target):
        raise TypeError(f"@remote is for a class or a function; got {target!r}")
    if not inspect.signature(target).parameters:
        raise TypeError(f"@remote function {target.__name__}() needs a first parameter: the actor it is for")
    return RemoteFunction(target)


def _decorate_class(cls: Any, options: Mapping[str, Any]) -> Any:
    if not isinstance(cls, type):
        raise TypeError(f"@remote(...) with options is for a class; got {cls!r}")
    taken = [name for name in ("remote", "options") if name in vars(cls)]
    if taken:
        raise TypeError(
            f"@remote would hide {cls.__qualname__}.{taken[0]}: use startat(place, {cls.__name__}, ...) instead"
        )
    inherited = dict(getattr(cls, OPTIONS, {}))
    setattr(cls, OPTIONS, {**inherited, **options})
    cls.remote = _Remote()  # type: ignore[attr-defined]
    cls.options = _Options()  # type: ignore[attr-defined]
    return cls
