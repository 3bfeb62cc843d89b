"""Two small adapters: a bare agent under an Explorer, and an algorithm in a loop of the user's own.

`PerStep(agent)` is policy and sink at once, so that the Explorer drives an object that only knows `get_action` and
`update`. `StepAgent(parts)` is the other way round: it gives an algorithm `get_action` and `update`.
"""

from __future__ import annotations

import inspect
from typing import Any

import gymnasium
import numpy as np

from actorrl.rl.cadence import Updates
from actorrl.rl.nouns import Acted, Array, Parts, Stepped
from actorrl.rl.spaces import as_action
from actorrl.rl.windows import NStepWindow, Step, StepWindow


class PerStep:
    """Drives a bare Agent from an Explorer, as its policy and its sink.

    `agent.update` gets `truncated` and `environment` by name where its signature has them; `agent.get_actions` is
    used where there is one. Both flags set: terminated wins.

    Args:
        agent: the user's object.
        action_space: actions become Python ints (Discrete) or float32 arrays (Box) before anyone else sees them.
        greedy: act with `greedy_action` where the agent has one.
    """

    phase = "update"
    """What `add` is, to whoever times it."""

    def __init__(self, agent: Any, action_space: gymnasium.Space | None = None, *, greedy: bool = False) -> None:
        self.agent = agent
        self._action_space = action_space
        self._one = getattr(agent, "greedy_action", None) if greedy else None
        self._many = None if self._one else getattr(agent, "get_actions", None)
        self._optional = optional_arguments(agent.update)

    @property
    def window(self) -> StepWindow:
        """The window the Explorer is to use: every step as it is."""
        return StepWindow()

    def initial_state(self, B: int) -> tuple[()]:
        return ()

    def act(self, observations: Any, state: Any, step: int, *, explore: bool, rng: np.random.Generator) -> Acted:
        """Ask the agent; the i-th of several single calls gets `step + i`."""
        if self._one is not None:
            actions = [self._one(observation) for observation in observations]
        elif self._many is not None:
            actions = list(self._many(observations, step))
        else:
            actions = [self.agent.get_action(o, step + i) for i, o in enumerate(observations)]
        if self._action_space is not None:
            actions = [as_action(self._action_space, action) for action in actions]
        return Acted(actions, state, {})  # type: ignore[arg-type]

    def set_weights(self, weights: dict[str, Array], version: int) -> None:
        raise TypeError("a bare Agent keeps its own weights; PerStep has none to set")

    def add(self, items: list[Step]) -> None:
        """Pass each step to `agent.update`."""
        for step in items:
            optional: dict[str, Any] = {}
            if "truncated" in self._optional:
                optional["truncated"] = step.truncated
            if "environment" in self._optional:
                optional["environment"] = step.environment
            self.agent.update(
                step.observation, step.action, step.reward, step.observation_next, step.terminated, **optional
            )


def optional_arguments(update: Any) -> set[str]:
    """Which of `truncated` and `environment` the user's `update` takes by name."""
    parameters = inspect.signature(update).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return {"truncated", "environment"}
    by_name = [
        name
        for i, (name, parameter) in enumerate(parameters.items())
        if i >= 5 or parameter.kind is parameter.KEYWORD_ONLY
    ]
    return {"truncated", "environment"} & set(by_name)


class _OneLane:
    """Steps of one environment, one at a time, for a window of whole lanes."""

    def __init__(self, window: Any) -> None:
        self._window = window
        self._last: Step | None = None

    def add(self, step: Step) -> None:
        if step.environment:
            raise ValueError(f"fragments here are of one environment, found environment={step.environment}")
        if not step.extras:
            raise RuntimeError("update() without a get_action() before it: how likely the action was is not known")
        last = self._last
        if last is None:
            self._window.begin(0, step.observation[None], None)
        else:
            ended = {0: last.observation_next} if last.terminated or last.truncated else {}
            flags = np.array([last.terminated]), np.array([last.truncated])
            reward = np.array([last.reward], np.float32)
            stepped = Stepped(step.observation[None], reward, *flags, ended)
            self._window.add(0, last.action[None], last.extras, stepped)
        self._last = step


def _masks(action_mask: Any) -> dict[str, Array]:
    return {} if action_mask is None else {"action_mask": np.asarray(action_mask, np.bool_)[None]}


def _plain(action: Any) -> Any:
    return action.item() if np.ndim(action) == 0 else action


class StepAgent:
    """Gives an algorithm's parts `get_action` and `update`, for a loop of the user's own.

        agent = StepAgent(DQNConfig().build(env.observation_space, env.action_space, seed=0))
        action = agent.get_action(observation, step)
        agent.update(observation, action, reward, observation_next, terminated, truncated=truncated)

    What learns from fragments (PPO) takes a step in when the one after it comes, since only then the observation is
    known that a new episode began with; it plays one environment, after whose `update` come its `get_action` and the
    next `update`.

    Args:
        parts: what a config's `build` returned.
        seed: of exploration.
    """

    def __init__(self, parts: Parts, seed: int | None = None) -> None:
        self.parts = parts
        self.steps = 0
        self._rng = np.random.default_rng(seed)
        self._window = getattr(parts.table, "window", None) or NStepWindow(parts.n_steps, parts.gamma)
        self._fragments = _OneLane(self._window) if getattr(self._window, "vector", False) else None
        self._extras: dict[str, Array] = {}
        self._updates = Updates(parts)

    def get_action(self, observation: Any, step: int | None = None) -> Any:
        """An action with exploration. `step` is the environment steps so far; the agent's own count by default."""
        return self._act(observation, self.steps if step is None else step, explore=True)

    def greedy_action(self, observation: Any, action_mask: Any = None) -> Any:
        """An action without exploration; of those that are legal, where `action_mask` bool [n] says which."""
        return self._act(observation, self.steps, explore=False, action_mask=action_mask)

    def explain(self, observation: Any, action_mask: Any = None) -> dict[str, Any]:
        """What the agent makes of one observation, without exploration.

        Returns:
            "action", and what the algorithm has of these: "q" float32 [n] or "probabilities" float32 [n] of Discrete
            actions (of a MultiDiscrete's dimensions side by side), "mean" and "std" float32 [*a] of Box actions,
            "value" a float: what it expects of acting like this, as it counts rewards.
        """
        policy: Any = self.parts.policy
        batch = self._encoded(observation)[None]
        masks = _masks(action_mask)
        acted = policy.act(batch, policy.initial_state(1), self.steps, explore=False, rng=self._rng, **masks)
        told = policy.explain(batch, **masks) if hasattr(policy, "explain") else {}
        explained = {"action": _plain(acted.action[0]), **{name: values[0] for name, values in told.items()}}
        if "q" in explained:
            explained["value"] = float(explained["q"].max())
        elif hasattr(self.parts.learner, "value"):
            value = self.parts.learner.value(batch, acted.action)
            explained |= {} if value is None else {"value": float(value[0])}
        return explained

    def _act(self, observation: Any, step: int, *, explore: bool, action_mask: Any = None) -> Any:
        policy: Any = self.parts.policy
        batch = self._encoded(observation)[None]
        acted = policy.act(batch, policy.initial_state(1), step, explore=explore, rng=self._rng, **_masks(action_mask))
        if explore:
            self._extras = acted.extras
        return _plain(acted.action[0])

    def _encoded(self, observation: Any) -> Array:
        return np.asarray(observation) if self.parts.encode is None else self.parts.encode(observation)

    def update(
        self,
        observation: Any,
        action: Any,
        reward: float,
        observation_next: Any,
        terminated: bool,
        truncated: bool = False,
        environment: int = 0,
    ) -> None:
        """Take one step in and do the updates that are due. On truncation `observation_next` is the true last one."""
        self.steps += 1
        step = Step(
            environment,
            self._encoded(observation),
            np.asarray(action),
            self._extras,
            float(reward),
            self._encoded(observation_next),
            bool(terminated),
            bool(truncated) and not terminated,
        )
        (self._fragments or self._window).add(step)
        if (rows := self._window.take()) is not None:
            self.parts.table.add(rows)
        self._updates.steps_taken(self.steps)
        while self._updates.outstanding:
            self._updates.one()
        self._updates.push()

    def metrics(self) -> dict[str, float]:
        """The latest figures of the learner and the policy."""
        return self._updates.metrics(self.steps)

    def state_dict(self) -> dict[str, Any]:
        """Everything learned, as numpy arrays and numbers under flat names."""
        return {"steps": self.steps, **self._updates.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.steps = int(state["steps"])
        self._updates.load_state_dict(state)
