"""DQN: the config a user writes, and the learner it builds. `train` calls `build`, Practice the learner.

Mnih et al. 2015; double (van Hasselt et al. 2016), dueling (Wang et al. 2016) and n-step returns (Hessel et al. 2018,
"Rainbow") are fields.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from actorrl.rl import seeding
from actorrl.rl.acting import q_function, weights_of
from actorrl.rl.epsilon_greedy import EpsilonGreedy
from actorrl.rl.flat import FlatAdam, FlatParameters
from actorrl.rl.losses import q_learning_target, td_loss, td_slope
from actorrl.rl.networks import NetworkMaker, make_network
from actorrl.rl.nouns import Array, Cadence, Parts, Updated
from actorrl.rl.plain_mlp import PlainMLP, is_plain
from actorrl.rl.ranges import require
from actorrl.rl.schedules import Linear
from actorrl.rl.spaces import Encoder, require_actions, require_observations
from actorrl.rl.tables import ReplayTable

DEFAULT_TOTAL_STEPS = 100_000
METRICS_EVERY = 10  # updates; reading a number out of torch costs as much as a layer


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
    loss: str = "huber"
    """"huber" or "mse", of the TD error."""
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
    learning_starts: int = 1_000
    """Environment steps before the first update."""
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
    exploration_initial_eps: float = 1.0
    """The probability of a random action at the start."""
    exploration_final_eps: float = 0.1
    """The probability of a random action once exploration has been annealed."""
    exploration_fraction: float = 0.2
    """The part of `total_steps` over which it is annealed, counted in the agent's own environment steps."""
    total_steps: int | None = None
    """The steps that schedules stretch over; None for those `train` is given (100,000 in a loop of your own)."""

    on_policy: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(self, "positive", "learning_rate", "batch_size", "buffer_size", "train_freq", "n_steps")
        require(self, "positive", "target_update_interval", "max_grad_norm", "reward_scale")
        require(self, "not negative", "learning_starts", "learning_rate_final")
        require(self, "between 0 and 1", "gamma", "tau", "exploration_fraction")
        require(self, "between 0 and 1", "exploration_initial_eps", "exploration_final_eps")
        if self.gradient_steps < 1 and self.gradient_steps != -1:
            raise ValueError(f"gradient_steps must be at least 1, or -1 for one per step, found {self.gradient_steps}")
        if self.loss not in ("huber", "mse"):
            raise ValueError(f'loss must be "huber" or "mse", found {self.loss!r}')

    def encoder(self, observation_space: gymnasium.Space) -> Encoder:
        """What makes an array of an observation for this algorithm; ValueError where the space does not fit."""
        require_observations(observation_space, "DQNConfig")
        return Encoder(observation_space)

    def build(self, observation_space: gymnasium.Space, action_space: gymnasium.Space, seed: int | None) -> Parts:
        """Policy, learner and table; ValueError where a space does not fit."""
        encoder = self.encoder(observation_space)
        require_actions(action_space, "DQNConfig")
        n, first = int(action_space.n), int(action_space.start)  # type: ignore[attr-defined]
        online, target = (
            make_network(
                encoder.encoded_space,
                n,
                hidden_sizes=self.hidden_sizes,
                dueling=self.dueling,
                network=self.network,
                seed=seeding.integer(seed, seeding.LEARNER),
            )
            for _ in range(2)
        )
        total = self.total_steps or DEFAULT_TOTAL_STEPS
        epsilon = Linear(self.exploration_initial_eps, self.exploration_final_eps, self.exploration_fraction * total)
        cadence = Cadence(self.learning_starts, self.train_freq, self.burst, self.batch_size)
        return Parts(
            EpsilonGreedy(q_function(online), epsilon, first, q_function(target) if self.tau < 1 else None),
            DQNLearner(self, online, target, total, first),
            ReplayTable(self.buffer_size, seeding.generator(seed, seeding.TABLE)),
            cadence,
            self.n_steps,
            self.gamma,
            encoder,
        )

    @property
    def burst(self) -> int:
        """Updates per burst, with -1 resolved."""
        return self.train_freq if self.gradient_steps == -1 else self.gradient_steps


class DQNLearner:
    """Moves Q(s, a) of transition rows towards r + discount · Q_target(s', a').

    Args:
        config: the hyperparameters.
        online: the network that is trained, and acts.
        target: a network of the same shape, which becomes its slow copy.
        total_steps: environment steps that the learning rate falls over.
        first: the number of the first action.
    """

    def __init__(
        self, config: DQNConfig, online: nn.Module, target: nn.Module, total_steps: int, first: int = 0
    ) -> None:
        self._config, self._total_steps, self._first = config, total_steps, first
        self._online, self._target = online, target.requires_grad_(False)
        self._target.load_state_dict(online.state_dict())
        self._flat, self._flat_target = FlatParameters(online), FlatParameters(target)
        self._q: Callable[[Tensor], Tensor] = PlainMLP(online) if is_plain(online) else online  # type: ignore[arg-type]
        self._q_target: Callable[[Tensor], Tensor] = PlainMLP(target) if is_plain(target) else target  # type: ignore[arg-type]
        self._optimizer = FlatAdam(self._flat)
        updates = total_steps / config.train_freq * config.burst
        self._rate = Linear(config.learning_rate, config.learning_rate_final, max(updates, 1))
        self._sync_every = max(1, math.floor(config.target_update_interval * config.burst / config.train_freq))
        self._buffers = list(zip(target.buffers(), online.buffers(), strict=True))
        self._weights = weights_of(online)
        if config.tau < 1:
            self._weights |= {f"average.{name}": weight for name, weight in weights_of(target).items()}
        self._updates = 0

    def update(self, batch: dict[str, Array]) -> Updated:
        """One gradient step on rows [B]. `td` is target − chosen, float32 [B]."""
        rows = {name: torch.from_numpy(values) for name, values in batch.items()}
        actions = (rows["action"] - self._first if self._first else rows["action"])[:, None]
        target = self._targets(rows)
        chosen = self._descend(rows["observation"], actions, target)
        norm = self._flat.clip_gradient(self._config.max_grad_norm)
        rate = self._rate(self._updates)
        self._optimizer.step(rate)
        self._updates += 1
        if self._updates % self._sync_every == 0:
            self._move_target()
        td = (target - chosen).numpy()
        if self._updates % METRICS_EVERY:
            return Updated({}, td)
        figures = {"loss": td_loss(chosen, target, self._config.loss).item(), "q": chosen.mean().item()}
        return Updated({**figures, "td": float(np.abs(td).mean()), "grad_norm": norm, "learning_rate": rate}, td)

    @torch.no_grad()
    def _targets(self, rows: dict[str, Tensor]) -> Tensor:
        observation = rows["observation_next"]
        q = self._q_target(observation)
        selector = self._q(observation) if self._config.double else None
        reward = rows["reward"] * self._config.reward_scale
        return q_learning_target(reward, rows["discount"], q, selector, rows.get("action_mask_next"))

    def _descend(self, observation: Tensor, actions: Tensor, target: Tensor) -> Tensor:
        """Fill the gradient; returns the values of the chosen actions [B]."""
        if isinstance(self._q, PlainMLP):
            with torch.no_grad():
                features = self._q.features(observation)
                q = self._q.head(features[-1])
                chosen = q.gather(1, actions)
                slope = td_slope(chosen, target[:, None], self._config.loss)
                self._q.backward(features, torch.zeros_like(q).scatter_(1, actions, slope))
            return chosen.squeeze(1)
        chosen = self._online(observation).gather(1, actions).squeeze(1)
        self._flat.gradient.zero_()
        td_loss(chosen, target, self._config.loss).backward()
        return chosen.detach()

    def _move_target(self) -> None:
        self._flat_target.values.lerp_(self._flat.values, self._config.tau)
        for mine, theirs in self._buffers:
            mine.copy_(theirs)

    def __getstate__(self) -> dict[str, Any]:
        # Views into one vector would not come back as such: rebuild them.
        build = (self._config, self._online, self._target, self._total_steps, self._first)
        return {"build": build, "state": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state["build"])  # type: ignore[misc]
        self.load_state_dict(state["state"])

    def get_weights(self) -> dict[str, Array]:
        """Views of the live weights by name: copy what you keep. The target's are under "average.", where it is one."""
        return self._weights

    def state_dict(self) -> dict[str, Any]:
        """Both networks, Adam's moments and the count of updates, as copies."""
        return {
            "updates": self._updates,
            **{f"online.{name}": weight.copy() for name, weight in weights_of(self._online).items()},
            **{f"target.{name}": weight.copy() for name, weight in weights_of(self._target).items()},
            **{f"adam.{name}": value for name, value in self._optimizer.state_dict().items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        for prefix, module in (("online.", self._online), ("target.", self._target)):
            mine = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
            module.load_state_dict({name: torch.as_tensor(np.asarray(value)) for name, value in mine.items()})
        self._updates = int(state["updates"])
        self._optimizer.load_state_dict({name[5:]: value for name, value in state.items() if name.startswith("adam.")})
