"""A run: what `train` returns and `load` reads back. It needs no actor.

It holds the trained agent, the metrics and the checkpoints, and can act, be evaluated and drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete, flatdim

from actorrl.rl.adapters import StepAgent
from actorrl.rl.seeding import agent_seed
from actorrl.rl.spaces import Encoder, as_action, can_flatten
from actorrl.training import checkpoints, curve
from actorrl.training.copies import copy_of
from actorrl.training.environment_source import EnvironmentSource
from actorrl.training.evaluation import CLOSING, Evaluation, Evaluator, Player
from actorrl.training.experiment import agent_of, arrangement_of, is_bare_name, trainees
from actorrl.training.filters import wrappers_of
from actorrl.training.names import passed_again
from actorrl.training.roles import Recipe, Snapshot
from actorrl.training.run_directory import CHECKPOINTS, Metrics, RunDirectory
from actorrl.training.views.captions import agent_name

Array = np.ndarray


class Run:
    """A finished run.

    Attributes:
        directory: Path of the run directory.
        config: what config.yaml holds: every setting of the run.
        agent: the trained agent as it was at the end; of an algorithm, a `StepAgent` with its parts.
        metrics: {column: array [rows]}, the columns of metrics.csv; NaN where a row has no value.
        checkpoints: {"best", "final"}: the directories of these checkpoints.
    """

    def __init__(
        self,
        directory: RunDirectory,
        recipes: Sequence[Recipe],
        source: EnvironmentSource,
        config: dict[str, Any],
        trust: bool,
        fresh: Mapping[str, Snapshot] | None = None,
    ) -> None:
        self.directory: Path = directory.path
        self.config = config
        self._recipes, self._recipe = recipes, recipes[0]  # of each agent; what all have in common is the first's
        self._directory, self._source, self._trust = directory, source, trust
        self.metrics: Mapping[str, Array] = Metrics.read(directory.path / "metrics.csv").arrays()
        there = {which: directory.checkpoint(which) for which in ("best", "final")}
        self.checkpoints: dict[str, Path] = {which: path for which, path in there.items() if path.exists()}
        # A bare agent of this very run keeps its class, and what its state_dict leaves out.
        self._agents: dict[str | int, Any] = {w: s.policy for w, s in (fresh or {}).items() if self._recipe.bare}
        self._rng = np.random.default_rng(self._recipe.seed)

    @property
    def agent(self) -> Any:
        """The trained agent as it was at the end; of several the one that was found to be the best."""
        return self._agent(self._last)

    @property
    def agents(self) -> list[Any]:
        """Every agent as it was at the end."""
        return [self._agent(number) for number in self._directory.agents()] or [self.agent]

    @property
    def _last(self) -> str:
        return "final" if "final" in self.checkpoints else "latest"

    def steps_of(self, which: str | int) -> int:
        """After how many environment steps a checkpoint was taken."""
        return int(checkpoints.about(self._existing(which))["steps"])

    def act(
        self, observation: Any, explore: bool = False, action_mask: Any = None, *, which: str | int | None = None
    ) -> Any:
        """What the agent does: the action for one observation, or a list or array of actions for a batch.

        Greedy unless `explore` (a bare agent without `greedy_action` always explores).

        Args:
            observation: one has the shape the environment gives; a batch is a sequence of these.
            explore: act as in training.
            action_mask: bool [n], the actions that are legal, or [B, n] of each observation of a batch.
            which: "best" or "final", or the number of one of several agents; the agent at the end where None.

        Raises:
            ValueError: the observation is neither, or the mask does not fit, or the agent takes none.
        """
        which = self._last if which is None else which
        if Encoder(self._recipe.observation_space).is_one(observation):
            return self._actions([observation], explore, action_mask, which)[0]
        actions = self._actions(self._batch(observation), explore, action_mask, which)
        return actions if self._recipe.bare else np.array(actions)

    def explain(self, observation: Any, which: str | int | None = None, action_mask: Any = None) -> dict[str, Any]:
        """What the agent makes of one observation, without exploration, beside the "action" that it would take.

        Of an algorithm "q" or "probabilities" of each action, "mean" and "std" of numbers, and "value", where it has
        these (see `StepAgent.explain`). A bare agent says what its own `explain(observation)` returns, if it has one.

        Args:
            observation: one, as the environment gives it.
            which: "best" or "final", or the number of one of several agents; the agent at the end where None.
            action_mask: bool [n], the actions that are legal.
        """
        which = self._last if which is None else which
        agent, space = self._agent(which), self._recipe.action_space
        if not self._recipe.bare:
            told = dict(agent.explain(observation, action_mask))
        elif hasattr(agent, "explain"):
            told = dict(agent.explain(observation))
        else:
            told = {}
        if "action" not in told:
            told = {"action": self._own_action(which, observation), **told}
        return {**told, "action": as_action(space, told["action"])}

    def _batch(self, observations: Any) -> list[Any]:
        """The observations of a batch. ValueError where they are none of the space."""
        space, batch = self._recipe.observation_space, []
        if isinstance(observations, Iterable) and not isinstance(observations, (str, Mapping)):
            batch = list(observations)
        if not batch or (can_flatten(space) and not all(map(Encoder(space).is_one, batch))):
            shape = np.shape(np.asarray(observations, object))
            found = f"an array of shape {shape}" if shape else f"{observations!r:.60}"
            raise ValueError(f"act takes one observation of {space}, or a batch of them; found {found}")
        return batch

    def _own_action(self, which: str | int, observation: Any, explore: bool = False) -> Any:
        """What a bare agent does for one observation."""
        agent = self._agent(which)
        if not explore and hasattr(agent, "greedy_action"):
            return agent.greedy_action(observation)
        return agent.get_action(observation, self.steps_of(which))

    def _actions(self, observations: list[Any], explore: bool, action_mask: Any, which: str | int) -> list[Any]:
        agent, space = self._agent(which), self._recipe.action_space
        masks = {} if action_mask is None else {"action_mask": self._mask(action_mask, len(observations))}
        if self._recipe.bare:
            actions = [self._own_action(which, observation, explore) for observation in observations]
        else:
            policy, encode = agent.parts.policy, agent.parts.encode
            batch = np.stack([encode(observation) if encode else observation for observation in observations])
            state = policy.initial_state(len(batch))
            actions = list(policy.act(batch, state, agent.steps, explore=explore, rng=self._rng, **masks).action)
        return [as_action(space, action) for action in actions]

    def _mask(self, action_mask: Any, count: int) -> Array:
        """bool [count, n]. ValueError where it is of another shape, or nobody takes one."""
        space = self._recipe.action_space
        if self._recipe.bare or not isinstance(space, (Discrete, MultiDiscrete)):
            what = "an agent of your own, which sees the observation alone" if self._recipe.bare else f"actions {space}"
            raise ValueError(f"action_mask is for algorithms that choose among n actions; found {what}: leave it out")
        mask, n = np.asarray(action_mask, np.bool_), flatdim(space)
        if mask.shape not in ((n,), (count, n)):
            of_each = f", or ({count}, {n}) of each observation" if count > 1 else ""
            raise ValueError(f"action_mask must have the shape ({n},) of the actions{of_each}; found {mask.shape}")
        return np.broadcast_to(mask, (count, n))

    def evaluate(
        self, episodes: int = 100, which: str | int = "best", *, render: bool = False, patience: float = float("inf")
    ) -> Evaluation:
        """Play fresh greedy episodes, raw returns; the same ones every time it is asked.

        Args:
            episodes: how many.
            which: "best" or "final", or the number of one of several agents, as it was at the end.
            render: show them on the screen, one environment at a time.
            patience: seconds after which fewer episodes are enough.

        Returns:
            The mean return, a float that also has `.mean`, `.std`, `.returns` and `.lengths`.
        """
        if episodes < 1:
            raise ValueError(f"episodes must be at least 1, found {episodes}")
        player = self.player(which)
        evaluator = Evaluator(self._source, player.encode, self._recipe.seed, first=CLOSING, render=render)
        try:
            if render:
                return evaluator.shown(player, episodes)
            return evaluator.audition(player, episodes, patience).finish()
        finally:
            evaluator.close()

    def plot(self) -> Path:
        """Draw the learning curve into curve.png again; its path."""
        path = self.directory / "curve.png"
        curve.save(curve.of_run(self.directory, self._source.name), path)
        return path

    @property
    def source(self) -> EnvironmentSource:
        """Where its environments come from."""
        return self._source

    @property
    def seed(self) -> int:
        """The seed of its first agent."""
        return self._recipe.seed

    @property
    def name(self) -> str:
        """What its algorithm is called, or the class of a bare agent; of several different agents all of them."""
        return agent_name(self.config)

    def player(self, which: str | int) -> Player:
        """A greedy player that is a copy of a checkpoint's agent."""
        agent = self._agent(which)
        if self._recipe.bare:
            return Player.of_agent(copy_of(agent), self._recipe.action_space)
        return Player(copy_of(agent.parts.policy), agent.parts.encode, True)

    def _agent(self, which: str | int) -> Any:
        if which not in self._agents:
            self._agents[which] = self._restored(self._existing(which))
        return self._agents[which]

    def _existing(self, which: str | int) -> Path:
        directory = self._directory.agent(which) if isinstance(which, int) else self._directory.checkpoint(which)
        if not directory.exists():
            raise FileNotFoundError(f"{self.directory} has no checkpoint {which!r}: the run did not get that far")
        return directory

    def _restored(self, directory: Path) -> Any:
        if checkpoints.is_pickle(directory):
            return checkpoints.load_pickle(directory, trust=self._trust)
        if self._recipe.bare:
            agent = copy_of(self._recipe.agent)
        else:
            recipe = self._recipes[int(checkpoints.about(directory).get("agent", 0))]
            agent = StepAgent(recipe.build(), recipe.seed)
        agent.load_state_dict(checkpoints.load_state(directory))
        return agent

    def __repr__(self) -> str:
        return f"<Run {self.directory}: {self.name}, {self.config['steps']:,} steps>"


def load(
    run_dir: str | Path, *, trust: bool = False, agent: Any = None, env: Any = None, wrappers: Sequence[Any] = ()
) -> Run:
    """Read a run back from its directory. No actor is started, and nothing in the files is executed.

    Args:
        run_dir: the directory.
        trust: open `agent.pkl`, a pickle, which can run any code.
        agent: for an agent with a state_dict whose class cannot be made without arguments: an instance to fill.
        env: for an environment that had no name (a lambda, an instance): the same again.
        wrappers: for wrappers of which one had no name (a lambda, a partial, a class of the script): all of them again.

    Raises:
        FileNotFoundError: no run directory. ValueError: what config.yaml names cannot be found.
    """
    directory = RunDirectory.existing(run_dir)
    config = directory.read_config()
    env = config["env"] if env is None else env
    if env is None:
        raise ValueError(
            "the environment of this run has no name that a file could hold: pass it again, load(run_dir, env=...)"
        )
    given = wrappers_of(wrappers)
    with directory.of_version():
        with passed_again("load(run_dir, wrappers=[...])"):
            given = given or wrappers_of(config["wrappers"])
        named, arrangement = config["agent"], arrangement_of(config["arrangement"])
        bare = named is not None and is_bare_name(str(named["name"]))
        if agent is None and named is not None and not (bare and _pickled(directory)):
            agent = _made_again(named, bare)
        each = trainees(agent, arrangement, config["steps"])
    source, seed = EnvironmentSource(env, given), int(config["seed"])
    spaces = source.spaces()
    recipes = [Recipe(one, bare, *spaces, agent_seed(seed, j)) for j, one in enumerate(each)]
    return Run(directory, recipes, source, config, trust)


def _pickled(directory: RunDirectory) -> bool:
    return any(checkpoints.is_pickle(directory.checkpoint(which)) for which in CHECKPOINTS)


def _made_again(tree: dict[str, Any], bare: bool) -> Any:
    try:
        return agent_of(tree)
    except ValueError as error:
        name = str(tree["name"])
        if not bare and ":" not in name:  # one of ours
            raise ValueError(f"{name} cannot be made of what config.yaml says of this run's agent: {error}") from error
        raise ValueError(
            f"this run's agent is a {name} and cannot be made again by that name ({error}): pass an instance to fill "
            f"with what was learned, load(run_dir, agent={name.rpartition(':')[2].rpartition('.')[2]}(...))"
        ) from error
