"""The learner of algorithms that learn from fragments: PPO, A2C, IMPALA. Their configs build it; `Rollouts` asks it.

    prepare(fragments) ──► values, advantages, targets ──► rows      once per fragment, without gradients
    update(rows)       ──► loss ──► one step of Adam                 once per minibatch

The algorithms differ in two pure functions: how a fragment's advantages are estimated, and the policy's loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from actorrl.rl.acting import weights_of
from actorrl.rl.drawing import Choices, Gaussian
from actorrl.rl.flat import FlatAdam, FlatParameters
from actorrl.rl.fragments import Fragment, joined, next_values
from actorrl.rl.likelihoods import Likelihood, likelihood
from actorrl.rl.moments import CLIP, DiscountedReturns, Moments, Standardiser
from actorrl.rl.nouns import Array, Updated
from actorrl.rl.policy_losses import approximate_kl, clipped_part, normalised, value_loss
from actorrl.rl.replicas import Replicas, mean_over, normalised_over, update_over
from actorrl.rl.schedules import Linear

METRICS_EVERY = 10  # updates; reading a number out of torch costs as much as a layer


class Valued(NamedTuple):
    """A fragment as an estimator of advantages gets it; arrays [T, k]."""

    reward: Array
    value: Array
    value_next: Array
    terminated: Array
    truncated: Array
    log_rho: Array
    """log π − log μ of the actions, of the policy as it is now and as it acted."""


class Estimate(NamedTuple):
    """What an estimator returns; arrays [T, k]."""

    advantage: Array
    target: Array


@dataclass(frozen=True)
class Objective:
    """What an algorithm wants of its learner."""

    estimate: Callable[[Valued], Estimate]
    policy_loss: Callable[[Tensor, Tensor, Tensor, float], Tensor]
    """Of log_prob, log_prob_old, advantage [B] and the clip range."""
    learning_rate: Linear
    clip_range: Linear | None = None
    """Both by environment steps learned from; None for a policy's loss that does not clip."""
    ent_coef: float = 0.0
    vf_coef: float = 0.5
    max_grad_norm: float = 0.5
    target_kl: float | None = None
    normalize_advantage: bool = False
    off_policy: bool = False
    """Whether `estimate` reads `log_rho`."""
    valued: bool = True
    """Whether the value function learns what states are worth."""
    returns: DiscountedReturns | None = None
    """What rewards are scaled by."""


class ActorCritic(nn.Module):
    """A policy's network, a value function's, and the standard deviations of a Gaussian policy."""

    def __init__(self, actor: nn.Module, critic: nn.Module, log_std: Array | None) -> None:
        super().__init__()
        self.actor, self.critic = actor, critic
        self.log_std = None if log_std is None else nn.Parameter(torch.from_numpy(log_std))


class FragmentLearner:
    """See the module.

    Args:
        module: the networks.
        head: what actions are drawn by.
        objective: of the algorithm.
        standardiser: what observations are normalised by, shared with nobody; None where they are taken as they are.
    """

    def __init__(
        self, module: ActorCritic, head: Choices | Gaussian, objective: Objective, standardiser: Standardiser | None
    ) -> None:
        self._module, self._head, self._objective = module, head, objective
        self._standardiser = standardiser
        self._moments = Moments(standardiser.mean.shape) if standardiser is not None else None
        self._updates = self._steps = 0
        self.to("cpu")
        self.satisfied = False
        """Whether the policy has moved as far from the one that acted as `target_kl` allows."""
        self.replicas: Replicas | None = None
        """Where this is one of several that learn from parts of a batch: the others."""

    def to(self, device: str) -> None:
        """Compute on this device from now on; before anything is learned. What comes in and goes out stays in numpy.

        ValueError where torch finds no such device.
        """
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(f"device={device!r}: torch {torch.__version__} finds no GPU on this machine; leave it out")
        self._device = torch.device(device)
        self._module.to(self._device)
        self._flat = FlatParameters(self._module)
        self._adam = FlatAdam(self._flat, eps=1e-5)
        self._weights = weights_of(self._module.actor) if self._device.type == "cpu" else None

    def prepare(self, fragments: list[Fragment]) -> dict[str, Array]:
        """Rows [N, ...] of fragments: observation, drawn, log_prob, advantage, target, and action_mask.

        What it learns of the scale of observations counts from the next fragments on, so that these are seen as they
        were when they were acted on.
        """
        returns = self._objective.returns
        if returns is not None:
            update_over(self.replicas, returns.moments, lambda into: _scaled(returns, fragments, into))
        alike = len({fragment["reward"].shape[0] for fragment in fragments}) == 1
        wholes = [joined(fragments)] if alike else fragments
        parts = [self._rows(whole) for whole in wholes]
        if self._moments is not None and self._standardiser is not None:
            update_over(self.replicas, self._moments, lambda into: _observed(wholes, into))
            self._standardiser.follow(self._moments)
        rows = parts[0] if alike else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        self._steps += len(rows["advantage"]) * (1 if self.replicas is None else self.replicas.count)
        return rows

    def _rows(self, whole: Fragment) -> dict[str, Array]:
        observation, log_rho = self._seen(whole["observation"]), np.zeros_like(whole["log_prob"])
        with torch.no_grad():
            value = self._value(observation, 2)
            value_next = next_values(whole, value, self._value(self._seen(whole["final_observation"]), 1))
        reward, returns = whole["reward"], self._objective.returns
        if returns is not None:
            reward = np.clip(reward / returns.scale, -CLIP, CLIP)
        T, k = reward.shape
        rows = {"observation": observation[:T], "drawn": whole["drawn"], "log_prob": whole["log_prob"]}
        if "action_mask" in whole:
            rows["action_mask"] = whole["action_mask"][:T]
        flat = {name: values.reshape(T * k, *values.shape[2:]) for name, values in rows.items()}
        if self._objective.off_policy:
            with torch.no_grad():
                log_rho = self._likelihood(self._tensors(flat)).log_prob.cpu().numpy().reshape(T, k) - whole["log_prob"]
        estimate = self._objective.estimate(
            Valued(reward, value[:T], value_next, whole["terminated"], whole["truncated"], log_rho)
        )
        for name, values in zip(("advantage", "target"), estimate, strict=True):
            flat[name] = values.reshape(-1).astype(np.float32)
        return flat

    def update(self, batch: dict[str, Array]) -> Updated:
        """One gradient step on rows [B] of `prepare`."""
        objective, rows = self._objective, self._tensors(batch)
        likely = self._likelihood(rows)
        advantage = rows["advantage"]
        if objective.normalize_advantage:
            replicas = self.replicas
            advantage = normalised(advantage) if replicas is None else normalised_over(replicas, advantage)
        clip_range = objective.clip_range(self._steps) if objective.clip_range is not None else 0.0
        policy_loss = objective.policy_loss(likely.log_prob, rows["log_prob"], advantage, clip_range)
        critic_loss = value_loss(self._module.critic(rows["observation"]).squeeze(1), rows["target"])
        entropy = likely.entropy.mean()
        loss = policy_loss - objective.ent_coef * entropy + objective.vf_coef * critic_loss
        if objective.target_kl is not None:
            kl = mean_over(self.replicas, approximate_kl(likely.log_prob.detach(), rows["log_prob"]))
            if kl > 1.5 * objective.target_kl:
                self.satisfied = True
                return Updated({"approx_kl": kl})
        self._flat.gradient.zero_()
        loss.backward()
        if self.replicas is not None:
            self.replicas.average(self._flat.gradient)
        norm = self._flat.clip_gradient(objective.max_grad_norm)
        rate = objective.learning_rate(self._steps)
        self._adam.step(rate)
        self._updates += 1
        if self._updates % METRICS_EVERY:
            return Updated({})
        log_prob = likely.log_prob.detach()
        return Updated(
            {
                "loss": loss.item(),
                "policy_loss": policy_loss.item(),
                "value_loss": critic_loss.item(),
                "entropy": entropy.item(),
                "approx_kl": approximate_kl(log_prob, rows["log_prob"]).item(),
                "clip_fraction": clipped_part(log_prob, rows["log_prob"], clip_range).item(),
                "grad_norm": norm,
                "learning_rate": rate,
            }
        )

    def _seen(self, observation: Array) -> Array:
        return observation if self._standardiser is None else self._standardiser(observation)

    def _value(self, observation: Array, axes: int) -> Array:
        """V of observations [..., *o] with so many axes before those of one observation; float32 [...]."""
        lead = observation.shape[:axes]
        if not observation.size:
            return np.zeros(lead, np.float32)
        flat = torch.from_numpy(observation.reshape(-1, *observation.shape[axes:])).to(self._device)
        return self._module.critic(flat).squeeze(1).cpu().numpy().reshape(lead)

    def _tensors(self, rows: dict[str, Array]) -> dict[str, Tensor]:
        return {name: torch.from_numpy(values).to(self._device) for name, values in rows.items()}

    def _likelihood(self, rows: dict[str, Tensor]) -> Likelihood:
        outputs = self._module.actor(rows["observation"])
        return likelihood(self._head, outputs, self._module.log_std, rows["drawn"], rows.get("action_mask"))

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks that are trained, to look at."""
        return {"actor": self._module.actor, "critic": self._module.critic}

    def value(self, observations: Array, actions: Array) -> Array | None:
        """V float32 [B] of observations [B, *o], whatever is done there; None where no value function is learned."""
        if not self._objective.valued:
            return None
        with torch.no_grad():
            return self._value(self._seen(observations), 1)

    def get_weights(self) -> dict[str, Array]:
        """The actor's weights by name, views where they are on the CPU, and what a `StochasticPolicy` needs beside."""
        weights = dict(self._weights or weights_of(self._module.actor))
        if self._module.log_std is not None:
            weights["log_std"] = self._module.log_std.detach().cpu().numpy()
        if self._standardiser is not None:
            weights["observation.mean"], weights["observation.std"] = self._standardiser.mean, self._standardiser.std
        return weights

    def state_dict(self) -> dict[str, Any]:
        """Networks, Adam's moments, the scales of observations and rewards, and the counts, as copies."""
        state: dict[str, Any] = {"updates": self._updates, "steps": self._steps}
        state |= {f"module.{name}": weight.copy() for name, weight in weights_of(self._module).items()}
        for prefix, part in self._parts():
            state |= {f"{prefix}{name}": value for name, value in part.state_dict().items()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._updates, self._steps = int(state["updates"]), int(state["steps"])
        weights = {name[7:]: np.asarray(value) for name, value in state.items() if name.startswith("module.")}
        self._module.load_state_dict({name: torch.as_tensor(value) for name, value in weights.items()})
        for prefix, part in self._parts():
            part.load_state_dict({k[len(prefix) :]: value for k, value in state.items() if k.startswith(prefix)})
        if self._standardiser is not None and self._moments is not None and self._moments.count:
            self._standardiser.follow(self._moments)

    def training_state(self) -> dict[str, Any]:
        """What is no knowledge, but goes on with the environments: how far each one's discounted return has come."""
        returns = self._objective.returns
        return {} if returns is None else returns.state_dict()

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Take back what `training_state` gave."""
        if self._objective.returns is not None:
            self._objective.returns.load_state_dict(state)

    def _parts(self) -> list[tuple[str, Any]]:
        parts: list[tuple[str, Any]] = [("adam.", self._adam)]
        if self._moments is not None:
            parts.append(("observation.", self._moments))
        if self._objective.returns is not None:
            parts.append(("returns.", self._objective.returns.moments))
        return parts


def _scaled(returns: DiscountedReturns, fragments: list[Fragment], into: Moments) -> None:
    for number, fragment in enumerate(fragments):
        returns.update(fragment["reward"], fragment["terminated"] | fragment["truncated"], number, into)


def _observed(wholes: list[Fragment], into: Moments) -> None:
    for whole in wholes:
        into.update(whole["observation"][:-1].reshape(-1, *into.mean.shape))
