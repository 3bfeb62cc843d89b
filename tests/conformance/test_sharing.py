"""`share`: the price of a reference, arrays not writeable, tensors copy-on-write, freed with the last that has it."""

from __future__ import annotations

import gc
import os
import signal
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psutil
import pytest
from engines import only_processes
from gates import Gate
from pools import MB, in_use, nothing_in_use, small_pool
from strays import eventually

from actorrl import ActorRef, errors, fetch, init, kill, share, shutdown, startat, stop, wait, watch
from actorrl.actor.pool import Pool

Pair = namedtuple("Pair", "a b")


@dataclass(frozen=True)
class Model:
    weights: Any
    steps: int = 0
    more: list[Any] = field(default_factory=list)


class User:
    """Gets shares and does things with them."""

    def __init__(self, shared: Any = None, gate: Gate | None = None) -> None:
        self.shared, self.gate = shared, gate

    def keep(self, shared: Any) -> None:
        self.shared = shared

    def echo(self, item: Any) -> Any:
        return item

    def kept(self) -> Any:
        return self.shared

    def first(self, array: Any) -> float:
        return float(array.reshape(-1)[0])

    def writeable(self, array: np.ndarray) -> bool:
        try:
            array[...] = 0
        except ValueError:
            return False
        return True

    def add_(self, tensor: Any) -> float:
        tensor.add_(1)
        return float(tensor.sum())

    def make(self, size: int) -> Any:
        return share({"made": np.full(size, 3.0, "f4")})

    def through(self, item: Any) -> None:
        assert self.gate is not None
        self.gate.through()

    def pid(self) -> int:
        return os.getpid()

    def pass_to(self, other: ActorRef[User], item: Any) -> Any:
        return fetch(other.echo(item))


def ones(size: int = MB // 4) -> np.ndarray:
    return np.ones(size, "f4")


@pytest.fixture
def user(engine: str) -> Iterator[ActorRef[User]]:
    ref = startat(None, User)
    yield ref
    stop(ref)


@pytest.fixture
def pool() -> Iterator[Pool]:
    with small_pool(64 * MB) as memory:
        yield memory
        gc.collect()


# -- what it makes, on every engine ------------------------------------------------------------------


def test_an_array_is_shared_as_it_is(user: ActorRef[User]):
    array = np.arange(100_000.0)
    shared = share(array)
    array[:] = 0

    back = fetch(user.echo(shared))

    for one in (shared, back):
        assert type(one) is np.ndarray
        assert np.array_equal(one, np.arange(100_000.0))
        assert not one.flags.writeable
        with pytest.raises(ValueError):
            one[0] = 1
        with pytest.raises(ValueError):
            one.flags.writeable = True


def test_an_actor_cannot_write_to_it_either(user: ActorRef[User]):
    shared = share(ones())

    assert not fetch(user.writeable(shared))
    assert fetch(user.first(shared)) == 1


@pytest.mark.parametrize(
    "make",
    [dict, OrderedDict, lambda items: defaultdict(list, items)],
    ids=["dict", "OrderedDict", "defaultdict"],
)
def test_dicts(user: ActorRef[User], make: Any):
    original = make([("a", ones()), ("b", 3), ("c", {"d": ones(3)})])

    shared = share(original)
    back = fetch(user.echo(shared))

    for one in (shared, back):
        assert type(one) is type(original)
        assert list(one) == ["a", "b", "c"] and one["b"] == 3
        assert not one["a"].flags.writeable and not one["c"]["d"].flags.writeable
        one["e"] = 1
    assert "e" not in original and original["a"].flags.writeable


def test_lists_tuples_namedtuples_and_dataclasses(user: ActorRef[User]):
    shared = share([(ones(), 1), Pair(ones(2), "x"), Model(ones(3), 5, [ones(4)])])

    for (array, one), pair, model in (shared, fetch(user.echo(shared))):
        assert not array.flags.writeable and one == 1
        assert type(pair) is Pair and not pair.a.flags.writeable and pair.b == "x"
        assert type(model) is Model and model.steps == 5
        assert model.weights.size == 3 and model.more[0].size == 4
        assert not model.weights.flags.writeable and not model.more[0].flags.writeable


ARRAYS: dict[str, np.ndarray] = {
    "0-d": np.array(3.5),
    "empty": np.empty((0, 4), "f4"),
    "one byte": np.array([True]),
    "strings": np.array(["a", "longer"]),
    "dates": np.array(["2020-01-01"], "M8[D]"),
    "big-endian": np.arange(50_000, dtype=">f8"),
    "structured": np.zeros(10_000, [("x", "i4"), ("y", "f8")]),
    "Fortran order": np.asfortranarray(np.arange(90_000.0).reshape(300, 300)),
    "strided": np.arange(100_000.0)[::-3],
    "broadcast": np.broadcast_to(np.arange(3.0), (4, 3)),
    "of bytes": np.frombuffer(b"12345678" * 3, "f8"),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_every_kind_of_array(user: ActorRef[User], kind: str):
    shared = share([ARRAYS[kind]])[0]

    for one in (shared, fetch(user.echo(shared))):
        assert one.dtype == ARRAYS[kind].dtype and one.shape == ARRAYS[kind].shape
        assert np.array_equal(one, ARRAYS[kind])
        assert not one.flags.writeable
        assert one.flags.aligned
        assert one.flags.f_contiguous == ARRAYS[kind].flags.f_contiguous or kind in ("strided", "broadcast")


VIEWS: dict[str, Any] = {
    "slice": lambda a: a[10:20],
    "column": lambda a: a[:, 3],
    "reversed": lambda a: a[::-1, ::-2],
    "transposed": lambda a: a.T,
    "element": lambda a: a[3, 4:5],
    "other type": lambda a: a.view("i4"),
    "reshaped": lambda a: a.reshape(-1)[7:].reshape(-1, 1),
    "nothing": lambda a: a[5:5],
    "broadcast": lambda a: np.broadcast_to(a[0], (7, 500)),
}


@pytest.mark.parametrize("kind", VIEWS)
def test_a_view_of_a_share_is_one_too(user: ActorRef[User], kind: str):
    shared = share(np.arange(250_000, dtype="f4").reshape(500, 500))
    view = VIEWS[kind](shared)

    back = fetch(user.echo(view))

    assert np.array_equal(back, view)
    assert back.strides == view.strides or not view.size
    assert not back.flags.writeable


def test_what_is_made_of_a_share_is_ordinary(user: ActorRef[User]):
    shared = share(ones())

    back = fetch(user.echo([shared + 1, shared.copy()]))

    assert all(array.flags.writeable for array in back)


def test_the_same_array_twice_is_the_same_share(user: ActorRef[User]):
    array = ones()
    shared = share({"a": array, "b": [array]})

    assert shared["a"] is shared["b"][0]
    back = fetch(user.echo(shared))
    assert back["a"] is back["b"][0]


def test_a_list_that_has_itself():
    loop: list[Any] = [ones()]
    loop.append(loop)

    shared = share(loop)

    assert shared[1] is shared
    assert not shared[0].flags.writeable


def test_sharing_a_share_makes_no_other(user: ActorRef[User]):
    shared = share(ones())

    assert share({"a": shared, "b": 1})["a"] is shared
    assert np.array_equal(fetch(user.echo(share([shared[5:]])))[0], shared[5:])


def test_what_cannot_be_shared_stays_what_it_is(user: ActorRef[User]):
    class Sub(np.ndarray):
        pass

    objects, sub = np.array([1, "two"], object), ones(3).view(Sub)

    shared = share({"objects": objects, "sub": sub, "text": "x", "none": None})

    assert shared["objects"] is objects
    assert shared["sub"] is sub
    assert shared["text"] == "x" and shared["none"] is None
    assert share(5) == 5


def test_a_share_in_an_error_arrives_as_well(user: ActorRef[User]):
    class Fails:
        def fail(self, array: np.ndarray) -> None:
            raise ValueError("no", array[:3])

    with pytest.raises(ValueError, match="no") as caught:
        fetch(startat(None, Fails).fail(share(ones())))
    assert caught.value.args[1].tolist() == [1, 1, 1]


def test_actors_share_too(user: ActorRef[User]):
    back = fetch(user.make(100_000))

    assert back["made"].sum() == 300_000
    assert not back["made"].flags.writeable


# -- tensors -----------------------------------------------------------------------------------------


def test_a_tensor_is_its_owners_alone_once_it_was_written_to(user: ActorRef[User]):
    torch = pytest.importorskip("torch")
    shared = share({"w": torch.ones(1000, 100)})

    assert fetch(user.add_(shared["w"])) == 200_000
    assert float(shared["w"].sum()) == 100_000
    fetch(user.keep(shared))
    shared["w"].zero_()
    assert float(fetch(user.kept())["w"].sum()) == 100_000
    assert float(fetch(user.echo(shared))["w"].sum()) == 0, "it is sent as it is now"


def test_kinds_of_tensors(user: ActorRef[User]):
    torch = pytest.importorskip("torch")
    tied = torch.nn.Parameter(torch.arange(12.0).reshape(3, 4))
    original = {
        "bfloat16": torch.arange(10).to(torch.bfloat16),
        "not contiguous": torch.arange(12).reshape(3, 4).t(),
        "requires grad": torch.ones(3, requires_grad=True),
        "parameter": tied,
        "tied": tied,
        "bool": torch.tensor([True, False]),
        "complex": torch.ones(3, dtype=torch.complex64).conj(),
        "0-d": torch.tensor(3.5),
        "empty": torch.empty(0, 3),
    }

    shared = share(original)

    for one in (shared, fetch(user.echo(shared))):
        for key, tensor in original.items():
            assert type(one[key]) is type(tensor) and one[key].dtype == tensor.dtype, key
            assert torch.equal(one[key], tensor), key
            assert one[key].requires_grad == tensor.requires_grad, key
        assert one["tied"] is one["parameter"]


def test_views_of_a_tensor_and_neighbours_do_not_see_each_others_writes(user: ActorRef[User]):
    torch = pytest.importorskip("torch")
    shared = share({"a": torch.ones(10), "b": torch.ones(10)})

    first, second, b = fetch(user.echo((shared["a"][2:], shared["a"][:5], shared["b"])))
    first.zero_()

    assert first.numel() == 8
    assert float(second.sum()) == 5
    assert float(b.sum()) == 10
    assert float(shared["a"].sum()) == 10


def test_a_state_dict_trains_on(user: ActorRef[User]):
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(300, 300)

    back = fetch(user.echo(share(net.state_dict())))
    net.load_state_dict(back)

    assert torch.equal(net.weight, back["weight"])


def test_a_tensor_elsewhere_says_how_to_get_it_here(monkeypatch: pytest.MonkeyPatch):
    torch = pytest.importorskip("torch")
    tensor = torch.ones(3)

    class Cuda:
        type = "cuda"

    monkeypatch.setattr(torch.Tensor, "device", property(lambda self: Cuda()))
    with pytest.raises(TypeError, match=r"\.cpu\(\)"):
        share({"a": tensor})


# -- what it costs, and when it is free ----------------------------------------------------------------


def test_sent_to_many_it_is_there_once(pool: Pool):
    users = [startat(None, User) for _ in range(4)]
    shared = share({"weights": ones(4 * MB // 4), "more": [ones()]})

    fetch([user.keep(shared) for user in users])
    assert fetch([user.first(shared["weights"][5:]) for user in users]) == [1] * 4

    assert in_use(pool) == 1
    assert pool.measure() < 6 * MB


def test_free_when_the_last_view_anywhere_is_gone(pool: Pool):
    users = [startat(None, User) for _ in range(2)]
    shared = share(ones())
    fetch([user.keep(shared[1:]) for user in users])
    del shared
    back = fetch(users[0].kept())
    fetch(users[0].keep(None))
    part = back[::2]
    del back
    fetch(users[1].keep(None))
    assert in_use(pool) == 1
    assert part.sum() == len(part)

    del part

    nothing_in_use(pool)


def test_an_undelivered_message_keeps_it(pool: Pool, gate: Gate):
    user = startat(None, User, None, gate)
    user.through.tell(0)
    gate.entered()
    call = user.first(share(ones()))
    gc.collect()
    assert in_use(pool) == 1
    gate.open()

    assert fetch(call) == 1
    nothing_in_use(pool)


def test_as_a_constructors_argument_it_lives_with_the_actor(pool: Pool):
    user = startat(None, User, share(ones()))
    assert fetch(user.kept()).sum() == MB // 4

    stop(user)

    nothing_in_use(pool)


def test_handed_on_by_those_who_got_it(pool: Pool):
    first, second, third = startat(None, User), startat(1, User), startat(1, User)

    for one, other in [(first, second), (second, first), (second, third), (third, second)]:
        back = fetch(one.pass_to(other, share(ones())))
        assert in_use(pool) == 1, "it is the same block all the way"
        assert not back.flags.writeable
        assert back.sum() == MB // 4
        del back
        nothing_in_use(pool)


def test_a_killed_actor_holds_nothing(pool: Pool):
    user = startat(None, on_failure="ignore")(User)()
    shared = share(ones())
    fetch(user.keep(shared))
    pid = fetch(user.pid())
    del shared
    assert in_use(pool) == 1

    os.kill(pid, signal.SIGKILL)

    nothing_in_use(pool)


def test_what_was_on_its_way_to_a_killed_actor_is_free(pool: Pool, gate: Gate):
    user = startat(None, User, None, gate)
    user.through.tell(0)
    gate.entered()
    calls = [user.first(share(ones())) for _ in range(3)]

    kill(user)

    assert all(isinstance(call.exception(10), errors.ActorDied) for call in calls)
    nothing_in_use(pool)


def test_it_outlives_the_actor_that_made_it(pool: Pool):
    user, other = startat(None, User), startat(None, User)
    made = fetch(user.make(MB // 4))
    fetch(other.keep(made))
    kill(user)
    fresh = [startat(None, User) for _ in range(2)]

    assert fetch([one.first(made["made"]) for one in [other, *fresh]]) == [3] * 3
    assert fetch(other.kept())["made"].sum() == 3 * (MB // 4)
    del made
    fetch(other.keep(None))
    nothing_in_use(pool)
    eventually(lambda: pool.measure() < MB, what="the memory of a dead actor is kept")


@pytest.mark.slow
def test_actors_killed_while_they_send_and_get_shares_leave_nothing(pool: Pool):
    keeper, cut_short = startat(None, User), 0
    for _ in range(8):
        user = startat(None, on_failure="ignore")(User)()
        pid = fetch(user.pid())
        shared = share(ones())
        calls = [user.echo(shared) for _ in range(20)] + [user.make(MB // 4) for _ in range(3)]
        calls += [user.pass_to(keeper, shared) for _ in range(5)]
        wait(calls, num_returns=5)
        os.kill(pid, signal.SIGKILL)
        cut_short += any(isinstance(call.exception(10), errors.ActorDied) for call in calls)
        del calls, shared
    assert cut_short
    eventually(lambda: not fetch(keeper.kept()) and in_use(pool) == 0, what="a share of a dead actor is kept")


def test_shared_before_and_read_after_the_system(pool: Pool):
    shutdown()
    before = share(ones())
    init()
    user = startat(None, User)
    assert fetch(user.first(before)) == 1
    made = fetch(user.make(1000))
    shutdown()
    assert before.sum() == MB // 4 and made["made"].sum() == 3000
    init()
    user = startat(None, User)
    more = [fetch(user.make(1000)) for _ in range(3)]
    assert fetch(user.first(made["made"])) == 3
    assert fetch(user.first(before)) == 1
    assert made["made"].sum() == 3000
    del before, made, more
    nothing_in_use(pool)


def test_when_the_nursery_is_killed_shares_live_on(pool: Pool):
    user = startat(None, on_failure="ignore")(User)()
    shared, made = share(ones()), fetch(user.make(1000))
    fetch(user.keep(shared))
    end = watch(user)
    os.kill(psutil.Process(fetch(user.pid())).ppid(), signal.SIGKILL)
    assert isinstance(fetch(end), errors.ActorDied)
    again = startat(None, User)
    fetch(again.keep([shared, made]))

    assert shared.sum() == MB // 4 and made["made"].sum() == 3000
    assert fetch(again.first(shared)) == 1
    del shared, made
    assert in_use(pool) == 2, "the actor of the new nursery has both"
    fetch(again.keep(None))
    nothing_in_use(pool)


def test_more_than_may_be_shared_is_an_error_that_says_how_much_may(pool: Pool):
    with pytest.raises(MemoryError, match=r"0\.0671 GB") as caught:
        share(ones(20 * MB))

    assert "share less" in str(caught.value)
    share(ones())


@only_processes
def test_many_references_to_one_share(user: ActorRef[User]):
    shared = share(ones())

    sums = fetch([user.first(shared[index:]) for index in range(200)])

    assert sums == [1] * 200


def test_inline_nothing_is_copied():
    shutdown()
    init(engine="inline")
    try:
        user = startat(None, User)
        shared = share(ones())
        fetch(user.keep(shared))
        assert np.shares_memory(fetch(user.kept()), shared)
    finally:
        shutdown()
