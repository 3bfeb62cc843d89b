"""Networks by parts; numpy and torch agree; gradients written out agree with autograd."""

from __future__ import annotations

import copy
import pickle
import sys
import threading

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from torch import nn

from actorrl.rl.acting import NUMPY_WEIGHTS, TorchQ, q_function, weights_of
from actorrl.rl.flat import FlatAdam, FlatParameters
from actorrl.rl.losses import td_loss, td_slope
from actorrl.rl.networks import make_network
from actorrl.rl.numpy_mlp import KEPT, NumpyMLP
from actorrl.rl.plain_mlp import PlainMLP

FLAT = Box(-1, 1, (5,))
each_head = pytest.mark.parametrize("dueling", [False, True], ids=["linear", "dueling"])


def small(dueling: bool = False, seed: int = 0, sizes=(16, 8)) -> nn.Module:
    return make_network(FLAT, 3, hidden_sizes=sizes, dueling=dueling, seed=seed)


def observations(B: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(B, 5)).astype(np.float32)


@each_head
@pytest.mark.parametrize("B", [1, 7])
def test_numpy_and_torch_agree(dueling, B):
    module = small(dueling)
    q = q_function(module)

    assert isinstance(q, NumpyMLP)
    np.testing.assert_allclose(q(observations(B)), TorchQ(module)(observations(B)), rtol=1e-5, atol=1e-6)


@each_head
def test_they_agree_after_new_weights_and_a_journey(dueling):
    other = small(dueling, seed=1)
    q = pickle.loads(pickle.dumps(q_function(small(dueling))))
    q.set_weights(weights_of(other))
    q = pickle.loads(pickle.dumps(q))

    np.testing.assert_allclose(q(observations(4)), TorchQ(other)(observations(4)), rtol=1e-5, atol=1e-6)


@each_head
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda q: pickle.loads(pickle.dumps(q))])
def test_a_copy_of_one_that_has_acted_takes_weights_of_its_own(dueling, copied):
    module, other = small(dueling), small(dueling, seed=1)
    q = q_function(module)
    before = q(observations(4))

    another = copied(q)
    another.set_weights(weights_of(other))

    np.testing.assert_allclose(another(observations(4)), TorchQ(other)(observations(4)), rtol=1e-5, atol=1e-6)
    if copied is not copy.copy:  # a shallow one shares its weights
        assert (q(observations(4)) == before).all()


def test_batches_of_ever_other_sizes_do_not_fill_the_memory():
    q = q_function(small())

    for B in range(1, 100):
        q(observations(B))

    assert len(q._plans) <= KEPT


def test_weights_given_to_a_q_function_are_its_own():
    module = small()
    q = q_function(module)
    before = q(observations(2)).copy()

    with torch.no_grad():
        module.head.weight.add_(1.0)

    assert (q(observations(2)) == before).all()


def test_which_of_the_two_acts_is_a_rule_of_sizes():
    wide = make_network(FLAT, 3, hidden_sizes=(NUMPY_WEIGHTS // 4, 4))

    assert isinstance(q_function(wide), TorchQ)
    assert isinstance(q_function(nn.Linear(5, 3)), TorchQ), "modules of the user's own use torch"


def test_dueling_advantages_have_no_mean():
    module = small(dueling=True)
    features = module.middle(torch.from_numpy(observations(4)))

    q = module.head(features)

    torch.testing.assert_close(q.mean(-1), module.head.value(features)[:, 0])


@pytest.mark.parametrize("shape", [(84, 84), (84, 84, 4), (4, 84, 84), (10, 10, 3), (10, 10)], ids=str)
def test_pictures_go_through_convolutions(shape):
    module = make_network(Box(0, 255, shape, np.uint8), 3, hidden_sizes=(8,))

    assert module(torch.zeros((2, *shape), dtype=torch.uint8)).shape == (2, 3)
    assert any(isinstance(layer, nn.Conv2d) for layer in module.modules())


def test_a_seed_fixes_the_weights_and_leaves_torchs_own_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)

    first, second, other = small(seed=3), small(seed=3), small(seed=4)

    assert torch.rand(1) == expected
    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_a_network_of_the_users_own_must_be_a_module():
    with pytest.raises(TypeError, match=r"must return an nn\.Module, found 3"):
        make_network(FLAT, 3, network=lambda space, outputs: outputs)


@each_head
@pytest.mark.parametrize("loss", ["td", "mse"])
def test_the_gradient_written_out_is_autograds(dueling, loss):
    module = small(dueling)
    flat = FlatParameters(module)
    x = torch.from_numpy(observations(6))
    actions, targets = torch.tensor([0, 1, 2, 0, 1, 2])[:, None], torch.linspace(-3, 3, 6)
    td_loss(module(x).gather(1, actions).squeeze(1), targets, loss).backward()
    expected = flat.gradient.clone()
    flat.gradient.fill_(7.0)

    with torch.no_grad():
        plain = PlainMLP(module)
        features = plain.features(x)
        q = plain.head(features[-1])
        slope = td_slope(q.gather(1, actions), targets[:, None], loss)
        plain.backward(features, torch.zeros_like(q).scatter_(1, actions, slope))

    torch.testing.assert_close(q, module(x).detach())
    torch.testing.assert_close(flat.gradient, expected)


def test_flat_parameters_are_the_modules_own():
    module = small()
    before = module(torch.ones(1, 5)).detach()
    flat = FlatParameters(module)

    assert torch.equal(module(torch.ones(1, 5)), before)
    flat.values.zero_()
    assert (module(torch.ones(1, 5)) == 0).all()
    module.load_state_dict(small(seed=2).state_dict())
    assert torch.equal(flat.values[: 16 * 5], module.middle[0].weight.detach().reshape(-1))


def test_flat_adam_takes_the_steps_of_torchs_own():
    ours, theirs = small(), small()
    flat = FlatParameters(ours)
    adam, optimizer = FlatAdam(flat), torch.optim.Adam(theirs.parameters(), lr=0.01)
    for _ in range(5):
        for module in (ours, theirs):
            module.zero_grad(set_to_none=False)
            module(torch.from_numpy(observations(6))).square().sum().backward()
        adam.step(0.01)
        optimizer.step()

    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_a_gradient_is_clipped_to_its_norm():
    flat = FlatParameters(small())
    flat.gradient.fill_(1.0)
    norm = len(flat.gradient) ** 0.5

    assert flat.clip_gradient(2.0) == pytest.approx(norm, rel=1e-5)
    assert flat.gradient.norm().item() == pytest.approx(2.0, rel=1e-4)
    assert flat.clip_gradient(10.0) == pytest.approx(2.0, rel=1e-4)
    assert flat.gradient.norm().item() == pytest.approx(2.0, rel=1e-4)


def test_one_network_acts_for_several_threads_at_once():
    module = small()
    act, given = q_function(module), observations(4)
    expected, wrong = act(given), []

    def ask(row: int) -> None:
        for _ in range(2_000):
            if not np.array_equal(act(given[row : row + 1]), alone[row]):
                wrong.append(row)

    alone = [act(given[row : row + 1]) for row in range(4)]
    np.testing.assert_allclose(np.concatenate(alone), expected, rtol=1e-5)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=ask, args=(row,)) for row in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    assert not wrong
