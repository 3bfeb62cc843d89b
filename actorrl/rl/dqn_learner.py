"""The learner of DQN: a gradient step per batch of transition rows. `DQNConfig.build` makes it, `Updates` calls it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from actorrl.rl.acting import weights_of
from actorrl.rl.flat import FlatAdam, FlatParameters
from actorrl.rl.losses import q_learning_target, quantile_loss, quantile_target, td_loss, td_slope
from actorrl.rl.nouns import Array, Updated
from actorrl.rl.plain_mlp import PlainMLP, is_plain
from actorrl.rl.schedules import over_updates

if TYPE_CHECKING:
    from actorrl.rl.dqn import DQNConfig

METRICS_EVERY = 10  # updates; reading a number out of torch costs as much as a layer


class DQNLearner:
    """Moves Q(s, a) of transition rows towards r + discount · Q_target(s', a').

    Args:
        config: the hyperparameters.
        online: the network that is trained, and acts.
        target: a network of the same shape, which becomes its slow copy.
        total_updates: that the learning rate falls over.
        first: the number of the first action.
    """

    def __init__(
        self, config: DQNConfig, online: nn.Module, target: nn.Module, total_updates: int, first: int = 0
    ) -> None:
        self._config, self._total_updates, self._first = config, total_updates, first
        self._online, self._target = online, target.requires_grad_(False)
        self._target.load_state_dict(online.state_dict())
        self._flat, self._flat_target = FlatParameters(online), FlatParameters(target)
        self._q: Callable[[Tensor], Tensor] = PlainMLP(online) if is_plain(online) else online  # type: ignore[arg-type]
        self._q_target: Callable[[Tensor], Tensor] = PlainMLP(target) if is_plain(target) else target  # type: ignore[arg-type]
        self._optimizer = FlatAdam(self._flat)
        self._rate = over_updates(config.learning_rate, config.learning_rate_final, total_updates)
        self._sync_every = max(1, math.floor(config.target_update_interval * config.burst / config.train_freq))
        self._buffers = list(zip(target.buffers(), online.buffers(), strict=True))
        self._weights = weights_of(online)
        if config.tau < 1:
            self._weights |= {f"average.{name}": weight for name, weight in weights_of(target).items()}
        self._updates = 0

    def update(self, batch: dict[str, Array]) -> Updated:
        """One gradient step on rows [B]. `td` is target − chosen, float32 [B], whatever the rows' "weight" f32 [B]."""
        rows = {name: torch.from_numpy(values) for name, values in batch.items()}
        actions = (rows["action"] - self._first if self._first else rows["action"])[:, None]
        weight = rows.get("weight")
        target = self._targets(rows)
        chosen = self._descend(rows["observation"], actions, target, weight)
        norm = self._flat.clip_gradient(self._config.max_grad_norm)
        rate = self._rate(self._updates)
        self._optimizer.step(rate)
        self._updates += 1
        if self._updates % self._sync_every == 0:
            self._move_target()
        td = (target - chosen if target.ndim == 1 else target.mean(1) - chosen.mean(1)).numpy()
        if self._updates % METRICS_EVERY:
            return Updated({}, td)
        figures = {"loss": self._loss(chosen, target, weight).item(), "q": chosen.mean().item()}
        return Updated({**figures, "td": float(np.abs(td).mean()), "grad_norm": norm, "learning_rate": rate}, td)

    @torch.no_grad()
    def _targets(self, rows: dict[str, Tensor]) -> Tensor:
        """Values [B], or quantiles [B, N]."""
        observation = rows["observation_next"]
        q = self._q_target(observation)
        selector = self._q(observation) if self._config.double else None
        reward, discount, mask = (
            rows["reward"] * self._config.reward_scale,
            rows["discount"],
            rows.get("action_mask_next"),
        )
        if self._config.loss != "quantile":
            return q_learning_target(reward, discount, q, selector, mask)
        selector = None if selector is None else self._by_action(selector)
        return quantile_target(reward, discount, self._by_action(q), selector, mask)

    def _by_action(self, outputs: Tensor) -> Tensor:
        return outputs.unflatten(1, (-1, self._config.quantiles))

    def _chosen(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """What the network says of actions [B, 1]: values [B], or quantiles [B, N]."""
        if self._config.loss != "quantile":
            return outputs.gather(1, actions).squeeze(1)
        return self._by_action(outputs)[torch.arange(len(outputs)), actions[:, 0]]

    def _loss(self, chosen: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        if self._config.loss == "quantile":
            return quantile_loss(chosen, target, weight)
        return td_loss(chosen, target, self._config.loss, weight)

    def _descend(self, observation: Tensor, actions: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Fill the gradient; returns what the network said of the chosen actions, [B] or [B, N]."""
        if not isinstance(self._q, PlainMLP):
            chosen = self._chosen(self._online(observation), actions)
            self._flat.gradient.zero_()
            self._loss(chosen, target, weight).backward()
            return chosen.detach()
        with torch.no_grad():
            features = self._q.features(observation)
            outputs = self._q.head(features[-1])
            if self._config.loss != "quantile":
                chosen = self._chosen(outputs, actions)
                slope = td_slope(chosen, target, self._config.loss, weight)
                slope = torch.zeros_like(outputs).scatter_(1, actions, slope[:, None])
        if self._config.loss == "quantile":
            chosen = self._chosen(outputs.requires_grad_(), actions)
            (slope,) = torch.autograd.grad(self._loss(chosen, target, weight), outputs)
        with torch.no_grad():
            self._q.backward(features, slope)
        return chosen.detach()

    def _move_target(self) -> None:
        self._flat_target.values.lerp_(self._flat.values, self._config.tau)
        for mine, theirs in self._buffers:
            mine.copy_(theirs)

    def __getstate__(self) -> dict[str, Any]:
        # Views into one vector would not come back as such: rebuild them.
        build = (self._config, self._online, self._target, self._total_updates, self._first)
        return {"build": build, "state": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state["build"])  # type: ignore[misc]
        self.load_state_dict(state["state"])

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The network that is trained, to look at."""
        return {"q": self._online}

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
