"""The arrangements a user can name: who talks to whom. `train` reads them; `wiring.py` wires those that are built."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Central:
    """N environment actors and one agent actor that chooses every action and learns from every step.

    environment 0..N-1  ── observations, rewards ──►  agent  ── actions ──►  whichever have answered
    """

    environments: int = 4
    """How many environments, each an actor process."""
    step_timeout: float = 60.0
    """Seconds after which a step that has not been answered counts as a crash of that environment."""

    def __post_init__(self) -> None:
        if not isinstance(self.environments, int) or self.environments < 1:
            raise ValueError(f"Central(environments=N): N must be an int of at least 1, found {self.environments!r}")
        if not self.step_timeout > 0:
            raise ValueError(f"Central(step_timeout=s): s must be more than 0 seconds, found {self.step_timeout!r}")


@dataclass(frozen=True)
class SharedReplay:
    """m agent actors, n environment actors, one replay buffer that all agents write to and sample from.

    environments i ≡ j mod m  ◄── actions ──►  agent j  ── rows ──►  replay buffer  ── batches ──►  every agent
    """

    agents: int | Sequence[Any] = 2
    """How many agents, or one config per agent."""
    environments: int = 4
    """How many environments, each an actor process; environment i is driven by agent i mod m."""
    step_timeout: float = 60.0
    """Seconds after which a step that has not been answered counts as a crash of that environment."""
    vary: Callable[[Any, int], Any] | None = None
    """Makes the config of agent j of the one that is given: (config, j) -> config."""
    together: bool = False
    """Let environments live in their agent's process: calls cost nothing; one that crashes takes its agent along."""
    samples_per_insert: float | None = None
    """Rows sampled by all agents per row added by any; then this, and not `train_freq`, says how much is learned."""
    tolerance: float | None = None
    """By how many sampled rows either side may be ahead of that; the least that cannot deadlock where None."""

    def __post_init__(self) -> None:
        many = self.agents if isinstance(self.agents, int) else len(self.agents)
        if many < 1:
            raise ValueError(f"SharedReplay(agents=m): m must be at least 1, or a sequence of configs, found {many}")
        if not isinstance(self.environments, int) or self.environments < many:
            raise ValueError(
                f"SharedReplay: every agent needs an environment; expected environments of at least {many}, the "
                f"number of agents, found {self.environments!r}"
            )
        if not self.step_timeout > 0:
            raise ValueError(f"SharedReplay(step_timeout=s): s must be more than 0 s, found {self.step_timeout!r}")
        if self.tolerance is not None and self.samples_per_insert is None:
            raise ValueError("SharedReplay: tolerance says how far from samples_per_insert; give that too")

    @property
    def count(self) -> int:
        """How many agents."""
        return self.agents if isinstance(self.agents, int) else len(self.agents)

    def configs(self, config: Any) -> list[Any]:
        """The config of each agent; `config` is the one that was given for all, or None."""
        each = [config] * self.count if isinstance(self.agents, int) else list(self.agents)
        return [self.vary(one, j) for j, one in enumerate(each)] if self.vary is not None else each


@dataclass(frozen=True)
class Dataflow:
    """Explorers that step vectors of environments and send fragments to trainers; parameters flow back."""

    explorers: int = 2
    """How many explorer actors."""
    environments_per_explorer: int = 8
    """How many environments each of them steps."""
    step_timeout: float = 60.0
    """Seconds per environment after which a step of an explorer's environments that has not ended counts as a crash."""
    mode: str = "sync"
    """"sync": explorers and trainer take turns; "async": the next round is explored while this one is learned from."""
    fragment_length: int = 16
    """Steps of each environment per round, for agents that learn from a replay buffer; others have `n_steps`."""
    epsilon_ladder: bool = False
    """Whether explorer e of E has an ε of its own for good, 0.4^(1 + 7 e / (E - 1)), as in Ape-X."""
    inference: str = "inline"
    """"inline": each explorer has a copy of the policy; "served": policy servers act for all of them, in batches."""
    policies: int = 1
    """How many policy servers; explorer e asks server e modulo their number."""
    groups: int = 2
    """Served, in how many groups each explorer has its environments: one is stepped while others wait for actions;
    those whose steps take less time than a message ask together."""
    trainers: int = 1
    """How many trainers, each with its share of the explorers, that take every step together."""
    device: str = "cpu"
    """Where trainers compute: "cpu", or "cuda" where there is a GPU. Explorers act on the CPU."""

    def __post_init__(self) -> None:
        for name in ("explorers", "environments_per_explorer", "fragment_length", "policies", "groups"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"Dataflow({name}=n): n must be at least 1, found {value!r}")
        if not self.step_timeout > 0:
            raise ValueError(f"Dataflow(step_timeout=s): s must be more than 0 s, found {self.step_timeout!r}")
        if self.mode not in ("sync", "async"):
            raise ValueError(f'Dataflow(mode=...): expected "sync" or "async", found {self.mode!r}')
        if not isinstance(self.trainers, int) or self.trainers < 1 or self.explorers % self.trainers:
            raise ValueError(
                f"Dataflow(trainers=t): every trainer has as many explorers as the others; expected a number that "
                f"divides {self.explorers}, the explorers, found {self.trainers!r}"
            )
        self._check_inference()

    def _check_inference(self) -> None:
        if self.inference not in ("inline", "served"):
            raise ValueError(f'Dataflow(inference=...): expected "inline" or "served", found {self.inference!r}')
        if self.policies > (1 if self.inference == "inline" else self.explorers):
            raise ValueError(
                f'Dataflow(policies=P): policy servers act where inference="served", each for at least one of the '
                f"{self.explorers} explorers; found {self.policies} with inference={self.inference!r}"
            )
        if self.inference == "served" and self.epsilon_ladder:
            raise ValueError(
                'Dataflow(epsilon_ladder=True) gives the policy of each explorer an ε; inference="served" has one '
                'policy for all: use inference="inline"'
            )

    @property
    def environments(self) -> int:
        """How many environments all explorers have."""
        return self.explorers * self.environments_per_explorer

    @property
    def lag(self) -> int:
        """By how many rounds an explorer may be ahead of the trainer."""
        return int(self.mode == "async")


ARRANGEMENTS: dict[str, type] = {"central": Central, "shared-replay": SharedReplay, "dataflow": Dataflow}


def require_fitting(arrangement: Any, *, bare_agent: bool) -> None:
    """Refuse (TypeError) what is no arrangement, or none for this agent."""
    if arrangement is None or isinstance(arrangement, Central):
        return
    name = type(arrangement).__name__
    if not isinstance(arrangement, (SharedReplay, Dataflow)):
        raise TypeError(f"arrangement must be None, Central, SharedReplay or Dataflow, found {arrangement!r}")
    if bare_agent:
        raise TypeError(
            f"{name} takes an agent apart into a Policy, which acts, and a Learner, which improves it; an agent with "
            f"only get_action and update runs in None and Central"
        )
