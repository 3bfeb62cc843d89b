"""SAC and TD3 against the same updates written by hand, and where the answer is known."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from test_dqn import practise
from torch import nn
from torch.nn import functional

from actorrl.rl.flat import FlatAdam
from actorrl.rl.sac import SACConfig
from actorrl.rl.td3 import TD3Config

SPACE = Box(np.float32([-2, 0]), np.float32([2, 1]))
SIZES = {"hidden_sizes": (16,), "batch_size": 8, "learning_starts": 50, "total_steps": 1000}
SAC = SACConfig(learning_rate=3e-3, learning_rate_final=3e-3, **SIZES)
TD3 = TD3Config(learning_rate=3e-3, learning_rate_final=3e-3, **SIZES)
each_config = pytest.mark.parametrize("config", [SAC, TD3], ids=["sac", "td3"])


def build(config, seed: int = 0, observation_space=Box(-1, 1, (4,))):
    return config.build(observation_space, SPACE, seed)


def rows(n: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "observation": rng.normal(size=(n, 4)).astype(np.float32),
        "action": rng.uniform(SPACE.low, SPACE.high, (n, 2)).astype(np.float32),
        "reward": rng.normal(size=n).astype(np.float32),
        "observation_next": rng.normal(size=(n, 4)).astype(np.float32),
        "discount": np.where(rng.random(n) < 0.3, 0, 0.97).astype(np.float32),
        "weight": rng.random(n).astype(np.float32),
    }


def as_tensors(batch):
    tensors = {name: torch.from_numpy(values) for name, values in batch.items()}
    tensors["action"] = 2 * (tensors["action"] - torch.tensor([-2.0, 0])) / torch.tensor([4.0, 1]) - 1
    return tensors


def q_of(critics, o, a):
    return [critic.head(critic.middle(torch.cat([o, a], 1)))[:, 0] for critic in critics.critics]


def same_weights(learner_module, by_hand):
    for mine, theirs in zip(learner_module.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("ent_coef", [None, 0.3])
def test_sac_does_what_one_would_write_by_hand(ent_coef):
    config = dataclasses.replace(SAC, ent_coef=ent_coef, reward_scale=0.5, tau=0.1)
    learner = build(config).learner
    actor, critics = copy.deepcopy(learner._actor.module), copy.deepcopy(learner._critics.module)
    slow, log_alpha = copy.deepcopy(critics), torch.zeros(1, requires_grad=True)
    noise = copy.deepcopy(learner._noise)
    optimizers = [torch.optim.Adam(p, lr=3e-3) for p in (actor.parameters(), critics.parameters(), [log_alpha])]

    def draw(o):
        mean, log_std = actor(o).chunk(2, 1)
        normal = torch.distributions.Normal(mean, log_std.exp())
        u = mean + log_std.exp() * noise(8, 2)
        return u.tanh(), (normal.log_prob(u) - torch.log(1 - u.tanh() ** 2)).sum(1)

    for i in range(4):
        batch = rows(seed=i)
        r = as_tensors(batch)
        alpha = 0.3 if ent_coef else log_alpha.exp().item()
        with torch.no_grad():
            a, log_prob = draw(r["observation_next"])
            q = torch.minimum(*q_of(slow, r["observation_next"], a))
            y = 0.5 * r["reward"] + r["discount"] * (q - alpha * log_prob)
        both = q_of(critics, r["observation"], r["action"])
        td = (y - (both[0] + both[1]) / 2).detach()
        loss = sum((r["weight"] * (q - y) ** 2).mean() for q in both)
        step(optimizers[1], loss)
        a, log_prob = draw(r["observation"])
        step(optimizers[0], (alpha * log_prob - torch.minimum(*q_of(critics, r["observation"], a))).mean())
        step(optimizers[2], -(log_alpha * (log_prob.detach() - 2)).mean())
        for mine, theirs in zip(slow.parameters(), critics.parameters(), strict=True):
            mine.data += 0.1 * (theirs.data - mine.data)

        np.testing.assert_allclose(learner.update(batch).td, td, rtol=1e-3, atol=1e-4)

    same_weights(learner._actor.module, actor)
    same_weights(learner._critics.module, critics)
    same_weights(learner._slow.module, slow)
    assert learner._alpha == pytest.approx(0.3 if ent_coef else log_alpha.exp().item(), rel=1e-4)


def step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def test_td3_does_what_one_would_write_by_hand():
    config = dataclasses.replace(TD3, policy_delay=2, tau=0.1, target_policy_noise=0.4, target_noise_clip=0.3)
    learner = build(config).learner
    actor, critics = copy.deepcopy(learner._actor.module), copy.deepcopy(learner._critics.module)
    slow_actor, slow = copy.deepcopy(actor), copy.deepcopy(critics)
    noise = copy.deepcopy(learner._noise)
    optimizers = [torch.optim.Adam(p, lr=3e-3) for p in (actor.parameters(), critics.parameters())]
    for i in range(1, 6):
        batch = rows(seed=i)
        r = as_tensors(batch)
        with torch.no_grad():
            disturbance = (0.4 * noise(8, 2)).clamp(-0.3, 0.3)
            a = (slow_actor(r["observation_next"]).tanh() + disturbance).clamp(-1, 1)
            y = r["reward"] + r["discount"] * torch.minimum(*q_of(slow, r["observation_next"], a))
        loss = sum((r["weight"] * (q - y) ** 2).mean() for q in q_of(critics, r["observation"], r["action"]))
        step(optimizers[1], loss)
        if i % 2 == 0:
            step(optimizers[0], -q_of(critics, r["observation"], actor(r["observation"]).tanh())[0].mean())
            for pair in ((slow_actor, actor), (slow, critics)):
                for mine, theirs in zip(*(module.parameters() for module in pair), strict=True):
                    mine.data += 0.1 * (theirs.data - mine.data)
        learner.update(batch)

    same_weights(learner._actor.module, actor)
    same_weights(learner._critics.module, critics)
    same_weights(learner._slow_actor.module, slow_actor)
    same_weights(learner._slow_critics.module, slow)


def test_the_actor_of_td3_and_all_targets_wait_for_their_turn():
    learner = build(dataclasses.replace(TD3, policy_delay=3)).learner
    moved = []
    for i in range(1, 8):
        before = learner.state_dict()
        learner.update(rows(seed=i))
        after = learner.state_dict()
        changed = {name.split(".")[0] for name in after if not np.array_equal(before[name], after[name])}
        moved.append(changed >= {"actor", "target_actor", "target_critics"})
        assert "critics" in changed
        assert moved[-1] or not changed & {"actor", "target_actor", "target_critics"}

    assert moved == [False, False, True, False, False, True, False]


@each_config
def test_the_last_update_of_a_run_has_the_last_learning_rate(config, monkeypatch):
    rates, step = [], FlatAdam.step
    monkeypatch.setattr(FlatAdam, "step", lambda adam, rate: (rates.append(rate), step(adam, rate)))
    config = dataclasses.replace(config, learning_rate_final=1e-5, total_steps=80, train_freq=2, gradient_steps=-1)

    practise(config, lambda: gymnasium.make("Pendulum-v1"), 80)

    assert (rates[0], rates[-1]) == (config.learning_rate, config.learning_rate_final)


class BoxChain(gymnasium.Env):
    """Two states, then the end, with reward 1 each, whatever the action; Q(1) = 1, Q(0) = 1 + γ."""

    observation_space = gymnasium.spaces.Discrete(2)
    action_space = SPACE
    endless = False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.time = 0
        return 0, {}

    def step(self, action):
        assert self.action_space.contains(action)
        last, self.state, self.time = self.state == 1, 1, self.time + 1
        return 1, 1.0, last and not self.endless, self.time == 4, {}


class EndlessBoxChain(BoxChain):
    """The second state lasts for ever, and a time limit cuts it."""

    endless = True


def fast(config) -> dict:
    """Settings to learn a chain quickly; without entropy, its values are plain sums of rewards."""
    free = {"ent_coef": 0.0} if config is SAC else {}
    return {"learning_rate": 1e-2, "learning_rate_final": 1e-3, "tau": 0.1, "total_steps": 400, **free}


def values(parts) -> np.ndarray:
    with torch.no_grad():
        return parts.learner._critics.module(torch.eye(2), torch.zeros(2, 2)).mean(0).numpy()


@pytest.mark.slow
@each_config
def test_the_state_behind_a_terminal_step_is_worth_nothing(config):
    config = dataclasses.replace(config, gamma=0.9, n_steps=2, **fast(config))

    np.testing.assert_allclose(values(practise(config, BoxChain, 400).parts), [1.9, 1.0], atol=0.2)


@pytest.mark.slow
@each_config
def test_a_truncated_step_is_worth_what_would_have_followed(config):
    config = dataclasses.replace(config, gamma=0.5, **fast(config))

    np.testing.assert_allclose(values(practise(config, EndlessBoxChain, 400).parts), [2.0, 2.0], atol=0.2)


class Hill(gymnasium.Env):
    """One step; the reward is highest at the action (1, 0.2)."""

    observation_space = Box(-1, 1, (1,))
    action_space = SPACE

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), -float((action[0] - 1) ** 2 + 4 * (action[1] - 0.2) ** 2), True, False, {}


@pytest.mark.slow
@each_config
def test_the_best_action_is_found(config):
    free = {"ent_coef": 0.001} if config is SAC else {}
    config = dataclasses.replace(config, hidden_sizes=(64,), batch_size=32, total_steps=600, **free)

    policy = practise(config, Hill, 600).parts.policy

    action = policy.act(np.zeros((1, 1), np.float32), (), 0, explore=False, rng=np.random.default_rng(0)).action[0]
    np.testing.assert_allclose(action, [1, 0.2], atol=0.25)


@pytest.mark.slow
def test_sac_settles_at_the_entropy_asked_for():
    config = dataclasses.replace(SAC, hidden_sizes=(32,), batch_size=32, target_entropy=0.5, total_steps=600)
    learner = practise(config, Hill, 600).parts.learner

    with torch.no_grad():
        entropy = -learner._act(torch.zeros((5000, 1)))[1].mean().item()

    assert entropy == pytest.approx(0.5, abs=0.3)
    assert learner._alpha < 0.95


@each_config
def test_state_comes_back_from_plain_arrays_and_learning_goes_on_as_if_nothing_had_been(config):
    one, other = build(config, seed=0).learner, build(config, seed=1).learner
    for i in range(3):
        one.update(rows(seed=i))
    state = one.state_dict()
    assert all(isinstance(value, (np.ndarray, int, float)) for value in state.values())

    other.load_state_dict(state)

    for i in range(3, 7):
        assert (one.update(rows(seed=i)).td == other.update(rows(seed=i)).td).all()
    assert all((a == b).all() for a, b in zip(one.get_weights().values(), other.get_weights().values(), strict=True))


@each_config
def test_parts_travel_by_pickle_and_go_on_alike(config):
    parts = build(dataclasses.replace(config, prioritized=True))
    parts.learner.update(rows())

    other = pickle.loads(pickle.dumps(parts))

    for i in range(4):
        assert (parts.learner.update(rows(seed=i)).td == other.learner.update(rows(seed=i)).td).all()
    for name, weight in parts.learner.state_dict().items():
        assert np.array_equal(weight, other.learner.state_dict()[name]), name


@each_config
def test_the_policy_gets_the_actors_weights(config):
    parts = build(config)
    for i in range(4):
        parts.learner.update(rows(seed=i))
    parts.policy.set_weights(parts.learner.get_weights(), 4)

    o = rows()["observation"]
    with torch.no_grad():
        expected = parts.learner._actor.module(torch.from_numpy(o))
    np.testing.assert_allclose(parts.policy.actor(o), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@each_config
def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(config):
    def weights(seed):
        return practise(config, BoxChain, 80, seed).parts.learner.get_weights()["head.weight"].copy()

    assert (weights(3) == weights(3)).all()
    assert not (weights(3) == weights(4)).all()


@each_config
def test_the_two_critics_begin_differently_and_as_the_seed_says(config):
    torch.manual_seed(1)
    first, second = build(config).learner._critics.module.critics
    torch.manual_seed(2)
    again, _ = build(config).learner._critics.module.critics

    assert not torch.equal(first.head.weight, second.head.weight)
    assert torch.equal(first.head.weight, again.head.weight)


def test_the_entropy_asked_for_is_minus_the_number_of_dimensions():
    assert build(SAC).learner._target_entropy == -2.0
    assert build(dataclasses.replace(SAC, target_entropy=0.5)).learner._target_entropy == 0.5


@each_config
def test_pictures_and_networks_of_the_users_own(config):
    asked = []

    def network(space, outputs):
        asked.append((space.shape, outputs))
        return nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(space.shape)), outputs))

    outputs = 4 if config is SAC else 2
    mine = build(dataclasses.replace(config, network=network))
    assert asked == [((4,), outputs), ((4,), 16), ((4,), 16)]
    assert np.isfinite(mine.learner.update(rows()).td).all()

    pictures = build(config, observation_space=Box(0, 255, (10, 10), np.uint8))
    o = np.random.default_rng(0).integers(0, 255, (8, 10, 10), np.uint8)
    td = pictures.learner.update(rows() | {"observation": o, "observation_next": o}).td
    assert td.shape == (8,) and np.isfinite(td).all()
    assert pictures.policy.act(o, (), 0, explore=False, rng=np.random.default_rng(0)).action.shape == (8, 2)


@each_config
@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("learning_rate", 0, "learning_rate must be a positive number, found 0"),
        ("tau", 1.5, "tau must be a number between 0 and 1, found 1.5"),
        ("gradient_steps", 0, "gradient_steps must be at least 1, or -1"),
    ],
)
def test_a_value_out_of_range_is_refused(config, field, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(config, **{field: value})


def test_a_saturated_actor_leaves_no_nan():
    learner = build(SAC).learner
    with torch.no_grad():
        learner._actor.module.head.bias[:2] = torch.tensor([50.0, -50.0])
    for i in range(20):
        td = learner.update(rows(seed=i)).td

    assert np.isfinite(td).all()
    assert all(np.isfinite(weight).all() for weight in learner.get_weights().values())


def test_the_log_probability_is_not_counted_where_it_costs_nothing():
    """Without entropy the soft target is the plain one: log-probabilities of −50 change nothing."""
    learner = build(dataclasses.replace(SAC, ent_coef=0.0)).learner
    batch = rows()
    r = as_tensors(batch)
    noise = copy.deepcopy(learner._noise)
    with torch.no_grad():
        mean, log_std = learner._actor.module(r["observation_next"]).chunk(2, 1)
        a = (mean + log_std.exp() * noise(8, 2)).tanh()
        q = torch.minimum(*q_of(learner._slow.module, r["observation_next"], a))
        expected = r["reward"] + r["discount"] * q
        now = sum(q_of(learner._critics.module, r["observation"], r["action"])) / 2

    np.testing.assert_allclose(learner.update(batch).td, expected - now, rtol=1e-4, atol=1e-5)
    assert functional.mse_loss(expected, now).isfinite()
