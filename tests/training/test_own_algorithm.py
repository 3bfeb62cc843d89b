"""A config of the user's own: a frozen dataclass with `build`, and nothing that the contract does not ask for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from actorrl import Central, Dataflow, SharedReplay, train
from actorrl.rl import Acted, Cadence, Parts, ReplayTable, Updated


class Counting:
    """Acts by one number, the count of updates it has heard of."""

    def __init__(self) -> None:
        self.updates = 0.0

    def initial_state(self, B):
        return ()

    def act(self, observations, state, step, *, explore, rng):
        assert observations.dtype == np.float32
        assert observations.ndim == 2
        return Acted(rng.integers(2, size=len(observations)), state, {})

    def set_weights(self, weights, version):
        self.updates = float(weights["updates"][0])


class CountsUpdates:
    def __init__(self) -> None:
        self.updates = np.zeros(1)

    def update(self, batch):
        assert {"observation", "action", "reward", "observation_next", "discount"} <= set(batch)
        self.updates += 1
        return Updated({"loss": 0.0})

    def get_weights(self):
        return {"updates": self.updates}

    def state_dict(self):
        return {"updates": self.updates.copy()}

    def load_state_dict(self, state):
        self.updates = np.array(state["updates"])


@dataclass(frozen=True)
class BareConfig:
    """No encoder, no n_envs, no gamma, no buffer_size."""

    def build(self, observation_space, action_space, seed):
        table = ReplayTable(1_000, np.random.default_rng(seed))
        return Parts(Counting(), CountsUpdates(), table, Cadence(learning_starts=32, train_freq=8, batch_size=16))


@pytest.mark.slow
@pytest.mark.parametrize(
    "arrangement",
    [None, Central(environments=2), SharedReplay(agents=2, environments=2), Dataflow(explorers=2, mode="async")],
    ids=["None", "Central", "SharedReplay", "Dataflow"],
)
def test_a_config_with_nothing_but_build_runs_in_every_arrangement(arrangement, tmp_path):
    where = {"arrangement": arrangement, "engine": "inline", "run_dir": tmp_path / "run"}
    run = train(BareConfig(), "CartPole-v1", steps=256, **where)
    assert run.metrics["steps"][-1] == 256
    assert run.evaluate(episodes=2) > 0
    assert np.nanmax(run.metrics.get("updates", run.metrics.get("agent0.updates"))) > 10
