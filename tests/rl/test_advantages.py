"""GAE and V-trace against the sums written out step by step, and against each other where they must agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorrl.rl.advantages import gae, vtrace
from actorrl.rl.returns import discounted_returns

GAMMA = 0.9


class Fragment:
    """T random steps in k environments; episodes end here and there, either way."""

    def __init__(self, seed: int, T: int, k: int, ends: float = 0.3) -> None:
        rng = np.random.default_rng(seed)
        self.r_t, self.v_t, self.v_next_t = rng.normal(size=(3, T, k))
        end = rng.random((T, k)) < ends
        self.terminated = end & (rng.random((T, k)) < 0.5)
        self.truncated = end & ~self.terminated
        # Where an episode goes on, the next observation is the one that the next step starts from.
        goes_on = ~end[:-1]
        self.v_next_t[:-1][goes_on] = self.v_t[1:][goes_on]
        self.log_rho_t = rng.normal(size=(T, k))

    @property
    def steps(self) -> tuple[np.ndarray, ...]:
        return self.r_t, self.v_t, self.v_next_t, self.terminated, self.truncated

    def cut(self, first: int, last: int) -> tuple[np.ndarray, ...]:
        return tuple(array[first:last] for array in self.steps)


fragments = st.builds(Fragment, st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 3), st.sampled_from([0, 0.3]))


def delta(f: Fragment, t: int, i: int) -> float:
    live = 0.0 if f.terminated[t, i] else 1.0
    return f.r_t[t, i] + GAMMA * live * f.v_next_t[t, i] - f.v_t[t, i]


@given(fragments, st.floats(0, 1))
def test_an_estimate_is_the_sum_of_errors_to_the_end_of_its_episode(f, gae_lambda):
    found = gae(*f.steps, GAMMA, gae_lambda)

    T, k = f.r_t.shape
    for t in range(T):
        for i in range(k):
            total, weight = 0.0, 1.0
            for u in range(t, T):
                total += weight * delta(f, u, i)
                weight *= GAMMA * gae_lambda
                if f.terminated[u, i] or f.truncated[u, i]:
                    break
            assert found[t, i] == pytest.approx(total, abs=1e-9)


@given(fragments)
def test_with_lambda_0_it_is_one_step_and_with_1_the_return(f):
    T, k = f.r_t.shape
    one_step = [[delta(f, t, i) for i in range(k)] for t in range(T)]
    np.testing.assert_allclose(gae(*f.steps, GAMMA, 0.0), one_step, atol=1e-9)

    ended = f.terminated | f.truncated
    bootstrap = np.where(f.truncated, GAMMA * f.v_next_t, 0.0)  # a truncated step is worth what its true end is
    returns = discounted_returns(f.r_t + bootstrap, GAMMA * ~ended, f.v_next_t[-1])
    np.testing.assert_allclose(gae(*f.steps, GAMMA, 1.0) + f.v_t, returns, atol=1e-9)


@given(fragments, st.floats(0, 1), st.integers(1, 8))
def test_a_fragment_cut_where_every_episode_ended_gives_what_the_whole_gives(f, gae_lambda, at):
    T = len(f.r_t)
    if at >= T:
        return
    f.terminated[at - 1], f.truncated[at - 1] = False, True
    parts = [gae(*f.cut(0, at), GAMMA, gae_lambda), gae(*f.cut(at, T), GAMMA, gae_lambda)]

    np.testing.assert_allclose(np.concatenate(parts), gae(*f.steps, GAMMA, gae_lambda), atol=1e-9)


@given(fragments, st.floats(0, 1))
def test_environments_do_not_see_each_other(f, gae_lambda):
    whole = gae(*f.steps, GAMMA, gae_lambda)

    for i in range(f.r_t.shape[1]):
        alone = gae(*(array[:, i] for array in f.steps), GAMMA, gae_lambda)
        np.testing.assert_allclose(alone, whole[:, i], atol=1e-12)


def test_a_truncated_step_is_worth_its_true_end_and_not_the_next_episode():
    steps = [np.array(values) for values in ([0.0, 0.0], [0.0, 99.0], [0.0, 0.0], [False, False], [True, False])]

    assert gae(*steps, 1.0, 1.0)[0] == 0.0
    assert vtrace(*steps, np.zeros(2), 1.0).advantage[0] == 0.0


@given(fragments)
def test_on_policy_vtrace_is_the_n_step_return(f):
    found = vtrace(*f.steps, np.zeros_like(f.r_t), GAMMA)

    n_step = gae(*f.steps, GAMMA, 1.0) + f.v_t
    np.testing.assert_allclose(found.value, n_step, atol=1e-9)
    np.testing.assert_allclose(found.advantage, n_step - f.v_t, atol=1e-9)


@given(fragments, st.floats(0, 1))
def test_on_policy_vtrace_with_lambda_has_the_values_of_gae(f, gae_lambda):
    found = vtrace(*f.steps, np.zeros_like(f.r_t), GAMMA, gae_lambda=gae_lambda)

    np.testing.assert_allclose(found.value, gae(*f.steps, GAMMA, gae_lambda) + f.v_t, atol=1e-9)


@given(fragments, st.sampled_from([(1.0, 1.0), (2.0, 0.5), (0.7, 0.7)]))
def test_off_policy_it_is_the_recursion_of_the_paper(f, clips):
    rho_clip, c_clip = clips
    found = vtrace(*f.steps, f.log_rho_t, GAMMA, rho_clip=rho_clip, c_clip=c_clip)

    T, k = f.r_t.shape
    for i in range(k):
        following = 0.0  # vs_{t+1} − V(s_{t+1}), within an episode
        vs_next = f.v_next_t[-1, i]
        for t in range(T - 1, -1, -1):
            ratio = float(np.exp(f.log_rho_t[t, i]))
            goes_on = not (f.terminated[t, i] or f.truncated[t, i])
            if not goes_on:
                following, vs_next = 0.0, f.v_next_t[t, i]
            correction = min(ratio, rho_clip) * delta(f, t, i) + GAMMA * min(ratio, c_clip) * following
            live = 0.0 if f.terminated[t, i] else GAMMA
            advantage = min(ratio, rho_clip) * (f.r_t[t, i] + live * vs_next - f.v_t[t, i])
            assert found.value[t, i] == pytest.approx(f.v_t[t, i] + correction, abs=1e-9)
            assert found.advantage[t, i] == pytest.approx(advantage, abs=1e-9)
            following, vs_next = correction, f.v_t[t, i] + correction


def test_clips_the_paper_does_not_cover_are_refused():
    f = Fragment(0, 3, 1)
    with pytest.raises(ValueError, match=r"c_clip must be at most rho_clip, found 2\.0 and 1\.0"):
        vtrace(*f.steps, f.log_rho_t, GAMMA, c_clip=2.0)
