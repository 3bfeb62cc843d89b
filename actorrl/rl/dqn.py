"""DQN: the config a user writes. `train` calls `build`.

Mnih et al. 2015; double (van Hasselt et al. 2016), dueling (Wang et al. 2016), n-step returns (Hessel et al. 2018,
"Rainbow"), prioritised replay (Schaul et al. 2016) and quantile regression (Dabney et al. 2018) are fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import gymnasium
from torch import nn

from actorrl.rl import seeding
from actorrl.rl.acting import MeanOfQuantiles, q_function
from actorrl.rl.dqn_learner import METRICS_EVERY, DQNLearner
from actorrl.rl.exploration import Boltzmann, EpsilonGreedy
from actorrl.rl.networks import NetworkMaker, make_network
from actorrl.rl.nouns import Cadence, Parts
from actorrl.rl.ranges import require, require_one_of
from actorrl.rl.samplers import replay_sampler
from actorrl.rl.schedules import Linear
from actorrl.rl.spaces import Encoder, require_actions, require_observations
from actorrl.rl.tables import ReplayTable
from actorrl.rl.value_policy import QFunction, ValuePolicy

__all__ = ["METRICS_EVERY", "DQNConfig", "DQNLearner"]

DEFAULT_TOTAL_STEPS = 100_000


@dataclass(frozen=True)
class DQNConfig:
    """Deep Q-learning for Discrete actions and any observation that flattens."""

    learning_rate: float = 5e-4
    """Adam's step size at the start."""
    learning_rate_final: float = 5e-5
    """Adam's step size when `total_steps` are over; it falls in a straight line. Too low, and a slip stays."""
    gamma: float = 0.99
    """Discount per environment step."""
    n_steps: int = 3
    """Rewards summed before bootstrapping."""
    double: bool = True
    """Let the online network choose the next action and the target network value it."""
    dueling: bool = False
    """Split the head into a state value and advantages."""
    loss: str = "td"
    """"td", the Huber error of the TD error ("huber" says the same); "mse", its square; or "quantile", which learns the
    distribution of returns."""
    quantiles: int = 32
    """Quantiles per action where the loss is "quantile"; the outputs of a `network` are then those of one action after
    those of another."""
    reward_scale: float = 1.0
    """Rewards are multiplied by this before learning; values of the order of 1 to 10 are the easiest to learn."""
    hidden_sizes: tuple[int, ...] = (128, 128)
    """Widths of the fully connected layers."""
    network: NetworkMaker | None = None
    """A callable (observation_space, outputs) -> nn.Module in place of our own network."""
    batch_size: int = 64
    """Rows per update."""
    buffer_size: int = 100_000
    """Rows kept for replay; the oldest goes first."""
    prioritized: bool = False
    """Replay rows in proportion to |TD error|^0.6; β rises from 0.4 to 1 over the updates of `total_steps`."""
    learning_starts: int = 1_000
    """The heat-up: environment steps before the first update."""
    train_freq: int = 4
    """Environment steps from one burst of updates to the next."""
    gradient_steps: int = 2
    """Updates per burst; -1 for as many as environment steps."""
    tau: float = 0.005
    """How far the target network moves towards the online one: 1 a hard copy, below 1 Polyak averaging. Then greedy
    actions are the average's too, which one update cannot turn."""
    target_update_interval: int = 1
    """Environment steps from one movement of the target network to the next (at least one update apart)."""
    max_grad_norm: float = 10.0
    """Gradients are scaled down to this norm."""
    exploration: str = "epsilon"
    """"epsilon": a random action with probability ε; "boltzmann": one in proportion to exp(Q / temperature)."""
    exploration_initial_eps: float = 1.0
    """ε, or the temperature, at the start."""
    exploration_final_eps: float = 0.1
    """ε, or the temperature, once exploration has been annealed."""
    exploration_fraction: float = 0.2
    """The part of `total_steps` over which it is annealed, counted in the agent's own environment steps."""
    total_steps: int | None = None
    """The steps that schedules stretch over; None for those `train` is given (100,000 in a loop of your own)."""

    on_policy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self, "positive", "learning_rate", "batch_size", "buffer_size", "train_freq", "n_steps")
        require(self, "positive", "target_update_interval", "max_grad_norm", "reward_scale", "quantiles")
        require(self, "not negative", "learning_starts", "learning_rate_final")
        require(self, "not negative", "exploration_initial_eps", "exploration_final_eps")
        require(self, "between 0 and 1", "gamma", "tau", "exploration_fraction")
        require_one_of(self, "loss", "td", "mse", "quantile", "huber")
        require_one_of(self, "exploration", "epsilon", "boltzmann")
        if self.exploration == "epsilon":
            require(self, "between 0 and 1", "exploration_initial_eps", "exploration_final_eps")
        if self.gradient_steps < 1 and self.gradient_steps != -1:
            raise ValueError(f"gradient_steps must be at least 1, or -1 for one per step, found {self.gradient_steps}")

    def encoder(self, observation_space: gymnasium.Space) -> Encoder:
        """What makes an array of an observation for this algorithm; ValueError where the space does not fit."""
        require_observations(observation_space, "DQNConfig")
        return Encoder(observation_space)

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, seed: int | None) -> Parts:
        """Policy, learner and table; ValueError where a space does not fit."""
        encoder = self.encoder(observation_space)
        require_actions(action_space, "DQNConfig")
        n, first = int(action_space.n), int(action_space.start)  # type: ignore[attr-defined]
        online, target = (self._network(encoder, n, seed) for _ in range(2))
        total = self.total_steps or DEFAULT_TOTAL_STEPS
        schedule = Linear(self.exploration_initial_eps, self.exploration_final_eps, self.exploration_fraction * total)
        exploration = Boltzmann(schedule) if self.exploration == "boltzmann" else EpsilonGreedy(schedule)
        cadence = Cadence(self.learning_starts, self.train_freq, self.burst, self.batch_size)
        updates = cadence.updates(total)
        return Parts(
            ValuePolicy(self._q(online), exploration, first, self._q(target) if self.tau < 1 else None),
            DQNLearner(self, online, target, updates, first),
            ReplayTable(
                self.buffer_size,
                seeding.generator(seed, seeding.TABLE),
                sampler=replay_sampler(self.prioritized, updates),
            ),
            cadence,
            self.n_steps,
            self.gamma,
            encoder,
        )

    def _network(self, encoder: Encoder, actions: int, seed: int | None) -> nn.Module:
        return make_network(
            encoder.encoded_space,
            actions * self.atoms,
            hidden_sizes=self.hidden_sizes,
            dueling=self.dueling,
            quantiles=self.atoms,
            network=self.network,
            seed=seeding.integer(seed, seeding.LEARNER),
        )

    def _q(self, network: nn.Module) -> QFunction:
        function = q_function(network)
        return function if self.atoms == 1 else MeanOfQuantiles(function, self.atoms)

    @property
    def atoms(self) -> int:
        """Outputs of the network per action."""
        return self.quantiles if self.loss == "quantile" else 1

    @property
    def burst(self) -> int:
        """Updates per burst, with -1 resolved."""
        return self.train_freq if self.gradient_steps == -1 else self.gradient_steps
