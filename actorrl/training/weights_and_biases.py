"""A callback that sends a run to Weights & Biases: the worked example of what callbacks can do.

    callbacks:
      - {name: "actorrl.training.weights_and_biases:WeightsAndBiases", project: cartpole}

`pip install wandb` and `wandb login` come first; nothing of it is imported before a run begins.
"""

from __future__ import annotations

import importlib
from typing import Any

from actorrl.training.callbacks import Event


class WeightsAndBiases:
    """Figures, episodes and evaluations as charts, the config as the run's, the best score as its summary.

    Args:
        project: where the run is found.
        options: of `wandb.init`, such as entity, mode or tags.
    """

    def __init__(self, project: str, **options: Any) -> None:
        self._project, self._options = project, options
        self._id: str | None = None
        self._run: Any = None

    def on_start(self, event: Event) -> None:
        wandb: Any = importlib.import_module("wandb")
        options = {"name": event.directory.name, "id": self._id, "resume": "allow", **self._options}
        self._run = wandb.init(project=self._project, config=dict(event.config), **options)
        self._id = self._run.id
        self._run.define_metric("*", step_metric="steps")  # the axis of every chart, not how often was logged

    def on_episode_end(self, event: Event) -> None:
        assert event.episode is not None
        figures = {"episode/return": event.episode.return_, "episode/length": event.episode.length}
        self._run.log({"steps": event.steps, **figures})

    def on_update(self, event: Event) -> None:
        assert event.figures is not None
        self._run.log({"steps": event.steps, **{f"train/{name}": value for name, value in event.figures.items()}})

    def on_evaluation(self, event: Event) -> None:
        assert event.evaluation is not None
        self._run.log({"steps": event.steps, "evaluation/return": event.evaluation.mean})
        if event.best and event.confirmed is not None:
            self._run.summary["best_return"] = event.confirmed.mean

    def on_end(self, event: Event) -> None:
        self._run.finish()

    def state_dict(self) -> dict[str, Any]:
        """Which run of theirs this is, so that a run that goes on goes on there."""
        return {"id": self._id}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._id = state["id"]
