"""Objects become bytes and objects again; a definition crosses once, keeps its identity and what it has become.

One process plays both sides here: `Elsewhere` forgets what this process knows about keys, as another would.
"""

from __future__ import annotations

import copyreg
import enum
import pickle
import sys
import types
import weakref
from collections.abc import Iterator
from typing import Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorrl.actor import codec
from actorrl.actor.codec import decode, encode, encode_args

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=8), st.binary(max_size=8)
)
HASHABLE = st.one_of(SCALARS, st.tuples(SCALARS, SCALARS))
PLAIN = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(HASHABLE, inner, max_size=4),
        st.frozensets(HASHABLE, max_size=4),
        st.sets(HASHABLE, max_size=4),
    ),
    max_leaves=12,
)


class Elsewhere:
    """Another process: what it decodes, it has not made itself."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: set[str] = set()  # what the sender believes this process has
        self._patch = monkeypatch
        self._objects: dict[str, Any] = {}
        self._complete: set[str] = set()
        self._classes: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()  # cloudpickle's own

    def receive(self, value: Any) -> Any:
        body = encode(value, self.known)
        arrived = self.decode(body)
        self.known.update(body.defines)
        return arrived

    def decode(self, body: codec.Encoded) -> Any:
        with self._patch.context() as patch:
            patch.setattr(codec, "_objects", self._objects)
            patch.setattr(codec, "_complete", self._complete)
            patch.setattr(codec, "_own", {})
            patch.setattr(codec, "_keys", dict(codec._keys))
            patch.setattr(cloudpickle.cloudpickle, "_DYNAMIC_CLASS_TRACKER_BY_ID", self._classes)
            return decode(body.data, body.buffers, set())


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    return Elsewhere(monkeypatch)


def module(source: str, name: str = "a_notebook") -> types.ModuleType:
    """A module that no other process could import, as `__main__` is."""
    made = types.ModuleType(name)
    sys.modules[name] = made
    exec(source, made.__dict__)
    return made


@pytest.fixture(autouse=True)
def no_module_stays() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in ("a_notebook", "another_notebook"):
        if name not in before:
            sys.modules.pop(name, None)


@given(PLAIN)
def test_plain_data_comes_back_equal_and_of_the_same_types(value):
    body = encode(value, set())
    arrived = decode(body.data, body.buffers, set())

    assert arrived == value
    assert repr(type(arrived)) == repr(type(value))
    assert not body.defines


@given(st.lists(PLAIN, max_size=3), st.dictionaries(st.text(min_size=1, max_size=5), PLAIN, max_size=3))
def test_arguments_come_back_as_they_were(args, kwargs):
    body = encode_args(tuple(args), kwargs, set())

    assert decode(body.data, body.buffers) == (tuple(args), kwargs)


def test_an_object_that_is_in_a_message_twice_arrives_once():
    shared: list[int] = []
    cyclic: list[Any] = [shared, shared]
    cyclic.append(cyclic)

    arrived = decode(encode(cyclic).data, (), set())

    assert arrived[0] is arrived[1] is not shared
    assert arrived[2] is arrived


def test_importable_classes_and_functions_travel_by_name():
    body = encode([pickle.Pickler, types.SimpleNamespace, enum.unique, len])

    assert not body.defines
    assert decode(body.data) == [pickle.Pickler, types.SimpleNamespace, enum.unique, len]


def test_a_class_crosses_once_and_its_key_after_that(elsewhere: Elsewhere):
    A = module("class A:\n    big = 'x' * 10_000\n").A
    first = encode(A(), elsewhere.known)
    there = elsewhere.decode(first)
    elsewhere.known.update(first.defines)
    second = encode(A(), elsewhere.known)

    assert len(first.defines) == 1
    assert second.defines == []
    assert len(second.data) < 500 < len(first.data)
    assert type(elsewhere.decode(second)) is type(there) is not A


def test_a_class_is_defined_once_in_a_message_that_names_it_often(elsewhere: Elsewhere):
    A = module("class A: pass").A
    body = encode([A, A(), {"kind": A}], elsewhere.known)

    assert len(body.defines) == 1
    kind, instance, table = elsewhere.decode(body)
    assert kind is type(instance) is table["kind"]


def test_a_message_that_was_never_sent_defines_nothing(elsewhere: Elsewhere):
    A = module("class A: pass").A
    encode(A, elsewhere.known)  # given up before it was sent: nobody added its keys to `known`

    assert encode(A, elsewhere.known).defines != []


def test_what_has_changed_on_arrival_stays_changed(elsewhere: Elsewhere):
    A = module("class A:\n    count = 0\n").A
    there = elsewhere.receive(A)
    there.count = 7
    A.count = 99

    assert elsewhere.receive(A) is there
    known, elsewhere.known = elsewhere.known, set()  # a second sender brings the whole definition again
    assert elsewhere.receive(A) is there
    assert known == elsewhere.known
    assert there.count == 7


def test_a_definition_that_comes_home_is_the_one_that_left(elsewhere: Elsewhere):
    A = module("class A:\n    def me(self):\n        return A\n").A
    body = encode(A, elsewhere.known)

    assert decode(body.data, body.buffers, set()) is A
    assert elsewhere.receive(A)().me().__name__ == "A"


def test_a_redefined_class_is_another_one(elsewhere: Elsewhere):
    old = module("class A:\n    version = 1\n").A
    there = elsewhere.receive(old)
    new = module("class A:\n    version = 2\n").A
    newer = elsewhere.receive(new)

    assert (there.version, newer.version) == (1, 2)
    assert elsewhere.receive(old) is there


def test_classes_that_know_each_other_cross_together(elsewhere: Elsewhere):
    made = module(
        "class Node:\n"
        "    def __init__(self): self.next = self\n"
        "    def make(self): return Leaf()\n"
        "class Leaf(Node):\n"
        "    parent = Node\n"
        "Node.leaf = Leaf\n"
    )
    node = elsewhere.receive(made.Node())

    assert node.next is node
    assert type(node.make()) is type(node).leaf
    assert type(node).leaf.parent is type(node)


def test_enums_dataclasses_and_nested_classes_cross(elsewhere: Elsewhere):
    made = module(
        "import dataclasses, enum, typing\n"
        "class Colour(enum.Enum):\n    RED = 1\n    BLUE = 2\n"
        "@dataclasses.dataclass(frozen=True)\nclass Point:\n    x: int\n    colour: Colour = Colour.RED\n"
        "class Outer:\n    class Inner:\n        value = 3\n"
        "class Pair(typing.NamedTuple):\n    a: int\n    b: str = 'b'\n"
    )
    there = elsewhere.receive([made.Point(1), made.Colour.BLUE, made.Outer.Inner(), made.Pair(1), made.Colour.RED])
    point, blue, inner, pair, red = there

    assert point == type(point)(1, red)
    assert (blue.name, type(blue)(2), point.colour) == ("BLUE", blue, red)
    assert (inner.value, type(inner).__name__, pair, pair.b) == (3, "Inner", (1, "b"), "b")
    assert elsewhere.receive(made.Colour.BLUE) is blue


def test_a_function_brings_its_globals_and_keeps_its_own_afterwards(elsewhere: Elsewhere):
    made = module("count = [0]\ndef tick():\n    count[0] += 1\n    return count[0]\n")
    there = elsewhere.receive(made.tick)

    assert (there(), there(), elsewhere.receive(made.tick)()) == (1, 2, 3)
    assert made.count == [0]


def test_functions_that_call_each_other_cross_together(elsewhere: Elsewhere):
    made = module(
        "def even(n): return n == 0 or odd(n - 1)\n"
        "def odd(n): return n != 0 and even(n - 1)\n"
    )  # fmt: skip
    assert elsewhere.receive(made.even)(10)


def test_a_closure_is_data_and_crosses_as_it_is_each_time(elsewhere: Elsewhere):
    cell = [1]

    def closure() -> list[int]:
        return cell

    first = elsewhere.receive(closure)
    cell.append(2)

    assert (first(), elsewhere.receive(closure)()) == ([1], [1, 2])
    assert elsewhere.known == set()


def test_lambdas_partials_and_bound_methods_cross(elsewhere: Elsewhere):
    made = module(
        "import functools\n"
        "class A:\n    def __init__(self, n): self.n = n\n    def plus(self, m): return self.n + m\n"
        "double = lambda n: 2 * n\n"
        "half = functools.partial(lambda n, by: n / by, by=2)\n"
    )
    double, half, plus = elsewhere.receive([made.double, made.half, made.A(3).plus])

    assert (double(4), half(4), plus(4)) == (8, 2, 7)


def test_a_class_with_slots_a_metaclass_or_a_generic_base_crosses(elsewhere: Elsewhere):
    made = module(
        "import abc, typing\nT = typing.TypeVar('T')\n"
        "class Meta(type):\n    def shout(cls): return cls.__name__.upper()\n"
        "class A(metaclass=Meta):\n    __slots__ = ('x',)\n    def __init__(self): self.x = 1\n"
        "class Box(typing.Generic[T]):\n    def __init__(self, item: T): self.item = item\n"
        "class Base(abc.ABC):\n    @abc.abstractmethod\n    def go(self): ...\n"
        "class Done(Base):\n    def go(self): return super().__repr__()[:5]\n"
    )
    a, box, done = elsewhere.receive([made.A(), made.Box[int]("item"), made.Done()])

    assert (type(a).shout(), a.x, box.item, done.go()) == ("A", 1, "item", "<a_no")
    with pytest.raises(TypeError):
        type(done).__mro__[1]()


def test_a_key_that_has_not_arrived_is_named_in_the_error(elsewhere: Elsewhere):
    A = module("class A: pass").A
    elsewhere.known.update(encode(A, set()).defines)  # the sender believes it has arrived

    with pytest.raises(pickle.UnpicklingError, match=r"definition .* has not arrived"):
        elsewhere.receive(A())


def test_a_definition_that_fails_to_load_leaves_nothing_behind(elsewhere: Elsewhere):
    made = module(
        "class Bomb:\n    def __reduce__(self): return explode, ()\n"
        "def explode(): raise RuntimeError('boom')\n"
        "class A:\n    fuse = Bomb()\n    value = 5\n"
    )
    body = encode(made.A, elsewhere.known)
    with pytest.raises(RuntimeError, match="boom"):
        elsewhere.decode(body)
    del made.A.fuse

    assert elsewhere.receive(made.A).value == 5


def test_what_cannot_be_pickled_raises_at_the_sender():
    with pytest.raises(TypeError):
        encode([(number for number in range(3))], set())


class Hidden(int):
    """A value whose class does not say by a name where it comes from, as Cython's functions do not."""

    def __reduce__(self) -> Any:
        return int, (int(self),)


Hidden.__module__ = property(lambda self: __name__)  # type: ignore[assignment]


def test_a_value_whose_class_hides_its_module_arrives():
    assert decode(encode([Hidden(3)], set()).data) == [3]


class Coin:
    """Pickled by a function that somebody has registered for it."""

    def __init__(self, side: str) -> None:
        self.side = side


def toss(side: str) -> Coin:
    return Coin(f"tossed {side}")


def test_reducers_registered_with_copyreg_are_used_and_so_are_cloudpickles_own(monkeypatch):
    monkeypatch.setitem(copyreg.dispatch_table, Coin, lambda coin: (toss, (coin.side,)))
    view = types.MappingProxyType({"a": 1})

    coin, crossed = decode(encode((Coin("heads"), view)).data)

    assert coin.side == "tossed heads"
    assert type(crossed) is types.MappingProxyType and crossed == view
    monkeypatch.delitem(copyreg.dispatch_table, Coin)
    assert decode(encode(Coin("tails")).data).side == "tails"


class Proxy:
    """Says that it is a function, as decorators by `wrapt` do."""

    def __init__(self, function: Any) -> None:
        self.function = function

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return types.FunctionType

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "function"), name)


def test_a_proxy_of_a_function_is_left_to_cloudpickle(monkeypatch):
    asked = []
    monkeypatch.setattr(cloudpickle.Pickler, "reducer_override", lambda self, obj: asked.append(obj) or NotImplemented)
    proxy = Proxy(toss)

    try:
        encode(proxy)
    except Exception:  # a proxy may be none that pickle can take
        pass

    assert any(obj is proxy for obj in asked)
