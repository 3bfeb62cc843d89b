"""Floor 2: reinforcement learning as plain objects and pure functions. No processes, no sockets.

    nouns           Agent, Environments, Policy, Learner, Table, Parts: what everything else speaks
    explorer        the only loop that steps environments      lanes, environments: what it steps; tracks: what it
                                                               remembers of each; inference: who acts for it
    windows         steps become transition rows               tables: where rows wait; samplers, removers and
                                                               rate_limiter: which rows, and when (sum_tree: how fast)
    fragments       or arrays of T steps of k environments     rollouts: the stream of them, dealt as minibatches
    cadence         which updates are due                      practice: explorer + table + learner in one process
    adapters        PerStep, StepAgent                         spaces, seeding, schedules, exploration
    dqn, sac, td3,  the algorithms                             networks, acting, losses, squashed, actor_critic,
    qlearning                                                  value_policy, box_policy, returns, flat: their parts
    ppo, a2c,       from fragments and episodes, with          stochastic_policy, drawing, likelihoods, advantages,
    impala,         on_policy and fragment_learner             policy_losses, moments: their parts
    reinforce
    catch           a pixel environment to try them on

Names are imported on first use: the tabular ones and the environments need no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorrl.rl.a2c import A2CConfig
    from actorrl.rl.adapters import PerStep, StepAgent
    from actorrl.rl.catch import Catch
    from actorrl.rl.dqn import DQNConfig
    from actorrl.rl.environments import LocalEnvironments
    from actorrl.rl.exploration import Boltzmann, EpsilonGreedy, GaussianNoise, epsilon_ladder
    from actorrl.rl.explorer import Explorer, Progress
    from actorrl.rl.impala import ImpalaConfig
    from actorrl.rl.lanes import Arrival, InlineLanes
    from actorrl.rl.nouns import Acted, Cadence, Parts, Sample, Stepped, Updated
    from actorrl.rl.ppo import PPOConfig
    from actorrl.rl.practice import Practice
    from actorrl.rl.qlearning import QLearningConfig
    from actorrl.rl.rate_limiter import OtherSideGone, RateLimiter
    from actorrl.rl.reinforce import ReinforceConfig
    from actorrl.rl.removers import AtRandom, Oldest
    from actorrl.rl.sac import SACConfig
    from actorrl.rl.samplers import Fifo, Prioritized, Uniform
    from actorrl.rl.spaces import Encoder
    from actorrl.rl.tables import ReplayTable, StreamTable
    from actorrl.rl.td3 import TD3Config
    from actorrl.rl.tracks import Episode
    from actorrl.rl.windows import NStepWindow

_HOMES = {
    "A2CConfig": "a2c",
    "Acted": "nouns",
    "Arrival": "lanes",
    "AtRandom": "removers",
    "Boltzmann": "exploration",
    "Cadence": "nouns",
    "Catch": "catch",
    "DQNConfig": "dqn",
    "Encoder": "spaces",
    "Episode": "tracks",
    "EpsilonGreedy": "exploration",
    "Explorer": "explorer",
    "Fifo": "samplers",
    "GaussianNoise": "exploration",
    "ImpalaConfig": "impala",
    "InlineLanes": "lanes",
    "LocalEnvironments": "environments",
    "NStepWindow": "windows",
    "Oldest": "removers",
    "OtherSideGone": "rate_limiter",
    "PPOConfig": "ppo",
    "Parts": "nouns",
    "PerStep": "adapters",
    "Practice": "practice",
    "Prioritized": "samplers",
    "Progress": "explorer",
    "QLearningConfig": "qlearning",
    "RateLimiter": "rate_limiter",
    "ReinforceConfig": "reinforce",
    "ReplayTable": "tables",
    "SACConfig": "sac",
    "Sample": "nouns",
    "StepAgent": "adapters",
    "Stepped": "nouns",
    "StreamTable": "tables",
    "TD3Config": "td3",
    "Uniform": "samplers",
    "Updated": "nouns",
    "epsilon_ladder": "exploration",
}

__all__ = [
    "A2CConfig",
    "Acted",
    "Arrival",
    "AtRandom",
    "Boltzmann",
    "Cadence",
    "Catch",
    "DQNConfig",
    "Encoder",
    "Episode",
    "EpsilonGreedy",
    "Explorer",
    "Fifo",
    "GaussianNoise",
    "ImpalaConfig",
    "InlineLanes",
    "LocalEnvironments",
    "NStepWindow",
    "Oldest",
    "OtherSideGone",
    "PPOConfig",
    "Parts",
    "PerStep",
    "Practice",
    "Prioritized",
    "Progress",
    "QLearningConfig",
    "RateLimiter",
    "ReinforceConfig",
    "ReplayTable",
    "SACConfig",
    "Sample",
    "StepAgent",
    "Stepped",
    "StreamTable",
    "TD3Config",
    "Uniform",
    "Updated",
    "epsilon_ladder",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'actorrl.rl' has no attribute {name!r}")
    return getattr(importlib.import_module(f"actorrl.rl.{_HOMES[name]}"), name)
