"""A2C and IMPALA: the same step where the policy that acted is the one that learns, and a corrected one where not."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from actorrl.rl.a2c import A2CConfig
from actorrl.rl.environments import LocalEnvironments
from actorrl.rl.explorer import Explorer
from actorrl.rl.fragments import FragmentWindow
from actorrl.rl.impala import ImpalaConfig
from actorrl.rl.lanes import InlineLanes
from actorrl.rl.nouns import Parts
from actorrl.rl.practice import Practice

SAME: dict[str, Any] = {"n_steps": 16, "n_envs": 4, "ent_coef": 0.01, "learning_rate": 1e-2, "total_steps": 1000}


def built(config: Any) -> Parts:
    environment = gymnasium.make("CartPole-v1")
    return config.build(environment.observation_space, environment.action_space, 0)


def fragment_of(parts: Parts) -> Any:
    """What the parts' policy does in four environments; episodes end within the 16 steps."""
    kept: list[Any] = []

    class Sink:
        def add(self, fragments: list[Any]) -> None:
            kept.extend(fragments)

    makers = [lambda: gymnasium.make("CartPole-v1", max_episode_steps=11)] * 4
    lanes = InlineLanes([LocalEnvironments(makers, encode=parts.encode)], [1, 2, 3, 4])
    parts.policy.set_weights(parts.learner.get_weights(), 0)
    explorer = Explorer(lanes, parts.policy, Sink(), seed=0, window=FragmentWindow(16))
    while not kept:
        explorer.advance(64)
    return kept[0]


def after_an_update(config: Any, fragment: Any) -> dict[str, Any]:
    parts = built(config)
    parts.learner.update(parts.learner.prepare([fragment]))  # type: ignore[attr-defined]
    return {name: weight.copy() for name, weight in parts.learner.get_weights().items()}


@pytest.mark.parametrize("clip_range", [None, 0.2])
def test_on_policy_impala_takes_the_step_of_a2c(clip_range: float | None):
    fragment = fragment_of(built(A2CConfig(**SAME)))
    assert len(fragment["final_index"]), "episodes ended in it"

    configs = A2CConfig(**SAME), ImpalaConfig(**SAME, clip_range=clip_range)
    a2c, impala = (after_an_update(config, fragment) for config in configs)

    for name, weight in a2c.items():
        np.testing.assert_allclose(impala[name], weight, atol=2e-4, err_msg=name)


def test_advantages_are_taken_as_they_are_unless_asked_for():
    """Normalised, those of a small batch are mostly noise, and A2C has small batches."""
    small = {**SAME, "n_steps": 4, "n_envs": 1, "ent_coef": 0.0, "vf_coef": 0.0, "max_grad_norm": 1e9}
    rows = {
        "observation": np.eye(4, dtype=np.float32),
        "drawn": np.zeros(4, np.int64),
        "log_prob": np.zeros(4, np.float32),
        "advantage": np.float32([1, 2, 3, 4]),
        "target": np.zeros(4, np.float32),
    }

    def gradient(scale: float, **more: Any) -> Any:
        learner: Any = built(A2CConfig(**small, **more)).learner
        learner.update({**rows, "advantage": np.float32(scale) * rows["advantage"]})
        return learner._flat.gradient.numpy().copy()

    assert not A2CConfig().normalize_advantage
    np.testing.assert_allclose(gradient(10.0), 10 * gradient(1.0), rtol=1e-4, atol=1e-6)
    one, ten = (gradient(scale, normalize_advantage=True) for scale in (1.0, 10.0))
    np.testing.assert_allclose(one, ten, atol=1e-5)


@pytest.mark.parametrize("config", [A2CConfig, ImpalaConfig])
def test_an_update_of_a_single_row_leaves_every_weight_a_number(config: Any):
    one = {**SAME, "n_steps": 1, "n_envs": 1, "normalize_advantage": True}
    if config is ImpalaConfig:
        one.pop("normalize_advantage")
    parts = built(config(**one))
    row = {name: values[:1] for name, values in parts.learner.prepare([fragment_of(parts)]).items()}  # type: ignore[attr-defined]

    parts.learner.update(row)

    assert all(np.isfinite(weight).all() for weight in parts.learner.get_weights().values())


def test_off_policy_what_the_policy_would_not_do_counts_for_less():
    config = ImpalaConfig(**SAME)
    fragment = fragment_of(built(config))
    learner = built(config).learner
    rows = learner.prepare([fragment])  # type: ignore[attr-defined]
    unlikely = {**fragment, "log_prob": fragment["log_prob"] + np.log(10.0).astype(np.float32)}

    corrected = built(config).learner.prepare([unlikely])  # type: ignore[attr-defined]

    sizes = [np.abs(one["advantage"]).mean() for one in (rows, corrected)]
    assert sizes[1] < 0.3 * sizes[0], "ten times likelier for the one that acted: about a tenth"


@pytest.mark.parametrize("config", [A2CConfig(total_steps=60_000), ImpalaConfig(total_steps=60_000)])
@pytest.mark.slow
def test_they_get_better_at_cartpole(config: Any):
    parts = built(config)
    makers = [lambda: gymnasium.make("CartPole-v1")] * config.n_envs
    lanes = InlineLanes([LocalEnvironments(makers, encode=parts.encode)], list(range(config.n_envs)))
    practice = Practice.of_parts(parts, lanes, seed=0, limit=40_000)
    returns: list[float] = []
    while not practice.done:
        returns += [episode.return_ for episode in practice.advance(10_000).episodes]

    assert np.mean(returns[:100]) < 60 and np.mean(returns[-20:]) > 100


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ImpalaConfig(c_clip=2.0), r"ImpalaConfig: c_clip must be at most rho_clip, found 2\.0 and 1\.0"),
        (lambda: ImpalaConfig(clip_range=0.0), "clip_range must be a positive number"),
        (lambda: A2CConfig(n_steps=0), "A2CConfig: n_steps must be a positive integer"),
        (lambda: built_for(gymnasium.spaces.MultiDiscrete([2, 2])), "A2CConfig acts in Discrete or Box spaces"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, message: str):
    with pytest.raises(ValueError, match=message):
        make()


def built_for(action_space: gymnasium.Space[Any]) -> Parts:
    return A2CConfig().build(gymnasium.spaces.Box(-1, 1, (2,), np.float32), action_space, 0)
