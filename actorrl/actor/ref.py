"""ActorRef: the address of an actor, which behaves like its object except that calls return futures.

Refs are small values: they are pickled into messages, compared and hashed by the actor they name.
They have no public attribute of their own, so that a class may call its methods as it likes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import engine as _seam
from .timers import tell_after

if TYPE_CHECKING:
    from .future import Future

__all__ = ["ActorRef", "Method"]

T = TypeVar("T")
_active = _seam.active


class ActorRef(Generic[T]):
    """A reference to an actor. `ref.method(...)` sends a message and returns a Future at once."""

    __slots__ = ("__dict__", "_actor", "_cls", "_kind", "_name", "_process", "_token")

    def __init__(
        self, token: str, process: int, actor: int, cls: str, name: str | None = None, kind: type | None = None
    ) -> None:
        self._token = token
        self._process = process
        self._actor = actor
        self._cls = cls
        self._name = name
        self._kind = kind  # the class itself, where this process knows it

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., Future[Any]]: ...

    else:

        def __getattr__(self, name: str) -> Method:
            if name.startswith("_"):
                raise AttributeError(
                    f"{self!r} has no attribute {name!r}: names with an underscore are private to the actor; "
                    "write a public method or a @remote function"
                )
            found = self.__dict__[name] = Method(self, name)  # from now on found without asking here
            return found

        def __dir__(self) -> list[str]:
            return [name for name in object.__dir__(self) if name.startswith("_")]

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            raise AttributeError(
                f"{self!r}: fields of an actor cannot be set from outside (got {name!r}); "
                "write a method or a @remote function that does"
            )
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ActorRef):
            return NotImplemented
        return self._actor == other._actor and self._token == other._token

    def __hash__(self) -> int:
        return hash((self._token, self._actor))

    def __reduce__(self) -> Any:
        return ActorRef, (self._token, self._process, self._actor, self._cls, self._name)

    def __repr__(self) -> str:
        name = f" {self._name!r}" if self._name else ""
        return f"<ActorRef {self._cls}{name} #{self._actor}>"


class Method:
    """`ref.method`: call it for a Future, `.tell(...)` to send without an answer."""

    __slots__ = ("_name", "_ref")

    def __init__(self, ref: ActorRef[Any], name: str) -> None:
        self._ref = ref
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Future[Any]:
        return (_active.engine or _seam.engine()).call(self._ref, self._name, None, args, kwargs)

    remote = __call__

    def tell(self, *args: Any, **kwargs: Any) -> None:
        """Send the message one way: no Future is made. A failure goes to the actor's owner."""
        (_active.engine or _seam.engine()).tell(self._ref, self._name, None, args, kwargs)

    def tell_after(self, seconds: float, *args: Any, **kwargs: Any) -> None:
        """Tell it in so many seconds. The arguments are copied now; a sender that ends before sends nothing.

        Raises:
            ValueError: for seconds that are not a finite number of at least 0.
            TypeError: for an argument that cannot be pickled.
        """
        tell_after(seconds, self._ref, self._name, args, kwargs)

    def __repr__(self) -> str:
        return f"<method {self._name!r} of {self._ref!r}: call it, or .tell(...)>"
