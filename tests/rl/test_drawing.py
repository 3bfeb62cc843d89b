"""What a stochastic policy draws, and that its learner's half of the distribution agrees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from hypothesis import given, settings
from hypothesis import strategies as st

from actorrl.rl.drawing import FORBIDDEN, Choices, Gaussian, draw_few, draw_many, head_for
from actorrl.rl.likelihoods import likelihood

B = 20_000
SPACES = [Discrete(4), Discrete(3, start=-1), MultiDiscrete([3, 2])]


def learners(head: Any, outputs: np.ndarray, drawn: np.ndarray, mask: np.ndarray | None = None) -> Any:
    log_std = torch.tensor(head.log_std) if isinstance(head, Gaussian) else None
    mask_ = None if mask is None else torch.from_numpy(mask)
    return likelihood(head, torch.from_numpy(outputs), log_std, torch.from_numpy(drawn), mask_)


def test_choices_are_drawn_as_often_as_their_probabilities():
    logits = np.log(np.array([0.1, 0.6, 0.3], np.float32))
    action, extras = Choices(Discrete(3)).draw(np.tile(logits, (B, 1)), np.random.default_rng(0), None)

    np.testing.assert_allclose(np.bincount(action) / B, [0.1, 0.6, 0.3], atol=0.02)
    np.testing.assert_allclose(extras["log_prob"], logits[action], atol=1e-6)
    assert action.dtype == np.int64 and extras["log_prob"].dtype == np.float32


@pytest.mark.parametrize("space", [*SPACES, Box(-1, 1, (2,), np.float32)])
def test_a_network_of_doubles_gives_probabilities_as_others_do(space):
    head = head_for(space, "PPO")
    _, extras = head.draw(np.zeros((3, head.outputs), np.float64), np.random.default_rng(0), None)

    assert extras["log_prob"].dtype == np.float32


@settings(max_examples=30)
@given(st.integers(0, 1000), st.sampled_from(SPACES), st.booleans())
def test_of_every_choice_the_learner_finds_the_probability_it_was_drawn_with(seed, space, masked):
    rng = np.random.default_rng(seed)
    head = Choices(space)
    outputs = rng.normal(0, 3, (50, head.outputs)).astype(np.float32)
    mask = None
    if masked:
        mask = rng.random((50, head.outputs)) < 0.5
        mask[:, np.cumsum(head.sizes) - 1] = True  # of each choice one is legal
    action, extras = head.draw(outputs, rng, mask)

    found = learners(head, outputs, extras["drawn"], mask)

    np.testing.assert_allclose(found.log_prob.numpy(), extras["log_prob"], atol=1e-5)
    assert (found.entropy.numpy() > -1e-6).all() and np.isfinite(found.entropy.numpy()).all()
    assert all(space.contains(a if head.single else a.astype(space.dtype)) for a in action)
    if mask is not None:
        ends = np.cumsum([0, *head.sizes])
        choices = extras["drawn"].reshape(50, -1)
        for d, choice in enumerate(choices.T):
            assert mask[:, ends[d] : ends[d + 1]][np.arange(50), choice].all(), "only what is legal"


@settings(max_examples=200)
@given(st.integers(0, 10_000), st.integers(1, 16), st.integers(1, 9), st.sampled_from([1.0, 30.0, 1e3, 1e6]))
def test_a_few_choices_are_drawn_as_many_are(seed, count, n, scale):
    rng = np.random.default_rng(seed)
    logits = (scale * rng.normal(size=(count, n))).astype(np.float32)
    forbidden = rng.random((count, n)) < 0.3
    forbidden[:, rng.integers(n)] = False
    logits[forbidden] = FORBIDDEN
    uniforms = rng.random(count)

    few, likely_few = draw_few(logits, uniforms)
    many, likely_many = draw_many(logits, uniforms)

    exact = logits.astype(np.float64) - logits.max(1, keepdims=True)
    edges = np.exp(exact).cumsum(1) / np.exp(exact).sum(1, keepdims=True)
    near = np.abs(edges - uniforms[:, None]).min(1) < 1e-6  # where rounding may decide
    assert (few[~near] == many[~near]).all()
    assert not forbidden[np.arange(count), few].any() and not forbidden[np.arange(count), many].any()
    same = few == many
    np.testing.assert_allclose(likely_few[same], likely_many[same], atol=2e-6 * max(1.0, scale))
    assert few.dtype == many.dtype == np.int64 and likely_few.dtype == np.float32


@pytest.mark.parametrize("row", [[709.5, 709.5], [1e5, 1e5 + 1], [-1e5, -1e5], [-744.2, -743.1], [-800.0, FORBIDDEN]])
def test_logits_whose_exponentials_no_float_holds_are_weighed_all_the_same(row):
    logits, uniforms = np.array([row], np.float32), np.array([0.6])

    for draw in (draw_few, draw_many):
        choice, likely = draw(logits, uniforms)
        exact = logits[0].astype(np.float64) - logits.max()
        assert likely[0] == pytest.approx((exact - np.log(np.exp(exact).sum()))[choice[0]], abs=1e-5)
        assert choice.tolist() == [int(row[1] != FORBIDDEN)]


@pytest.mark.parametrize("draw", [draw_few, draw_many])
def test_what_is_forbidden_is_not_drawn_with_the_least_number_nor_with_the_greatest(draw):
    logits = np.array([[FORBIDDEN, 0.3, 0.1, FORBIDDEN]] * 2, np.float32)

    choice, _ = draw(logits, np.array([0.0, np.nextafter(1.0, 0.0)]))

    assert choice.tolist() == [1, 2]


@pytest.mark.parametrize("row", [[np.nan, 1.0], [1.0, np.nan], [np.inf, 0.0]])
def test_what_is_no_number_is_drawn_from_and_has_no_probability(row):
    for draw in (draw_few, draw_many):
        with np.errstate(invalid="ignore"):
            choice, likely = draw(np.array([row], np.float32), np.array([0.6]))
        assert choice.tolist() == [0] and np.isnan(likely[0])


def test_the_greedy_choice_is_the_likeliest_that_is_legal():
    outputs = np.array([[1.0, 3.0, 2.0]], np.float32)

    assert Choices(Discrete(3)).greedy(outputs, None).tolist() == [1]
    assert Choices(Discrete(3, start=5)).greedy(outputs, np.array([[True, False, True]])).tolist() == [7]
    assert Choices(MultiDiscrete([2, 1])).greedy(outputs, None).tolist() == [[1, 0]]


def test_numbers_are_normal_within_the_box_and_the_learner_agrees():
    space = Box(np.array([-2.0, 0.0], np.float32), np.array([2.0, 10.0], np.float32))
    head = Gaussian(space)
    head.set_weights({"log_std": np.log(np.array([0.5, 2.0], np.float32))})
    outputs = np.tile(np.array([0.5, 0.0], np.float32), (B, 1))
    action, extras = head.draw(outputs, np.random.default_rng(0), None)

    np.testing.assert_allclose(extras["drawn"].mean(0), [0.5, 0.0], atol=0.05)
    np.testing.assert_allclose(extras["drawn"].std(0), [0.5, 2.0], rtol=0.03)
    np.testing.assert_allclose(learners(head, outputs, extras["drawn"]).log_prob, extras["log_prob"], atol=1e-5)
    np.testing.assert_allclose(action[0], np.clip([0, 5] + extras["drawn"][0] * [2, 5], [-2, 0], [2, 10]), rtol=1e-6)
    assert (action >= space.low).all() and (action <= space.high).all() and action.dtype == np.float32
    np.testing.assert_allclose(head.greedy(outputs, None)[0], [1.0, 5.0])


def test_an_unbounded_box_is_taken_as_it_is():
    head = Gaussian(Box(-np.inf, np.inf, (2, 2), np.float32))

    assert head.greedy(np.array([[1.0, 2.0, 3.0, -400.0]], np.float32), None).tolist() == [[[1.0, 2.0], [3.0, -400.0]]]


def test_a_box_of_whole_numbers_is_refused():
    with pytest.raises(ValueError, match="PPOConfig acts in Box spaces of floats"):
        head_for(Box(0, 5, (2,), np.int64), "PPOConfig")
