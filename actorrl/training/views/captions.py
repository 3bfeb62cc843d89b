"""What a run is called: in a title, in a legend, in a table. Of config.yaml alone: nothing is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from actorrl.training.arrangements import ARRANGEMENTS
from actorrl.training.evaluation import EvaluationPlan
from actorrl.training.experiment import ALGORITHMS

WITHOUT = ("seed", "evaluation", "callbacks")
MOST = 3
"""Settings that a legend names, of those by which runs differ."""


def counted(number: int, what: str) -> str:
    """1 agent, 2 agents."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def agent_name(config: Mapping[str, Any]) -> str:
    """DQN, or the class of one's own agent; of several different agents all of them."""
    arrangement = config.get("arrangement") or {}
    several = arrangement.get("agents")
    agents = several if isinstance(several, list) else [config.get("agent")]
    return " and ".join(dict.fromkeys(_short(str((agent or {}).get("name", "agent"))) for agent in agents))


def _short(name: str) -> str:
    if name in ALGORITHMS:
        return ALGORITHMS[name].__name__.removesuffix("Config")
    return name.rpartition(":")[2].rpartition(".")[2]


def environment_name(config: Mapping[str, Any]) -> str:
    """CartPole-v1; with the keywords it was made with, so that other keywords are another environment."""
    env = config.get("env")
    if env is None:
        return "an environment without a name"
    if isinstance(env, Mapping):
        keywords = ", ".join(f"{key}={value}" for key, value in env.items() if key != "name")
        return f"{_after_module(str(env.get('name')))}({keywords})" if keywords else _after_module(str(env.get("name")))
    return _after_module(str(env))


def _after_module(name: str) -> str:
    return name.rpartition(":")[2]


def placed(config: Mapping[str, Any]) -> str:
    """The arrangement in words."""
    arrangement = config.get("arrangement")
    if arrangement is None:
        return "one process"
    kind = ARRANGEMENTS.get(arrangement["name"])
    name = _after_module(arrangement["name"]) if kind is None else kind.__name__
    if "explorers" in arrangement:
        explorers = counted(arrangement["explorers"], "explorer")
        each = counted(arrangement["environments_per_explorer"], "environment")
        served = ", served" if arrangement.get("inference") == "served" else ""
        return f"{name} {arrangement.get('mode', '')}{served}, {explorers} with {each} each"
    several = arrangement.get("agents")
    many = [] if several is None else [counted(len(several) if isinstance(several, list) else several, "agent")]
    return ", ".join([name, *many, counted(arrangement.get("environments", 1), "environment")])


def title(config: Mapping[str, Any], environment: str | None = None) -> tuple[str, str]:
    """A title and a line under it."""
    where = environment or environment_name(config)
    return f"{agent_name(config)} on {where}", f"{placed(config)} · seed {config.get('seed')}"


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """{"agent.gamma": 0.99, ...} of a configuration."""
    if isinstance(tree, Mapping) and tree:
        return {key: value for name, below in tree.items() for key, value in flat(below, f"{prefix}{name}.").items()}
    return {prefix[:-1]: tree}


def defaults(key: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the settings of an agent, an arrangement or an evaluation are where a file does not say."""
    name = str(settings.get("name"))
    kinds = {"agent": ALGORITHMS.get(name), "arrangement": ARRANGEMENTS.get(name), "evaluation": EvaluationPlan}
    kind: Any = kinds.get(key)
    fields = () if kind is None else dataclasses.fields(kind)
    return {one.name: one.default for one in fields if one.default is not dataclasses.MISSING}


def learning(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that say how and what is learned, flat; those of an older file that it does not name, too.

    Runs in which these are the same are one configuration: neither the seed nor how often was evaluated counts.
    """
    settings: dict[str, Any] = {}
    for key, value in config.items():
        if key not in WITHOUT:
            settings |= flat({**defaults(key, value), **value} if isinstance(value, Mapping) else value, f"{key}.")
    told = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
    return {key: value for key, value in told.items() if value is not None and value != []}


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings, other than the seed and the environment, that are not the same in all of these."""
    settings = [learning(config) for config in configs]
    names = dict.fromkeys(name for one in settings for name in one)
    kept = [name for name in names if name.partition(".")[0] != "env"]
    return [name for name in kept if len({repr(one.get(name)) for one in settings}) > 1]


def legends(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A label for each of several configurations: the agent, and the settings by which those of one agent differ."""
    names = [agent_name(config) for config in configs]
    labels = []
    for config, name in zip(configs, names, strict=True):
        kin = [other for other, other_name in zip(configs, names, strict=True) if other_name == name]
        labels.append(" · ".join([name, *_told(config, differing(kin))] if len(kin) > 1 else [name]))
    return labels


def _told(config: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The settings of these names in words; those of an arrangement are one: how it is placed."""
    settings, told = learning(config), []
    if any(name.partition(".")[0] == "arrangement" for name in names):
        told.append(placed(config))
    own = [name for name in names if name.partition(".")[0] != "arrangement"]
    # The number of steps is what the axis shows: it is named only where nothing else is different.
    own = [name for name in own if name != "steps"] or own
    for name in own[:MOST]:
        told.append(f"{name.rpartition('.')[2]} {_text(settings.get(name))}")
    return [*told, "…"] if len(own) > MOST else told


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
