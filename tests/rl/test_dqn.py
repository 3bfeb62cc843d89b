"""DQN where the answer is known: two-state chains, masks, truncation, schedules, what is saved."""

from __future__ import annotations

import dataclasses
import pickle

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from rl_toys import Chain, Masked
from torch import nn

from actorrl.rl import seeding
from actorrl.rl.dqn import METRICS_EVERY, DQNConfig
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.flat import FlatAdam
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.losses import q_learning_target
from actorrl.rl.practice import Practice

QUICK = DQNConfig(
    learning_rate=3e-3,
    learning_rate_final=1e-4,
    hidden_sizes=(32,),
    batch_size=16,
    learning_starts=50,
    train_freq=1,
    gradient_steps=1,
    tau=0.05,
    total_steps=600,
)


def practise(config: DQNConfig, make, steps: int, seed: int = 0) -> Practice:
    parts = config.build(make().observation_space, make().action_space, seed)
    lanes = InlineLanes([LocalEnvironments([make], encode=parts.encode)], seeding.environment_seeds(seed, 1))
    practice = Practice.of_parts(parts, lanes, seed=seed, limit=steps)
    while not practice.done:
        practice.advance(steps)
    return practice


def rows(n: int = 8, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "observation": rng.normal(size=(n, 4)).astype(np.float32),
        "action": rng.integers(0, 2, n),
        "reward": rng.normal(size=n).astype(np.float32),
        "observation_next": rng.normal(size=(n, 4)).astype(np.float32),
        "discount": np.where(rng.random(n) < 0.3, 0, 0.97).astype(np.float32),
    }


def build(config: DQNConfig = QUICK, seed: int = 0, actions: Discrete | None = None):
    return config.build(Box(-1, 1, (4,)), actions or Discrete(2), seed)


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("double", [False, True])
def test_the_state_behind_a_terminal_step_is_worth_nothing(n_steps, double):
    config = dataclasses.replace(QUICK, n_steps=n_steps, double=double, gamma=0.9)

    parts = practise(config, Chain, 600).parts

    q = parts.policy.q(np.eye(2, dtype=np.float32))[:, 0]
    np.testing.assert_allclose(q, [1.9, 1.0], atol=0.1)


class Endless(Chain):
    """The chain's last state lasts for ever and pays 1, but a time limit of three steps cuts it."""

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return super().reset(seed=seed)

    def step(self, action):
        self.time, self.state = self.time + 1, 1
        return 1, 1.0, False, self.time == 3, {}


def test_a_truncated_step_is_worth_what_would_have_followed():
    config = dataclasses.replace(QUICK, gamma=0.5)

    parts = practise(config, Endless, 600).parts

    np.testing.assert_allclose(parts.policy.q(np.eye(2, dtype=np.float32))[1], [2.0], atol=0.15)


def test_forbidden_actions_are_neither_taken_nor_bootstrapped_from():
    config = dataclasses.replace(QUICK, gamma=0.9, n_steps=1, total_steps=1500)

    policy = practise(config, Masked, 1500).parts.policy

    q = policy.q(np.eye(3, dtype=np.float32))
    legal_best = [(state + 1) % 3 for state in range(3)]
    # Every step pays 1 where played well, for ever: 1 / (1 - 0.9), the limit of ten steps being a truncation.
    np.testing.assert_allclose([q[s, a] for s, a in enumerate(legal_best)], 10.0, atol=2.5)


def test_targets_ignore_what_the_mask_forbids():
    r_t, discount_t = torch.tensor([1.0, 1.0]), torch.tensor([0.5, 0.5])
    q_t = torch.tensor([[1.0, 9.0], [1.0, 9.0]])
    mask = torch.tensor([[True, False], [True, True]])

    assert q_learning_target(r_t, discount_t, q_t, mask_t=mask).tolist() == [1.5, 5.5]


def test_double_targets_take_the_choice_of_one_network_and_the_value_of_the_other():
    q_t, selector_t = torch.tensor([[1.0, 9.0]]), torch.tensor([[5.0, 2.0]])
    one = torch.ones(1)

    assert q_learning_target(one, one, q_t, selector_t).item() == 2.0
    assert q_learning_target(one, one, q_t).item() == 10.0


def test_td_errors_are_those_of_the_weights_before_the_update():
    parts, batch = build(), rows()
    q = parts.policy.q(batch["observation"])[np.arange(8), batch["action"]]
    q_next = parts.policy.q(batch["observation_next"]).max(1)

    td = parts.learner.update(batch).td

    np.testing.assert_allclose(td, batch["reward"] + batch["discount"] * q_next - q, rtol=1e-4, atol=1e-5)


def test_a_network_of_the_users_own_learns_the_same_through_autograd():
    def network(space, outputs):
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, outputs))

    ours, theirs = build(), build(dataclasses.replace(QUICK, network=network))
    state = zip(theirs.learner.state_dict(), ours.learner.state_dict().values(), strict=True)
    theirs.learner.load_state_dict(dict(state))
    for i in range(5):
        one, other = ours.learner.update(rows(seed=i)), theirs.learner.update(rows(seed=i))
        np.testing.assert_allclose(one.td, other.td, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("tau", "interval", "moved_at"), [(1.0, 4, [4, 8]), (0.5, 1, list(range(1, 9)))])
def test_the_target_moves_when_it_should(tau, interval, moved_at):
    learner = build(dataclasses.replace(QUICK, tau=tau, target_update_interval=interval)).learner
    moved = []
    for i in range(1, 9):
        before = learner.state_dict()["target.head.weight"]
        learner.update(rows(seed=i))
        state = learner.state_dict()
        if not np.array_equal(before, state["target.head.weight"]):
            moved.append(i)
            expected = before + tau * (state["online.head.weight"] - before)
            np.testing.assert_allclose(state["target.head.weight"], expected, rtol=1e-5, atol=1e-6)

    assert moved == moved_at


def test_the_learning_rate_falls_to_its_end_over_the_updates_of_the_whole_run():
    config = dataclasses.replace(QUICK, total_steps=4 * METRICS_EVERY, train_freq=2, learning_starts=0)
    learner = build(config).learner
    rates = [learner.update(rows()).metrics.get("learning_rate") for _ in range(3 * METRICS_EVERY)]

    seen = [rate for rate in rates if rate is not None]
    assert seen[-1] == config.learning_rate_final
    assert seen[0] == pytest.approx(config.learning_rate * (1 - 9 / 19) + config.learning_rate_final * 9 / 19)


@pytest.mark.parametrize("learning_starts", [0, 50, 301])
def test_the_last_update_of_a_run_has_the_last_learning_rate(learning_starts, monkeypatch):
    rates, step = [], FlatAdam.step
    monkeypatch.setattr(FlatAdam, "step", lambda adam, rate: (rates.append(rate), step(adam, rate)))
    config = dataclasses.replace(QUICK, learning_starts=learning_starts, train_freq=4, gradient_steps=2)

    practise(config, Chain, 600)

    assert (rates[0], rates[-1]) == (config.learning_rate, config.learning_rate_final)
    assert np.allclose(np.diff(rates), (rates[-1] - rates[0]) / (len(rates) - 1)), "in a straight line"


def test_epsilon_is_counted_in_the_agents_own_steps():
    policy = build(dataclasses.replace(QUICK, total_steps=1000, exploration_fraction=0.1)).policy

    assert [policy.metrics(step)["epsilon"] for step in (0, 50, 100, 900)] == [1.0, pytest.approx(0.55), 0.1, 0.1]


def test_actions_are_random_with_probability_epsilon_and_never_without_exploration():
    policy = build(dataclasses.replace(QUICK, exploration_initial_eps=0.5, exploration_final_eps=0.5)).policy
    o = np.zeros((4000, 4), np.float32)
    best = policy.act(o, (), 0, explore=False, rng=np.random.default_rng(0))
    acted = policy.act(o, (), 0, explore=True, rng=np.random.default_rng(0))

    assert len(set(best.action.tolist())) == 1
    assert 0.2 < (acted.action != best.action).mean() < 0.3
    assert acted.extras["q"].shape == (4000, 2)


def test_actions_are_numbered_as_the_space_numbers_them():
    parts = build(actions=Discrete(2, start=5))
    o = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)

    acted = parts.policy.act(o, (), 0, explore=True, rng=np.random.default_rng(0))

    assert set(acted.action.tolist()) == {5, 6}
    parts.learner.update(rows() | {"action": np.full(8, 6)})


def test_state_comes_back_from_plain_arrays_and_learning_goes_on_as_if_nothing_had_been():
    one, other = build(seed=0).learner, build(seed=1).learner
    for i in range(3):
        one.update(rows(seed=i))
    state = one.state_dict()
    assert all(isinstance(value, (np.ndarray, int, float)) for value in state.values())

    other.load_state_dict(state)

    for i in range(3, 6):
        assert (one.update(rows(seed=i)).td == other.update(rows(seed=i)).td).all()


def test_a_learner_travels_by_pickle_and_goes_on_alike():
    one = build().learner
    one.update(rows())

    other = pickle.loads(pickle.dumps(one))

    for i in range(3):
        assert (one.update(rows(seed=i)).td == other.update(rows(seed=i)).td).all()


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    def weights(seed):
        practice = practise(QUICK, lambda: gymnasium.make("CartPole-v1"), 300, seed)
        return practice.parts.learner.get_weights()["head.weight"]

    assert (weights(3) == weights(3)).all()
    assert not (weights(3) == weights(4)).all()


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("learning_rate", 0, "DQNConfig: learning_rate must be a positive number, found 0"),
        ("learning_rate", float("inf"), "learning_rate must be a positive number, found inf"),
        ("batch_size", 1.5, "batch_size must be a positive integer, found 1.5"),
        ("learning_starts", -1, "learning_starts must be an integer of at least 0, found -1"),
        ("gamma", 1.5, "gamma must be a number between 0 and 1, found 1.5"),
        ("batch_size", "many", "batch_size must be a positive integer, found 'many'"),
        ("gradient_steps", 0, "gradient_steps must be at least 1, or -1"),
        ("loss", "l1", 'loss must be "td", "mse", "quantile" or "huber", found \'l1\''),
    ],
)
def test_a_value_out_of_range_is_refused(field, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        DQNConfig(**{field: value})


def test_every_field_of_a_config_is_documented_and_there_are_not_too_many():
    import ast
    import inspect

    from actorrl.rl.qlearning import QLearningConfig
    from actorrl.rl.sac import SACConfig
    from actorrl.rl.td3 import TD3Config

    for config in (DQNConfig, QLearningConfig, SACConfig, TD3Config):
        (tree,) = ast.parse(inspect.getsource(config)).body
        for i, node in enumerate(tree.body):
            if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation):
                following = tree.body[i + 1]
                assert isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant), node.target.id
        assert len(dataclasses.fields(config)) <= 25


def test_greedy_actions_are_those_of_the_average_where_there_is_one():
    averaged, hard = build(dataclasses.replace(QUICK, tau=0.1)), build(dataclasses.replace(QUICK, tau=1.0))
    o = rows(200)["observation"]
    for parts in (averaged, hard):
        for i in range(20):
            parts.learner.update(rows(64, seed=i))
        parts.policy.set_weights(parts.learner.get_weights(), 1)

    def greedy(parts):
        return parts.policy.act(o, (), 0, explore=False, rng=np.random.default_rng(0)).extras["q"]

    target = torch.nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
    state = {k[7:]: torch.as_tensor(v) for k, v in averaged.learner.state_dict().items() if k.startswith("target.")}
    target.load_state_dict(dict(zip(target.state_dict(), state.values(), strict=True)))
    np.testing.assert_allclose(greedy(averaged), target(torch.from_numpy(o)).detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(greedy(hard), hard.policy.q(o))


def test_scaled_rewards_make_scaled_values():
    plain, scaled = build(), build(dataclasses.replace(QUICK, reward_scale=0.1))
    batch = rows()

    td = scaled.learner.update(batch).td

    expected = plain.learner.update(batch | {"reward": np.float32(0.1) * batch["reward"]}).td
    np.testing.assert_allclose(td, expected, rtol=1e-5, atol=1e-6)
