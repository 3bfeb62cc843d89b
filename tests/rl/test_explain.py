"""What an agent says of one observation beside the action that it would take."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from actorrl import A2CConfig, DQNConfig, PPOConfig, QLearningConfig, ReinforceConfig, SACConfig, StepAgent, TD3Config

BOX = gymnasium.spaces.Box(-1, 1, (3,), np.float32)
SEEN = np.array([0.1, -0.2, 0.3], np.float32)


def agent(config, actions) -> StepAgent:
    return StepAgent(config.build(BOX, actions, seed=0), seed=0)


@pytest.mark.parametrize(
    "config",
    [DQNConfig(dueling=True), DQNConfig(loss="quantile", quantiles=5), DQNConfig(tau=0.5), QLearningConfig(bins=3)],
)
def test_of_values_the_best_is_chosen_and_is_the_value(config):
    mine = agent(config, gymnasium.spaces.Discrete(4))

    told = mine.explain(SEEN)

    assert told.keys() == {"action", "q", "value"}
    assert told["action"] == int(np.argmax(told["q"])) == mine.greedy_action(SEEN)
    assert told["value"] == pytest.approx(told["q"].max())


@pytest.mark.parametrize("config", [PPOConfig(normalize_observation=True), A2CConfig(), ReinforceConfig()])
def test_of_a_stochastic_policy_the_probabilities_of_all_actions_are_told(config):
    mine = agent(config, gymnasium.spaces.Discrete(4, start=2))

    told = mine.explain(SEEN)

    assert told["probabilities"].sum() == pytest.approx(1)
    assert told["action"] == 2 + int(np.argmax(told["probabilities"]))
    assert isinstance(told["value"], float)


def test_they_are_the_probabilities_that_actions_are_drawn_with():
    mine = agent(PPOConfig(), gymnasium.spaces.Discrete(3))
    policy = mine.parts.policy

    acted = policy.act(np.tile(SEEN, (6_000, 1)), (), 0, explore=True, rng=np.random.default_rng(0))

    drawn = np.bincount(acted.action, minlength=3) / 6_000
    np.testing.assert_allclose(drawn, mine.explain(SEEN)["probabilities"], atol=0.03)


def test_actions_that_a_mask_forbids_have_no_value_and_no_probability():
    mask = [False, True, False]

    values = agent(DQNConfig(), gymnasium.spaces.Discrete(3)).explain(SEEN, mask)
    chances = agent(PPOConfig(), gymnasium.spaces.Discrete(3)).explain(SEEN, mask)

    assert values["action"] == chances["action"] == 1
    assert np.isneginf(values["q"][[0, 2]]).all()
    assert chances["probabilities"].tolist() == [0, 1, 0]


def test_of_several_choices_the_probabilities_stand_side_by_side():
    told = agent(PPOConfig(), gymnasium.spaces.MultiDiscrete([2, 3])).explain(SEEN)

    assert told["probabilities"].shape == (5,)
    assert told["probabilities"][:2].sum() == pytest.approx(1) and told["probabilities"][2:].sum() == pytest.approx(1)


@pytest.mark.parametrize("config", [SACConfig(), TD3Config(), PPOConfig()])
def test_of_numbers_the_mean_is_told_as_the_environment_sees_it(config):
    space = gymnasium.spaces.Box(np.array([-1, 10], np.float32), np.array([1, 30], np.float32))

    told = agent(config, space).explain(SEEN)

    np.testing.assert_allclose(told["mean"], told["action"], rtol=1e-6)
    assert space.contains(told["mean"]) and isinstance(told["value"], float)
    assert ("std" in told) == (not isinstance(config, TD3Config))
    if "std" in told:
        assert told["std"].shape == (2,) and (told["std"] > 0).all()
        assert told["std"][1] / told["std"][0] == pytest.approx(
            10, rel=0.3
        )  # the second dimension is ten times as wide


def test_a_policy_without_a_value_function_has_no_value_to_tell():
    assert "value" not in agent(ReinforceConfig(baseline=False), gymnasium.spaces.Discrete(2)).explain(SEEN)
