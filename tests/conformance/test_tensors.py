"""Torch tensors: private and writable like arrays; a view sends its elements; CUDA is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from actors_for_tests import Echo

from actorrl import ActorRef, fetch, startat, stop

torch = pytest.importorskip("torch")


class Keeper:
    def __init__(self) -> None:
        self.tensor: Any = None

    def keep(self, tensor: Any) -> None:
        self.tensor = tensor

    def give(self) -> Any:
        return self.tensor

    def add_one(self, tensor: Any) -> float:
        tensor += 1
        return float(tensor.sum())

    def storage(self, tensor: Any) -> int:
        return int(tensor.untyped_storage().nbytes())

    def first_of_the_second_after_writing_the_first(self, tensors: Any) -> float:
        tensors[0].fill_(7)
        return float(tensors[1].flatten()[0])

    def net(self) -> Any:
        return torch.nn.Linear(3, 2)


@pytest.fixture(scope="module")
def keeper(engine: str) -> Iterator[ActorRef[Keeper]]:
    ref = startat(None, Keeper)
    yield ref
    stop(ref)


@pytest.fixture(scope="module")
def echo(engine: str) -> Iterator[ActorRef[Echo]]:
    ref = startat(3, Echo)
    yield ref
    stop(ref)


TENSORS = {
    "float32": lambda: torch.arange(6.0).reshape(2, 3),
    "float64": lambda: torch.arange(6, dtype=torch.float64),
    "bfloat16": lambda: torch.arange(6).to(torch.bfloat16),
    "float16": lambda: torch.arange(6).to(torch.float16),
    "int64": lambda: torch.arange(6),
    "uint8": lambda: torch.arange(6, dtype=torch.uint8),
    "bool": lambda: torch.tensor([True, False]),
    "complex64": lambda: torch.complex(torch.ones(3), torch.zeros(3)),
    "0-d": lambda: torch.tensor(3.5),
    "empty": lambda: torch.empty(0, 4),
    "large": lambda: torch.arange(300_000.0),
    "large bfloat16": lambda: torch.ones(300_000).to(torch.bfloat16),
    "transposed": lambda: torch.arange(6.0).reshape(2, 3).T,
    "transposed large": lambda: torch.arange(90_000.0).reshape(300, 300).T,
    "strided": lambda: torch.arange(20.0)[::3],
    "view": lambda: torch.arange(10_000.0)[5_000:5_010],
    "expanded": lambda: torch.arange(3.0).expand(4, 3),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_of_any_kind(echo: ActorRef[Echo], kind: str):
    tensor = TENSORS[kind]()
    back = fetch(echo.same(tensor))

    assert type(back) is torch.Tensor
    assert back.dtype == tensor.dtype
    assert back.shape == tensor.shape
    assert torch.equal(back, tensor)
    assert back.data_ptr() != tensor.data_ptr() or tensor.numel() == 0
    back.zero_()


@pytest.mark.parametrize("size", [4, 100_000])
def test_what_arrives_is_private_and_writable(keeper: ActorRef[Keeper], size: int):
    tensor = torch.zeros(size)

    assert fetch(keeper.add_one(tensor)) == size
    assert not tensor.any()


@pytest.mark.parametrize("size", [4, 100_000])
def test_answers_are_private(keeper: ActorRef[Keeper], size: int):
    fetch(keeper.keep(torch.zeros(size)))
    fetch(keeper.give()).fill_(3)

    assert not fetch(keeper.give()).any()


@pytest.mark.parametrize("size", [4, 100_000])
def test_the_sender_may_write_into_it_right_after_the_call(keeper: ActorRef[Keeper], size: int):
    tensor = torch.ones(size)
    future = keeper.add_one(tensor)
    tensor.fill_(99)

    assert fetch(future) == 2 * size


def test_a_view_sends_its_elements_not_its_storage(keeper: ActorRef[Keeper]):
    large = torch.zeros(5_000_000)

    assert fetch(keeper.storage(large[10:14])) == 16
    assert fetch(keeper.storage(large.reshape(1000, 5000)[:, 0])) == 4_000


@pytest.mark.parametrize("size", [10, 100_000])
def test_two_views_arrive_as_two_tensors(keeper: ActorRef[Keeper], size: int):
    tensor = torch.zeros(size)

    assert fetch(keeper.first_of_the_second_after_writing_the_first([tensor[:5], tensor[:5]])) == 0
    assert fetch(keeper.first_of_the_second_after_writing_the_first([tensor[:], tensor.view(2, -1)])) == 0


def test_in_state_dicts(echo: ActorRef[Echo], keeper: ActorRef[Keeper]):
    net = torch.nn.Sequential(torch.nn.Linear(4, 300), torch.nn.ReLU(), torch.nn.Linear(300, 300))
    back = fetch(echo.same(net.state_dict()))

    assert list(back) == list(net.state_dict())
    assert all(torch.equal(back[name], tensor) for name, tensor in net.state_dict().items())


def test_modules_and_parameters_stay_trainable(echo: ActorRef[Echo], keeper: ActorRef[Keeper]):
    net = fetch(keeper.net())
    loss = net(torch.ones(1, 3)).sum()
    loss.backward()

    assert isinstance(net.weight, torch.nn.Parameter)
    assert net.weight.requires_grad
    assert net.weight.grad is not None
    back = fetch(echo.same(torch.nn.Linear(200, 200)))
    assert isinstance(back.weight, torch.nn.Parameter)
    assert back.weight.requires_grad
    with torch.no_grad():
        back.weight.zero_()


def test_a_tensor_that_requires_grad_arrives(echo: ActorRef[Echo]):
    tensor = torch.ones(3, requires_grad=True)
    back = fetch(echo.same(tensor))

    assert torch.equal(back.detach(), torch.ones(3))


def test_a_dtype_and_a_device_travel(echo: ActorRef[Echo]):
    assert fetch(echo.same([torch.float32, torch.device("cpu"), torch.Size([2, 3])])) == [
        torch.float32,
        torch.device("cpu"),
        torch.Size([2, 3]),
    ]


def on_cuda() -> Any:
    """A CUDA tensor, or on a machine without one, what looks like it to whoever asks."""
    if torch.cuda.is_available():
        return torch.zeros(3, device="cuda")
    fake_tensor = pytest.importorskip("torch._subclasses.fake_tensor")
    with fake_tensor.FakeTensorMode():
        return torch.zeros(3, device="cuda")


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: {"deep": [t]}], ids=["bare", "deep"])
def test_a_cuda_tensor_is_a_type_error_that_says_cpu(echo: ActorRef[Echo], wrap: Any):
    tensor = on_cuda()

    with pytest.raises(TypeError, match=r"\.cpu\(\)"):
        echo.same(wrap(tensor))
