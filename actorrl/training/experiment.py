"""What is to be trained: the arguments of `train` with a preset's or a file's values under them, checked.

    preset or file (a tree of plain values)  ──►  Experiment  ──►  config.yaml (the same tree, every value in it)
    arguments of train ─────────────────────────────┘

`train` and the command line make one; `load` reads one back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from actorrl.rl.a2c import A2CConfig
from actorrl.rl.dqn import DQNConfig
from actorrl.rl.impala import ImpalaConfig
from actorrl.rl.ppo import PPOConfig
from actorrl.rl.qlearning import QLearningConfig
from actorrl.rl.reinforce import ReinforceConfig
from actorrl.rl.sac import SACConfig
from actorrl.rl.td3 import TD3Config
from actorrl.training import presets
from actorrl.training.arrangements import ARRANGEMENTS, Dataflow, SharedReplay
from actorrl.training.callbacks import made, written_callback
from actorrl.training.evaluation import EvaluationPlan
from actorrl.training.fields import changed, converted, from_mapping, to_mapping
from actorrl.training.filters import named, wrappers_of
from actorrl.training.lines import lines_of, located
from actorrl.training.names import did_you_mean, name_of, or_yours, resolve
from actorrl.training.presets import find
from actorrl.training.run_directory import KEYS
from actorrl.training.stopping import StopPlan

ALGORITHMS: dict[str, type] = {
    "a2c": A2CConfig,
    "dqn": DQNConfig,
    "impala": ImpalaConfig,
    "ppo": PPOConfig,
    "qlearning": QLearningConfig,
    "reinforce": ReinforceConfig,
    "sac": SACConfig,
    "td3": TD3Config,
}
ENGINES = ("processes", "inline", "ray")


class Origin(NamedTuple):
    """Where an experiment stands, for errors that come to light later than when it is read."""

    file: str = ""
    lines: Mapping[str, int] = {}
    but: tuple[str, ...] = ()
    """Keys that options or arguments gave, which are none of the file's."""


@dataclass
class Experiment:
    """One training run, before anything has been started."""

    agent: Any
    env: Any = None
    arrangement: Any = None
    engine: str = "processes"
    steps: int | None = None
    seed: int = 0
    wrappers: tuple[Any, ...] = ()
    callbacks: tuple[Any, ...] = ()
    evaluation: EvaluationPlan = field(default_factory=EvaluationPlan)
    stop: StopPlan = field(default_factory=StopPlan)
    name: str = ""
    agent_tree: dict[str, Any] | None = None
    """How a file named the agent, where one did."""
    callback_items: tuple[Any, ...] = ()
    """How a file names the callbacks."""
    origin: Origin = field(default_factory=Origin)

    @classmethod
    def of(cls, agent: Any, **arguments: Any) -> Experiment:
        """From `train`'s arguments: `agent` is a preset's name, a config or an agent; None arguments are not given."""
        if isinstance(agent, str):
            experiment = read(agent)
        else:
            experiment = cls(agent, name=_name_of_agent(agent))
        for key, value in arguments.items():
            if value is not None and not (isinstance(value, tuple) and not value):
                plan = key in ("evaluation", "stop")
                setattr(experiment, key, changed(getattr(experiment, key), value, key) if plan else value)
                experiment.origin = experiment.origin._replace(but=(*experiment.origin.but, key))
                if key == "callbacks":
                    experiment.callback_items = ()
                if key == "wrappers":
                    experiment.wrappers = wrappers_of(value)
        if isinstance(experiment.arrangement, str):
            experiment.arrangement = arrangement_of(experiment.arrangement)
        return experiment.checked()

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any], name: str) -> Experiment:
        """From what a YAML file holds. ValueError for unknown names and values that do not fit."""
        tree = {str(key).replace("-", "_"): value for key, value in tree.items()}
        tree.pop("search", None)  # for `tune`
        for key in tree:
            if key not in KEYS:
                raise ValueError(f"{key} is not known{did_you_mean(key, KEYS)}")
        arrangement = arrangement_of(tree.get("arrangement"))
        if not tree.get("agent") and not _has_agents(arrangement):
            raise ValueError("agent is missing: name an algorithm (agent: {name: dqn}) or your own class")
        named = tree.get("agent")
        agent: Mapping[str, Any] = named if isinstance(named, Mapping) else {"name": named}
        plain = {key: tree[key] for key in ("engine", "steps", "seed") if tree.get(key) is not None}
        return cls(
            agent_of(agent) if named else None,
            tree.get("env"),
            arrangement,
            wrappers=wrappers_of(tree.get("wrappers")),
            callbacks=callbacks_of(tree.get("callbacks")),
            callback_items=_listed(tree.get("callbacks")),
            stop=from_mapping(StopPlan, _section(tree, "stop"), "stop"),
            evaluation=from_mapping(EvaluationPlan, _section(tree, "evaluation"), "evaluation"),
            name=name,
            agent_tree=dict(agent) if named else None,
            **plain,
        )

    def checked(self) -> Experiment:
        """Itself, with numbers as numbers. Refuses what is missing, wrong, or not built yet."""
        self.callback_items = self.callback_items or tuple(map(written_callback, self.callbacks))
        self.callbacks = tuple(made(callback) for callback in self.callbacks)
        if self.agent is None and not _has_agents(self.arrangement):
            raise TypeError("agent is missing: train takes a preset's name, a config or your own object first")
        if self.env is None:
            raise TypeError("env is missing: train(agent, env) takes an id, a factory or an instance")
        if self.steps is None:
            raise TypeError("steps is missing: train(agent, env, steps=N) says how many environment steps to make")
        self.steps = _whole(self.steps, "steps", 1)
        self.seed = _whole(self.seed, "seed", 0)
        self.require_engine()
        return self

    def require_engine(self) -> None:
        """Refuse (ValueError) an engine nobody knows."""
        if self.engine not in ENGINES:
            raise ValueError(f"engine {self.engine!r} is not known{did_you_mean(str(self.engine), ENGINES)}")

    def trainees(self) -> list[Any]:
        """The configs as they are to be trained: schedules stretch over an agent's own steps where it does not say."""
        return trainees(self.agent, self.arrangement, self.steps)

    @property
    def bare(self) -> bool:
        """Whether the agent is the user's own object rather than a config with `build`."""
        return self.agent is not None and not is_config(self.agent)

    def to_tree(self, env: Any) -> dict[str, Any]:
        """Every value, as YAML holds it; `env` is how the environment is named there."""
        arrangement = self.arrangement
        return {
            "env": env,
            "agent": self._agent_tree(),
            "arrangement": None if arrangement is None else self._arrangement_tree(),
            "engine": self.engine,
            "wrappers": [named(wrap) for wrap in self.wrappers],
            "callbacks": list(self.callback_items),
            "steps": self.steps,
            "seed": self.seed,
            "evaluation": to_mapping(self.evaluation),
            "stop": to_mapping(self.stop),
        }

    def _arrangement_tree(self) -> dict[str, Any]:
        """SharedReplay with every agent's config, so that `vary` and a preset's agent are written out."""
        arrangement = self.arrangement
        tree = {"name": _key_of(arrangement), **to_mapping(arrangement)}
        if isinstance(arrangement, SharedReplay) and (arrangement.vary or not isinstance(arrangement.agents, int)):
            tree |= {"agents": [_config_tree(config) for config in arrangement.configs(self.agent)], "vary": None}
        return tree

    def _agent_tree(self) -> dict[str, Any] | None:
        if self.agent is None:
            return None
        if not self.bare:
            return _config_tree(self.agent)
        return self.agent_tree or {"name": _class_name(self.agent)}


def _has_agents(arrangement: Any) -> bool:
    """Whether the arrangement brings a config for each agent."""
    return isinstance(arrangement, SharedReplay) and not isinstance(arrangement.agents, int)


def _config_tree(config: Any) -> dict[str, Any]:
    kind = type(config)
    named = [name for name, known in ALGORITHMS.items() if known is kind]
    return {"name": named[0] if named else name_of(kind), **to_mapping(config)}


def is_config(agent: Any) -> bool:
    """Whether this is an algorithm's config: a dataclass instance that can `build` parts."""
    return (
        not isinstance(agent, type)
        and dataclasses.is_dataclass(agent)
        and hasattr(agent, "build")
        and not hasattr(agent, "get_action")
    )


def trainees(agent: Any, arrangement: Any, steps: int | None) -> list[Any]:
    """The config of each agent of an arrangement, with the steps that its schedules stretch over."""
    each = arrangement.configs(agent) if isinstance(arrangement, SharedReplay) else [agent]
    if isinstance(arrangement, Dataflow) and hasattr(agent, "n_envs"):  # an update is made of all of them
        each = [dataclasses.replace(agent, n_envs=arrangement.environments)]
    return [with_schedule(one, None if steps is None else max(1, steps // len(each))) for one in each]


def with_schedule(agent: Any, steps: int | None) -> Any:
    """A config whose `total_steps` are `steps` unless it says otherwise; anything else as it is."""
    if is_config(agent) and getattr(agent, "total_steps", 0) is None:
        return dataclasses.replace(agent, total_steps=steps)
    return agent


def is_bare_name(name: str) -> bool:
    """Whether a file's agent name means a class of the user's rather than a config."""
    try:
        return not hasattr(_algorithm(name), "build")
    except ValueError:
        return True


def agent_of(tree: Mapping[str, Any], where: str = "agent") -> Any:
    """A config, or the user's own agent, of what a file says: {name, ...}; `where` it does."""
    values = {str(key): value for key, value in tree.items()}
    name = str(values.pop("name", ""))
    kind = _algorithm(name)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and hasattr(kind, "build"):
        return from_mapping(kind, values, where)
    if not isinstance(kind, type) or not (hasattr(kind, "get_action") and hasattr(kind, "update")):
        raise ValueError(f"agent {name!r} is neither a config with build nor a class with get_action and update")
    try:
        return kind(**{key.replace("-", "_"): value for key, value in values.items()})
    except TypeError as error:
        raise ValueError(f"agent {name!r} cannot be made of {values}: {error}") from error


def _algorithm(name: str) -> Any:
    short = name.lower().replace("-", "").replace("_", "")
    for known, config in ALGORITHMS.items():
        if short in (known, config.__name__.lower()):
            return config
    if ":" not in name:
        raise ValueError(f"agent {name!r} is not known{or_yours(name, ALGORITHMS)}")
    return resolve(name, "agent")


def arrangement_of(tree: Any) -> Any:
    """An arrangement of what a file says: {name, ...}, a name, or none."""
    if tree is None or tree == "none" or tree == "None":
        return None
    values = dict(tree) if isinstance(tree, Mapping) else {"name": tree}
    name = str(values.pop("name", "central"))
    if name.lower() == "none":
        return None
    short = name.lower().replace("-", "").replace("_", "")
    for known, kind in ARRANGEMENTS.items():
        if short == known.replace("-", ""):
            if kind is SharedReplay and isinstance(values.get("agents"), (list, tuple)):
                values["agents"] = [_one_of_several(one, i) for i, one in enumerate(values["agents"])]
            return from_mapping(kind, values, "arrangement")
    if ":" in name:
        return from_mapping(resolve(name, "arrangement"), values, "arrangement")
    raise ValueError(f"arrangement {name!r} is not known{did_you_mean(name.lower(), [*ARRANGEMENTS, 'none'])}")


def _one_of_several(tree: Any, i: int) -> Any:
    """An agent of an arrangement's list: {name, ...} or a name; ValueErrors say which. A config is one already."""
    where = f"arrangement.agents[{i}]"
    try:
        return tree if is_config(tree) else agent_of(tree if isinstance(tree, Mapping) else {"name": tree}, where)
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith(where) else f"{where}: {error}") from error


def _key_of(arrangement: Any) -> str:
    return next(name for name, kind in ARRANGEMENTS.items() if kind is type(arrangement))


def _section(tree: Mapping[str, Any], key: str) -> Any:
    """What a file says under a key; no values where it does not."""
    return {} if tree.get(key) is None else tree[key]


def _listed(items: Any) -> tuple[Any, ...]:
    if items is None or isinstance(items, (str, Mapping)):
        return () if items is None else (items,)
    if not isinstance(items, Iterable):
        raise ValueError(f"callbacks must be a list of names (module:Class), found {items!r}")
    return tuple(items)


def callbacks_of(items: Any) -> tuple[Any, ...]:
    """Callbacks of what a file says: a list of `module:Class`, or of {name, keywords for it}; each is made."""
    callbacks = []
    for item in _listed(items):
        keywords = dict(item) if isinstance(item, Mapping) else {"name": item}
        kind = resolve(str(keywords.pop("name", "")), "the callback")
        try:
            callbacks.append(kind(**keywords) if isinstance(kind, type) else kind)
        except TypeError as error:
            name = item["name"] if isinstance(item, Mapping) else item
            raise ValueError(f"the callback {name} cannot be made of {keywords}: {error}") from error
    return tuple(callbacks)


def _class_name(thing: Any) -> str:
    return name_of(type(thing)) or type(thing).__name__


def _whole(value: Any, what: str, least: int) -> int:
    try:
        number = converted(value, int, what)
    except ValueError:
        number = None
    if number is None or number < least:
        raise ValueError(f"{what} must be an integer of at least {least}, found {value!r}")
    return int(number)


def _name_of_agent(agent: Any) -> str:
    for name, config in ALGORITHMS.items():
        if isinstance(agent, config):
            return name
    return type(agent).__name__.lower()


def read_overrides(tree: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with `dotted.key: value` pairs put in; hyphens are underscores. ValueError for a key nobody knows."""
    tree = {key: dict(value) if isinstance(value, Mapping) else value for key, value in tree.items()}
    for dotted, value in overrides.items():
        head, _, rest = dotted.replace("-", "_").partition(".")
        if head not in KEYS:
            raise ValueError(f"{dotted} is not known{did_you_mean(head, KEYS)}")
        if not rest:
            tree[head] = value
            continue
        below = tree.get(head)
        tree[head] = {**(below if isinstance(below, dict) else {"name": below} if below else {}), rest: value}
    return tree


def read(name: str, overrides: Mapping[str, Any] | None = None) -> Experiment:
    """The experiment of a preset or a YAML file, with options over it; not `checked` yet.

    Raises:
        ValueError: what does not fit, with the line of the file. FileNotFoundError: no such file.
    """
    options = overrides or {}
    tree, called = find(name)
    lines = lines_of(presets.read(name)[0], name)
    with located(str(name), lines, options):
        experiment = Experiment.from_tree(read_overrides(tree, options), called)
        for key, least in (("steps", 1), ("seed", 0)):
            if getattr(experiment, key) is not None:
                setattr(experiment, key, _whole(getattr(experiment, key), key, least))
        experiment.require_engine()
    experiment.origin = Origin(str(name), lines, tuple(options))
    return experiment
