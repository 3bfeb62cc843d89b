"""TensorBoard's files: figures with a tag per column, and per snapshot what the weights look like. The Runner feeds it.

returns/ lengths/      of training and evaluation               losses/ gradients/ values/     what the learner says
throughput/ queues/    per role, of whoever is an actor         weights/      histograms, per evaluation
staleness/ schedules/  how old what is learned from is; ε, α    the graph     at the end
"""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np

from actorrl.training.copies import copy_of
from actorrl.training.pace import Pace
from actorrl.training.roles import Recipe, Snapshot
from actorrl.training.run_directory import RunDirectory

__all__ = ["Board", "tag", "trained"]

log = logging.getLogger("actorrl")
Array = np.ndarray
BINS = 48
MOST = 1 << 15
"""Of larger arrays so many numbers, evenly apart, make the histogram."""
NAMED = {
    "episode_return": "returns/training",
    "return_100": "returns/training_mean_of_100",
    "evaluation_return": "returns/evaluation",
    "evaluation_std": "returns/evaluation_std",
    "best_return": "returns/best",
    "episode_length": "lengths/training",
    "evaluation_length": "lengths/evaluation",
    "steps_per_second": "throughput/steps_per_second",
    "queue_depth": "queues/rounds",
    "q": "values/q",
    "td": "values/td_error",
}
GROUPS = {
    "losses": ("loss", "approx_kl", "clip_fraction", "entropy"),
    "gradients": ("grad_norm",),
    "staleness": ("staleness", "lag"),
    "schedules": ("epsilon", "temperature", "learning_rate", "ent_coef", "beta"),
    "progress": ("episodes", "updates", "seconds"),
}
"""Which group a column belongs to, by what its name ends with."""
OTHERS = ("adam.", "target", "slow", "noise", "moments", "rng", "random")
"""What of a state is no weight that is trained."""


def tag(column: str) -> str:
    """Where a column of metrics.csv is found: "losses/policy_loss". One with a slash is a tag already."""
    if "/" in column:
        return column
    head, dot, rest = column.partition(".")
    if dot:
        return f"{head}/{rest}"
    for group, ends in GROUPS.items():
        if column.endswith(ends):
            return f"{group}/{column}"
    return NAMED.get(column, f"other/{column}")


def trained(state: Any) -> Iterator[tuple[str, Array]]:
    """What is trained of an agent's state_dict: (name, floats) of each array of more than one number."""
    for name, value in state.items() if isinstance(state, Mapping) else ():
        plain = str(name).removeprefix("learner.")
        array = np.asarray(value) if hasattr(value, "shape") else np.empty(0)
        floats = np.issubdtype(array.dtype, np.floating) and array.size > 1
        if floats and not plain.startswith(OTHERS) and ".adam." not in plain:
            yield plain, array


class Board:
    """Opened when there is something to write.

    Args:
        directory: of the run.
        recipe: of the agent whose network the graph shows; None for no graph.
    """

    def __init__(self, directory: RunDirectory, recipe: Recipe | None = None) -> None:
        self._path, self._recipe = str(directory.path / "tensorboard"), recipe
        self._writer: Any = None
        self.purge: int | None = None
        """What was written from this step on is taken back: it is written again."""
        self._pace = Pace()  # of updates

    def _open(self) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(self._path, purge_step=self.purge)
        return self._writer

    def write(self, steps: int, values: Mapping[str, float]) -> None:
        """The figures of a row, by their columns."""
        writer = self._open()
        for name, value in values.items():
            writer.add_scalar(tag(name), value, steps)
        rate = self._updates_per_second(values)
        if rate is not None:
            writer.add_scalar("throughput/updates_per_second", rate, steps)

    def _updates_per_second(self, values: Mapping[str, float]) -> float | None:
        if "updates" not in values or "seconds" not in values:
            return None
        return self._pace.came(values["updates"], values["seconds"])

    def weights(self, snapshot: Snapshot, agent: int | None = None) -> None:
        """Histograms of a snapshot's weights; `agent` where there are several. About 4 ms for a small network."""
        whose = "" if agent is None else f"agent{agent}/"
        for name, array in trained(snapshot.state):
            flat = array.reshape(-1)
            sample = flat if len(flat) <= MOST else flat[:: -(-len(flat) // MOST)]
            sample = sample[np.isfinite(sample)]
            if len(sample):
                self._open().add_histogram(f"{whose}weights/{name}", sample, snapshot.steps, bins=BINS)

    def graph(self) -> None:
        """Trace the networks; what cannot be traced has no picture. Up to a second, so after training."""
        if self._recipe is None or self._recipe.bare:
            return
        try:
            traced, inputs = network_of(self._recipe)
            if traced is not None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # about how torch traces, not about the network
                    self._open().add_graph(traced, inputs)
        except Exception as error:
            log.warning("TensorBoard has no graph of the network: %s: %s", type(error).__name__, error)

    def close(self) -> None:
        """Write what is left. Once: a writer that has failed would fail again."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def network_of(recipe: Recipe) -> tuple[Any, Any]:
    """The networks of an agent as one module, and zeros of the shapes that it takes; (None, None) where it has none."""
    import torch

    learner = recipe.build().learner
    networks: dict[str, Any] = getattr(learner, "networks", {})
    if not networks:
        return None, None
    encode, sample = recipe.encoder(), copy_of(recipe.observation_space).sample()
    observation = np.asarray(sample if encode is None else encode(sample))[None]
    inputs = [torch.zeros(observation.shape, dtype=torch.as_tensor(observation).dtype)]
    if any(_inputs(network) > 1 for network in networks.values()):
        inputs.append(torch.zeros(1, gymnasium.spaces.flatdim(recipe.action_space)))

    class Networks(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, network in networks.items():
                self.add_module(name, network)

        def forward(self, *given: Any) -> Any:
            return tuple(network(*given[: _inputs(network)]) for network in self.children())

    return Networks().eval(), tuple(inputs)


def _inputs(network: Any) -> int:
    return len(inspect.signature(network.forward).parameters)
