"""Programs without a main guard: a file, `python -c`, stdin, `-m`, pytest, a notebook; what they define works."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts import run

FORMS = ["file", "-c", "stdin", "-m"]

COUNTER = """
from dataclasses import dataclass
from actorrl import remote, startat, fetch, stop

print("the top of the program runs once")

@dataclass
class Counter:
    value: int = 0

@remote
def add(counter: Counter, n: int) -> int:
    counter.value += n
    return counter.value

counter = startat(2, Counter, 0)
future = add(counter, 10)
assert fetch(future) == 10
assert add(Counter(0), 10) == 10

@remote
class Account:
    def __init__(self, balance):
        self.balance = balance
    def deposit(self, n):
        self.balance += n
        return self.balance

account = Account.remote(0)
assert fetch(account.deposit(10)) == 10
account.deposit.tell(1)
assert fetch(account.deposit.remote(1)) == 12

@startat(2, name="buffer")
class Buffer:
    def __init__(self, size):
        self.size, self.items = size, []
    def put(self, item):
        self.items.append(item)
        return len(self.items)

buffer = Buffer(3)
assert fetch(buffer.put(1)) == 1
print("done")
"""

DEFINITIONS = """
import enum, sys
from collections import namedtuple
from dataclasses import dataclass, field
from typing import NamedTuple, Any
from actorrl import remote, startat, fetch, as_completed, System

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2

class Point(NamedTuple):
    x: int
    y: int

Pair = namedtuple("Pair", "a b")

@dataclass(frozen=True)
class Order:
    colour: Colour
    points: list = field(default_factory=list)
    class Item:
        def __init__(self, n):
            self.n = n

class Base:
    def who(self):
        return "base"

class Child(Base):
    def who(self):
        return "child of " + super().who()

class Problem(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code

LIMIT = 5

def helper(x):
    return x + LIMIT

class Shop:
    opened = 0

    def __init__(self):
        self.orders = []

    def take(self, order):
        assert isinstance(order, Order), type(order)
        assert order.colour is Colour.RED, order.colour
        assert all(isinstance(p, Point) for p in order.points)
        self.orders.append(order)
        return order

    def item(self, item):
        assert type(item) is Order.Item
        return Order.Item(item.n + 1)

    def colour(self):
        return Colour.BLUE

    def level(self, level):
        assert level is Level.HIGH
        return level

    def pair(self, pair):
        assert type(pair) is Pair
        return pair

    def who(self, thing):
        assert isinstance(thing, Base)
        return thing.who()

    def help(self, x):
        return helper(x)

    def raises(self):
        raise Problem(7, "out of stock")

    def grow(self, _):
        type(self).opened += 1
        Shop.opened += 10
        return Shop.opened

    def apply(self, function, *args):
        return function(*args)

for place in (None, 1, None):
    shop = startat(place, Shop)
    order = fetch(shop.take(Order(Colour.RED, [Point(1, 2)])))
    assert isinstance(order, Order) and order == Order(Colour.RED, [Point(1, 2)])
    assert isinstance(order.points[0], Point)
    assert isinstance(fetch(shop.item(Order.Item(1))), Order.Item)
    assert fetch(shop.colour()) is Colour.BLUE
    assert fetch(shop.level(Level.HIGH)) is Level.HIGH
    assert type(fetch(shop.pair(Pair(1, 2)))) is Pair
    assert fetch(shop.who(Child())) == "child of base"
    assert fetch(shop.help(1)) == 6
    assert fetch(shop.apply(helper, 2)) == 7
    assert fetch(shop.apply(lambda x: x * LIMIT, 2)) == 10
    try:
        fetch(shop.raises())
    except Problem as problem:
        assert problem.code == 7 and str(problem) == "7: out of stock"
        assert "raises" in str(problem.__cause__)
    else:
        raise SystemExit("no Problem")

# Such a class crosses once per process: class attributes that an actor has changed stay changed.
shop = startat(4, Shop)
assert fetch([shop.grow(Order(Colour.RED)) for _ in range(3)]) == [11, 22, 33]
other = startat(4, Shop)
assert fetch(other.grow(Child())) == 44
assert fetch(startat(5, Shop).grow(1)) == 11
assert Shop.opened == 0

# A redefined class or function is a new one.
@remote
def version(shop):
    return 1
assert fetch(version(shop)) == 1
@remote
def version(shop):
    return 2
assert fetch(version(shop)) == 2

class Shop:
    def who(self):
        return "new"
new = startat(4, Shop)
assert fetch(new.who()) == "new"
assert fetch(shop.grow(0)) == 55
print("done")
"""


@pytest.mark.parametrize("form", FORMS)
def test_a_script_needs_no_main_guard(form: str):
    script = run(COUNTER, form)

    assert script.out == "the top of the program runs once\ndone\n"
    assert script.err == ""


@pytest.mark.parametrize("form", FORMS)
def test_classes_and_functions_of_scripts_work(form: str):
    script = run(DEFINITIONS, form)

    assert script.out == "done\n"
    assert script.err == ""


def test_a_main_guard_does_no_harm():
    script = run('if __name__ == "__main__":\n' + "".join(f"    {line}\n" for line in COUNTER.splitlines()))

    assert script.out.endswith("done\n")


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_classes_of_a_pytest_module_work(mode: str):
    source = "import sys\n" + DEFINITIONS.replace('\nprint("done")\n', "\n")
    head, body = source.split("\nfor place in", 1)
    body = body.replace("class Shop:", "class NewShop:").replace("new = startat(4, Shop)", "new = startat(4, NewShop)")
    indented = "\n".join(f"    {line}" for line in ("for place in" + body).splitlines())
    script = run(
        f"{head}\nimport pytest\n@pytest.fixture(autouse=True)\ndef system():\n    with System():\n        yield\n"
        f"def test_definitions():\n    {indented.lstrip()}\n",
        "pytest",
        extra=(f"--import-mode={mode}",),
    )

    assert "1 passed" in script.out, script.out + script.err


def test_the_default_system_starts_with_the_first_spawn_and_ends_with_the_program():
    script = run(
        """
        import actorrl, os
        class Where:
            def pid(self):
                return os.getpid()
        a, b = actorrl.startat(None, Where), actorrl.startat(0, Where)
        print(len({os.getpid(), *actorrl.fetch([a.pid(), b.pid()])}))
        """
    )

    assert script.out == "3\n"
    assert script.err == ""


def test_what_an_actor_prints_appears():
    script = run(
        """
        import sys
        from actorrl import startat, fetch
        class Talks:
            def talk(self):
                print("from over there")
                print("an aside", file=sys.stderr)
        fetch(startat(None, Talks).talk())
        fetch(startat(1, Talks).talk())
        """
    )

    assert script.out.count("from over there") == 2
    assert script.err.count("an aside") == 2


def test_a_module_beside_the_script_is_imported_by_the_actor(tmp_path: Path):
    (tmp_path / "besides.py").write_text("class Thing:\n    def name(self):\n        return __name__\n")
    script = run(
        f"""
        import sys; sys.path.insert(0, {str(tmp_path)!r})
        import besides
        from actorrl import startat, fetch
        print(fetch(startat(None, besides.Thing).name()))
        """
    )

    assert script.out == "besides\n"


def test_a_module_that_no_actor_can_import_travels_by_value():
    script = run(
        """
        import sys, types
        module = types.ModuleType("made_up")
        exec("class Thing:\\n def n(self, other=None): return other is None or type(other) is Thing", module.__dict__)
        sys.modules["made_up"] = module
        from actorrl import startat, fetch
        thing = startat(None, module.Thing)
        print(fetch(thing.n()), fetch(thing.n(module.Thing())))
        """
    )

    assert script.out == "True True\n"


def test_a_long_temporary_directory(tmp_path: Path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    script = run(COUNTER, temporary=str(deep))

    assert script.out.endswith("done\n")


def test_without_any_environment_to_speak_of():
    script = run(
        """
        import os, sys
        for name in list(os.environ):
            if name not in ("ACTORRL_TESTS_MARK", "TMPDIR"):
                del os.environ[name]
        from actorrl import startat, fetch
        print(fetch(startat(None, list, "ab").index("b")))
        """
    )

    assert script.out == "1\n"


NOTEBOOK = [
    DEFINITIONS.split("for place in")[0],
    """
shop = startat(4, Shop)
order = await shop.take(Order(Colour.RED))
assert isinstance(order, Order) and fetch(shop.colour()) is Colour.BLUE
first = [fetch(shop.grow(1)), fetch(shop.grow(1))]
assert first == [11, 22], first
""",
    """
class Shop:
    def who(self):
        return "defined again"
@remote
def version(shop):
    return 2
again = startat(4, Shop)
assert fetch(again.who()) == "defined again"
assert fetch(version(again)) == 2 and fetch(version(shop)) == 2
assert fetch(shop.grow(0)) == 33
""",
    """
@remote
def version(shop):
    return 3
assert fetch(version(again)) == 3
print("cells done")
""",
]


def test_a_notebook():
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    script = run(
        f"""
        import sys
        import nbclient, nbformat
        from nbformat.v4 import new_code_cell, new_notebook
        cells = {NOTEBOOK!r}
        notebook = new_notebook(cells=[new_code_cell(source) for source in cells])
        nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
        print(notebook.cells[-1].outputs[-1].text)
        """
    )

    assert "cells done" in script.out
