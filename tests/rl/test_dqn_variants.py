"""The variants of DQN, each one field: quantiles, priorities, Boltzmann exploration, and how they go together."""

from __future__ import annotations

import dataclasses
import itertools
import pickle

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from rl_toys import Chain, Masked
from test_dqn import QUICK, build, practise, rows
from torch import nn

from actorrl.rl.cadence import Updates
from actorrl.rl.dqn import DQNConfig
from actorrl.rl.exploration import Boltzmann
from actorrl.rl.plain_mlp import PlainMLP

VARIANTS = [
    dict(zip(("double", "dueling", "prioritized", "loss"), fields, strict=True))
    for fields in itertools.product([False, True], [False, True], [False, True], ["td", "quantile"])
]
each_variant = pytest.mark.parametrize(
    "variant", VARIANTS, ids=lambda v: "-".join([v["loss"], *(name for name in v if v[name] is True)])
)


@pytest.mark.slow
@each_variant
def test_every_variant_knows_what_a_chain_is_worth(variant):
    config = dataclasses.replace(QUICK, n_steps=1, gamma=0.9, quantiles=8, **variant)

    parts = practise(config, Chain, 600).parts

    np.testing.assert_allclose(parts.policy.q(np.eye(2, dtype=np.float32))[:, 0], [1.9, 1.0], atol=0.15)


@pytest.mark.slow
def test_quantiles_do_not_bootstrap_from_forbidden_actions():
    config = dataclasses.replace(QUICK, gamma=0.5, n_steps=1, loss="quantile", quantiles=8, total_steps=1000)

    q = practise(config, Masked, 1000).parts.policy.q(np.eye(3, dtype=np.float32))

    np.testing.assert_allclose([q[s, (s + 1) % 3] for s in range(3)], 2.0, atol=0.4)


class Coin(gymnasium.Env):
    """One state, one action, and a reward of 0 or 10 with even chances."""

    observation_space = Discrete(1)
    action_space = Discrete(1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 0, float(self.np_random.choice([0, 10])), True, False, {}


@pytest.mark.slow
def test_quantiles_learn_the_distribution_and_not_only_its_mean():
    config = dataclasses.replace(QUICK, learning_rate=0.02, loss="quantile", quantiles=4, total_steps=1000)

    policy = practise(config, Coin, 1000).parts.policy

    (z,) = policy.q._function(np.ones((1, 1), np.float32))
    np.testing.assert_allclose(z, [0, 0, 10, 10], atol=1.5)


@pytest.mark.parametrize("dueling", [False, True])
def test_acting_and_learning_agree_on_quantiles(dueling):
    parts = build(dataclasses.replace(QUICK, loss="quantile", quantiles=5, dueling=dueling, double=True))
    batch = rows()
    online, target = parts.learner._online, parts.learner._target
    with torch.no_grad():
        z = online(torch.from_numpy(batch["observation"])).reshape(8, 2, 5)
        z_next = target(torch.from_numpy(batch["observation_next"])).reshape(8, 2, 5)

    np.testing.assert_allclose(parts.policy.q(batch["observation"]), z.mean(2), rtol=1e-4, atol=1e-5)
    td = parts.learner.update(batch).td
    best = z_next.mean(2).max(1).values.numpy()
    expected = batch["reward"] + batch["discount"] * best - z.mean(2).numpy()[np.arange(8), batch["action"]]
    np.testing.assert_allclose(td, expected, rtol=1e-4, atol=1e-5)


def test_a_dueling_head_of_quantiles_has_advantages_without_a_mean_in_each():
    learner = build(dataclasses.replace(QUICK, loss="quantile", quantiles=5, dueling=True)).learner
    features = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))

    z = learner._online.head(features).reshape(3, 2, 5)

    torch.testing.assert_close(z.mean(1), learner._online.head.value(features))


@each_variant
def test_gradients_written_out_are_those_of_autograd(variant):
    """Our own network learns through PlainMLP where it can; the same network as the user's own through autograd."""
    config = dataclasses.replace(QUICK, quantiles=3, tau=1.0, **variant)
    ours, theirs = build(config).learner, build(config).learner
    theirs._q, theirs._q_target = theirs._online, theirs._target
    plain = isinstance(ours._q, PlainMLP)
    assert plain is not (variant["dueling"] and variant["loss"] == "quantile")
    for i in range(3):
        batch = rows(seed=i)
        if variant["prioritized"]:
            batch["weight"] = np.linspace(0.1, 1, 8, dtype=np.float32)
        one, other = ours.update(batch), theirs.update(batch)
        np.testing.assert_allclose(one.td, other.td, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(ours._flat.gradient, theirs._flat.gradient, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("loss", ["td", "mse", "quantile"])
def test_weights_scale_the_gradient_and_not_the_td_errors(loss):
    config = dataclasses.replace(QUICK, loss=loss, quantiles=3, max_grad_norm=1e9)
    plain, weighted, without = (build(config).learner for _ in range(3))
    batch = rows()
    half = np.repeat(np.float32([1, 0]), 4)

    expected = plain.update(batch)
    found = weighted.update(batch | {"weight": half})
    without.update({name: values[:4] for name, values in batch.items()})

    assert (found.td == expected.td).all()
    np.testing.assert_allclose(weighted._flat.gradient, without._flat.gradient / 2, rtol=1e-3, atol=1e-6)


def test_priorities_follow_the_td_errors_of_the_learner():
    practice = practise(dataclasses.replace(QUICK, prioritized=True), Chain, 300)
    table, learner = practice.parts.table, practice.parts.learner
    sample = table.sample(16)

    td = learner.update({**sample.batch, "weight": sample.weight}).td
    table.update_priorities(sample.ids, td)

    newest = dict(zip(sample.ids.tolist(), td.tolist(), strict=True))
    found = table._sampler._tree.get(np.array(list(newest)) % table.capacity)
    np.testing.assert_allclose(found, (np.abs(list(newest.values())) + 1e-6) ** 0.6, rtol=1e-5)


def test_the_learner_is_given_the_weights_of_prioritised_rows():
    parts, batches = build(dataclasses.replace(QUICK, prioritized=True)), []
    update = parts.learner.update
    parts.learner.update = lambda batch: batches.append(batch) or update(batch)
    updates = Updates(parts)
    parts.table.add(rows(50))
    updates.owed = 2
    updates.one()
    updates.one()

    assert batches[0]["weight"].tolist() == [1.0] * 16, "nobody knows more of one new row than of another"
    assert batches[1]["weight"].min() < batches[1]["weight"].max() == 1.0


def test_beta_reaches_one_with_the_last_update():
    config = dataclasses.replace(QUICK, prioritized=True, total_steps=1000, train_freq=4, gradient_steps=2)
    late = dataclasses.replace(config, learning_starts=501)

    for beta, updates in ((build(config).table._sampler._beta, 476), (build(late).table._sampler._beta, 250)):
        assert (beta(0), beta(updates - 1)) == (0.4, 1.0)
        assert beta((updates - 1) / 2) == pytest.approx(0.7) and beta(updates - 2) < 1.0


def test_beta_goes_by_the_batches_of_all_who_share_a_table():
    table = build(dataclasses.replace(QUICK, prioritized=True, total_steps=1000)).table
    alone = table._sampler._beta

    table.shared_by(4)

    assert [table._sampler._beta(4 * count) for count in (0, 100, 10_000)] == [alone(0), alone(100), 1.0]


def test_exploration_by_temperature_is_a_field():
    config = dataclasses.replace(QUICK, exploration="boltzmann", exploration_initial_eps=5.0, exploration_final_eps=0.1)
    policy = build(config).policy

    assert isinstance(policy.exploration, Boltzmann)
    assert policy.metrics(0) == {"temperature": 5.0}
    with pytest.raises(ValueError, match="exploration_initial_eps must be a number between 0 and 1, found 5"):
        dataclasses.replace(config, exploration="epsilon")
    with pytest.raises(ValueError, match='exploration must be "epsilon" or "boltzmann", found'):
        DQNConfig(exploration="ucb")


def test_huber_is_another_name_of_the_td_loss():
    one, other = build(dataclasses.replace(QUICK, loss="td")), build(dataclasses.replace(QUICK, loss="huber"))

    assert (one.learner.update(rows()).td == other.learner.update(rows()).td).all()
    assert torch.equal(one.learner._flat.values, other.learner._flat.values)


def test_a_network_of_the_users_own_has_the_outputs_of_the_variant():
    asked = []

    def network(space, outputs):
        asked.append(outputs)
        return nn.Linear(4, outputs)

    parts = build(dataclasses.replace(QUICK, network=network, loss="quantile", quantiles=7), actions=Discrete(3))

    assert asked == [21, 21]
    assert parts.policy.q(np.zeros((2, 4), np.float32)).shape == (2, 3)
    parts.learner.update(rows())


@each_variant
def test_parts_of_every_variant_travel_by_pickle(variant):
    parts = build(dataclasses.replace(QUICK, quantiles=3, **variant))
    parts.table.add(rows(20))

    other = pickle.loads(pickle.dumps(parts))

    one, two = (p.learner.update(p.table.sample(4).batch).td for p in (parts, other))
    assert (one == two).all()


def test_every_variant_learns_from_pictures():
    config = dataclasses.replace(QUICK, dueling=True, loss="quantile", quantiles=3, prioritized=True)
    parts = config.build(Box(0, 255, (10, 10), np.uint8), Discrete(3), 0)
    o = np.random.default_rng(0).integers(0, 255, (6, 10, 10), np.uint8)
    batch = rows(6) | {"observation": o, "observation_next": o, "weight": np.ones(6, np.float32)}

    assert np.isfinite(parts.learner.update(batch).td).all()
    assert parts.policy.act(o, (), 0, explore=False, rng=np.random.default_rng(0)).action.shape == (6,)
