"""What SAC and TD3 have in common: their parts, an actor and two critics, their slow copies, and how they are saved.

observation ─► embedder ─┬─► middle ─► head ─► Q        (twice; each its own)
                 action ─┘
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from actorrl.rl import seeding
from actorrl.rl.acting import q_function, weights_of
from actorrl.rl.box_policy import BoxPolicy, BoxScale, require_bounds
from actorrl.rl.flat import FlatAdam, FlatParameters
from actorrl.rl.networks import NetworkMaker, make_embedder, make_middle, make_network
from actorrl.rl.nouns import Array, Cadence, Parts
from actorrl.rl.ranges import require
from actorrl.rl.samplers import replay_sampler
from actorrl.rl.spaces import algorithm_of, require_actions
from actorrl.rl.tables import ReplayTable

DEFAULT_TOTAL_STEPS = 100_000


class Critic(nn.Module):
    """Q(s, a) of encoded observations [B, *o] and normalised actions [B, a]."""

    def __init__(self, embedder: nn.Module, width: int, actions: int, hidden_sizes: Sequence[int]) -> None:
        super().__init__()
        self.embedder = embedder
        self.middle, width = make_middle(width + actions, hidden_sizes)
        self.head = nn.Linear(width, 1)

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Values [B]."""
        joined = torch.cat([self.embedder(observation), action], 1)
        return self.head(self.middle(joined)).squeeze(1)


class Critics(nn.Module):
    """Several critics of the same state and action."""

    def __init__(self, critics: Sequence[Critic]) -> None:
        super().__init__()
        self.critics = nn.ModuleList(critics)

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Values [critics, B]."""
        return torch.stack([critic(observation, action) for critic in self.critics])


def make_actor_critics(
    space: gymnasium.Space,
    outputs: int,
    actions: int,
    *,
    hidden_sizes: Sequence[int],
    network: NetworkMaker | None,
    seed: int,
) -> tuple[nn.Module, Critics]:
    """An actor from encoded observations to `outputs` numbers, and two critics. Weights are drawn from `seed`.

    The user's `network` makes the actor, and for each critic what embeds an observation: with as many outputs as the
    first of `hidden_sizes`, which our own layers then take together with the action.
    """
    actor = make_network(space, outputs, hidden_sizes=hidden_sizes, network=network, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        critics = []
        for _ in range(2):
            if network is None:
                embedder, width = make_embedder(space)
            else:
                width = hidden_sizes[0]
                embedder = make_network(space, width, network=network)
            critics.append(Critic(embedder, width, actions, hidden_sizes))
    return actor, Critics(critics)


class Trained:
    """A module with its parameters in one vector, and Adam over them; picklable."""

    def __init__(self, module: nn.Module) -> None:
        self.module: Any = module
        self.flat = FlatParameters(module)
        self.adam = FlatAdam(self.flat)

    def descend(self, loss: Tensor, learning_rate: float) -> None:
        """One step down the gradient of `loss` in this module alone."""
        self.flat.gradient.zero_()
        loss.backward(inputs=[p for p in self.module.parameters() if p.requires_grad])
        self.adam.step(learning_rate)

    @property
    def gradient_norm(self) -> float:
        """The norm of the last gradient, as of all parameters in a row."""
        return self.flat.gradient.norm().item()

    def state_dict(self) -> dict[str, Any]:
        """Weights and moments, as copies."""
        adam = {f"adam.{name}": value for name, value in self.adam.state_dict().items()}
        return {**{name: weight.copy() for name, weight in weights_of(self.module).items()}, **adam}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        load_weights(self.module, {name: value for name, value in state.items() if not name.startswith("adam.")})
        self.adam.load_state_dict({name[5:]: value for name, value in state.items() if name.startswith("adam.")})

    def __getstate__(self) -> dict[str, Any]:
        return {"module": self.module, "adam": self.adam.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # Views into one vector would not come back as such: rebuild them.
        self.__init__(state["module"])  # type: ignore[misc]
        self.adam.load_state_dict(state["adam"])


class SlowCopy:
    """A copy of a trained module that follows it: θ' += τ (θ − θ'); picklable."""

    def __init__(self, module: nn.Module, trained: Trained) -> None:
        module.load_state_dict(trained.module.state_dict())
        self._arrange(module)

    def _arrange(self, module: nn.Module) -> None:
        self.module: Any = module.requires_grad_(False)
        self._flat = FlatParameters(module)

    def follow(self, trained: Trained, tau: float) -> None:
        """Move a part `tau` of the way; buffers (running statistics) are copied."""
        self._flat.values.lerp_(trained.flat.values, tau)
        for mine, theirs in zip(self.module.buffers(), trained.module.buffers(), strict=True):
            mine.copy_(theirs)

    def state_dict(self) -> dict[str, Any]:
        """The weights, as copies."""
        return {name: weight.copy() for name, weight in weights_of(self.module).items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        load_weights(self.module, state)

    def __getstate__(self) -> dict[str, Any]:
        return {"module": self.module}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._arrange(state["module"])


class Noise:
    """Standard normal numbers from a generator of its own; picklable, and saved like a part."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, rows: int, width: int) -> Tensor:
        """float32 [rows, width]."""
        return torch.randn((rows, width), generator=self._generator)

    def state_dict(self) -> dict[str, Any]:
        """Where the generator stands."""
        return {"state": self._generator.get_state().numpy().copy()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._generator.set_state(torch.as_tensor(np.asarray(state["state"])))

    def __getstate__(self) -> dict[str, Any]:
        return self.state_dict()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._generator = torch.Generator()
        self.load_state_dict(state)


def check(config: Any) -> None:
    """Refuse (ValueError) values out of range, of the fields that both configs have."""
    require(config, "positive", "learning_rate", "batch_size", "buffer_size", "train_freq", "n_steps", "reward_scale")
    require(config, "not negative", "learning_starts", "learning_rate_final")
    require(config, "between 0 and 1", "gamma", "tau")
    if config.gradient_steps < 1 and config.gradient_steps != -1:
        raise ValueError(f"gradient_steps must be at least 1, or -1 for one per step, found {config.gradient_steps}")


def make_parts(
    config: Any,
    observation_space: gymnasium.Space,
    action_space: gymnasium.Space,
    seed: int | None,
    *,
    learner: Callable[..., Any],
    outputs: int,
    **policy: Any,
) -> Parts:
    """The parts of a config whose actor has so many `outputs` per number in an action.

    `learner` gets (config, actor, critics, scale, updates, seed), and `BoxPolicy` the keywords that are left.
    ValueError where a space does not fit.
    """
    name = algorithm_of(config)
    encoder = config.encoder(observation_space)
    require_actions(action_space, name)
    assert isinstance(action_space, Box)
    require_bounds(action_space, name)
    scale = BoxScale(action_space)
    actor, critics = make_actor_critics(
        encoder.encoded_space,
        outputs * scale.size,
        scale.size,
        hidden_sizes=config.hidden_sizes,
        network=config.network,
        seed=seeding.integer(seed, seeding.LEARNER),
    )
    burst = config.train_freq if config.gradient_steps == -1 else config.gradient_steps
    cadence = Cadence(config.learning_starts, config.train_freq, burst, config.batch_size)
    updates = cadence.updates(config.total_steps or DEFAULT_TOTAL_STEPS)
    rng = seeding.generator(seed, seeding.TABLE)
    return Parts(
        BoxPolicy(q_function(actor), scale, random_steps=config.learning_starts, **policy),
        learner(config, actor, critics, scale, updates, seeding.integer(seed, seeding.LEARNER, 1)),
        ReplayTable(config.buffer_size, rng, sampler=replay_sampler(config.prioritized, updates)),
        cadence,
        config.n_steps,
        config.gamma,
        encoder,
    )


def load_weights(module: nn.Module, weights: dict[str, Array]) -> None:
    """Load weights by name from arrays."""
    module.load_state_dict({name: torch.as_tensor(np.asarray(value)) for name, value in weights.items()})


class ActorCriticLearner:
    """What a learner of an actor and two critics shows, and how it is saved. SAC and TD3 say how it updates.

    Args:
        actor: the network whose outputs choose actions.
        critics: value normalised actions.
        scale: of the rows' actions.
        seed: of the noise that the learner draws.
    """

    def __init__(self, actor: nn.Module, critics: Critics, scale: BoxScale, seed: int) -> None:
        self._scale = scale
        self._actor, self._critics = Trained(actor), Trained(critics)
        self._noise = Noise(seed)
        self._updates = 0

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks that are trained, to look at."""
        return {"actor": self._actor.module, "critics": self._critics.module}

    def value(self, observations: Array, actions: Array) -> Array:
        """The lesser critic's Q float32 [B] of observations [B, *o] and actions [B, *a] as environments take them."""
        with torch.no_grad():
            action = torch.from_numpy(self._scale.into(actions))
            q: Tensor = self._critics.module(torch.from_numpy(observations), action)
            return q.min(0).values.numpy()

    def get_weights(self) -> dict[str, Array]:
        """Views of the actor's live weights by name: copy what you keep."""
        return weights_of(self._actor.module)

    def _parts(self) -> dict[str, Any]:
        """What is saved, by name."""
        return {"actor": self._actor, "critics": self._critics, "noise": self._noise}

    def state_dict(self) -> dict[str, Array | int]:
        """Every network, Adam's moments, the noise and the count of updates, as copies."""
        return {"updates": self._updates} | {
            f"{part}.{name}": value
            for part, owner in self._parts().items()
            for name, value in owner.state_dict().items()
        }

    def load_state_dict(self, state: dict[str, Array | int]) -> None:
        """Take back what `state_dict` gave."""
        for part, owner in self._parts().items():
            prefix = f"{part}."
            owner.load_state_dict({name[len(prefix) :]: v for name, v in state.items() if name.startswith(prefix)})
        self._updates = int(state["updates"])
