"""actorrl: actors for Python, and distributed reinforcement learning on top of them.

Put `@remote` on a function or a class, or `@startat` where an actor should live, and each becomes a process that
owns its state and handles one message at a time. On that stand agents, environments and replay buffers as actors.

The house has five floors. Imports only ever go down, and `actor` and `rl` have never heard of each other:

    cli/        floor 4   the command line: `actorrl train | evaluate | list | show`
    training/   floor 3   the seam: train, load, Run; the arrangements None, Central, SharedReplay, Dataflow;
                          presets, evaluation, run directories, pictures
    rl/         floor 2   algorithms as plain objects and pure functions: configs, policies, learners, tables,
                          the Explorer loop. No processes, no sockets
    actor/      floor 1   the runtime: remote, startat, futures, mailboxes, engines. No reinforcement learning, no torch
    errors.py   floor 0   the tree of errors, drawn

Where to look first:

    write an actor                  remote, startat                         docs/actors.md
    get an answer                   fetch, wait, as_completed, Future
    end one                         stop, kill, watch, System, shutdown
    look at what runs               actors, current, get_actor
    train something                 train, resume, load, Run                docs/agents.md, docs/environments.md
    use what was trained            sweep                                   docs/using.md
    look at a run                   Run.plot, Run.explain; plot, report     docs/watching.md
    find good settings              tune                                    docs/tuning.md
    choose who talks to whom        Central, SharedReplay, Dataflow         docs/arrangements.md
    choose an algorithm             DQNConfig, SACConfig, TD3Config, PPOConfig, A2CConfig, ImpalaConfig, ...
    write a loop of your own        StepAgent, PerStep, Explorer, Parts

Every public name below is imported on first use (PEP 562), so `import actorrl` costs milliseconds and loads neither
torch nor gymnasium nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from actorrl._version import __version__ as __version__

if TYPE_CHECKING:
    from actorrl import errors
    from actorrl.actor import (
        ActorRef,
        Future,
        System,
        actors,
        as_completed,
        batched,
        cancelled,
        current,
        fetch,
        get_actor,
        group,
        init,
        kill,
        remote,
        share,
        shutdown,
        startat,
        stop,
        wait,
        watch,
    )
    from actorrl.rl import (
        A2CConfig,
        DQNConfig,
        Explorer,
        ImpalaConfig,
        Parts,
        PerStep,
        PPOConfig,
        QLearningConfig,
        ReinforceConfig,
        SACConfig,
        StepAgent,
        TD3Config,
    )
    from actorrl.training import Central, Dataflow, Run, SharedReplay, load, resume, sweep, train, tune

__all__ = [
    "A2CConfig",
    "ActorRef",
    "Central",
    "DQNConfig",
    "Dataflow",
    "Explorer",
    "Future",
    "ImpalaConfig",
    "PPOConfig",
    "Parts",
    "PerStep",
    "QLearningConfig",
    "ReinforceConfig",
    "Run",
    "SACConfig",
    "SharedReplay",
    "StepAgent",
    "System",
    "TD3Config",
    "actors",
    "as_completed",
    "batched",
    "cancelled",
    "current",
    "errors",
    "fetch",
    "get_actor",
    "group",
    "init",
    "kill",
    "load",
    "remote",
    "resume",
    "share",
    "shutdown",
    "startat",
    "stop",
    "sweep",
    "train",
    "tune",
    "wait",
    "watch",
]

# Who owns the names that are not the runtime's.
_RL = {"Explorer", "Parts", "PerStep", "StepAgent", *(name for name in __all__ if name.endswith("Config"))}
_TRAINING = {"Central", "Dataflow", "Run", "SharedReplay", "load", "resume", "sweep", "train", "tune"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'actorrl' has no attribute {name!r}; its public names are in actorrl.__all__")
    if name == "errors":
        return importlib.import_module("actorrl.errors")
    home = "actorrl.rl" if name in _RL else "actorrl.training" if name in _TRAINING else "actorrl.actor"
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
