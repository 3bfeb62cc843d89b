"""Which updates are due, doing them, and handing the weights to the policy. Practice and StepAgent own one each."""

from __future__ import annotations

from typing import Any

from actorrl.rl.finite import require_figures
from actorrl.rl.nouns import Array, Parts
from actorrl.rl.stopwatch import SILENT


class Updates:
    """The learner's side of one agent: counts its steps, owes updates, does them one at a time.

    A burst of `gradient_steps` falls due each time the step count passes a multiple of `train_freq`, once
    `learning_starts` steps are over; the counts, not the clock, decide, so slicing the work changes nothing.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.paced = bool(getattr(parts.table, "paced", False))
        self.count = 0  # updates done
        self.owed = 0
        self._bursts = 0  # bursts that have fallen due
        self._pushed = -1
        self._metrics: dict[str, float] = {}
        self.clock = SILENT
        """Of whoever drives it, who begins and ends slices."""
        self._starts = max(parts.cadence.learning_starts, 1)
        self.push()

    def steps_until_due(self, steps: int) -> int:
        """How many more environment steps until the next update falls due, at least 1."""
        cadence = self.parts.cadence
        return max(cadence.train_freq - steps % cadence.train_freq, self._starts - steps)

    def steps_taken(self, steps: int) -> None:
        """Book the agent's step count; `owed` grows by `gradient_steps` for each burst that fell due.

        Where the table has a limiter of its own, that says how many updates there are, and nothing is owed.
        """
        if self.paced:
            return
        bursts = self.parts.cadence.bursts(steps, self._starts)
        self.owed += (bursts - self._bursts) * self.parts.cadence.gradient_steps
        self._bursts = bursts

    def fill_again(self, steps: int) -> None:
        """The table was lost after so many steps: no update before another `learning_starts` are over."""
        self._starts = steps + max(self.parts.cadence.learning_starts, 1)
        self.owed = self._bursts = 0

    def one(self) -> bool:
        """Do one update; where the table has nothing to give, owe nothing any more. Whether it was done."""
        sample = self.parts.table.sample(self.parts.cadence.batch_size)
        if self.clock.on:
            self.clock.mark("sampling")
        if sample is None:
            self.owed = 0
            return False
        batch = sample.batch if sample.weight is None else {**sample.batch, "weight": sample.weight}
        updated = self.parts.learner.update(batch)
        if updated.td is not None and sample.ids is not None:
            self.parts.table.update_priorities(sample.ids, updated.td)
        if updated.metrics:
            require_figures(updated.metrics, self.count)
            self._metrics = updated.metrics
        if self.clock.on:
            self.clock.mark("update")
        self.count += 1
        self.owed = max(0, self.owed - 1)
        return True

    @property
    def outstanding(self) -> bool:
        """Whether there are updates to do for the steps taken: owed, or, by a table's own account, waiting there."""
        return bool(self.owed) or bool(getattr(self.parts.table, "pending", False))

    def push(self) -> None:
        """Give the policy the learner's weights, where they are newer than its own."""
        if self._pushed != self.count:
            self.parts.policy.set_weights(self.parts.learner.get_weights(), self.count)
            self._pushed = self.count
            if self.clock.on:
                self.clock.mark("weights")

    def newer_than(self, version: int) -> tuple[dict[str, Array], int] | None:
        """The weights and their version, for an explorer elsewhere."""
        return (self.parts.learner.get_weights(), self.count) if self.count > version else None

    def metrics(self, steps: int) -> dict[str, float]:
        """The learner's latest figures, the policy's at `steps`, and the count of updates."""
        policy = getattr(self.parts.policy, "metrics", None)
        return {**self._metrics, **(policy(steps) if policy else {}), "updates": float(self.count)}

    def state_dict(self) -> dict[str, Any]:
        """Flat: "updates", and the learner's own under "learner."."""
        learner = {f"learner.{name}": value for name, value in self.parts.learner.state_dict().items()}
        return {"updates": self.count, "owed": self.owed, "bursts": self._bursts, **learner}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave, and push the weights."""
        prefix = "learner."
        mine = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
        self.parts.learner.load_state_dict(mine)
        self.count, self.owed, self._bursts = int(state["updates"]), int(state["owed"]), int(state["bursts"])
        self._pushed = -1
        self.push()

    def training_state(self, table: bool = True) -> dict[str, Any]:
        """What else it takes to go on as if nothing had happened: the latest figures, and the table if wanted.

        Of a table that knows what is on the disk already only what is not."""
        owner: Any = self.parts.table
        give = getattr(owner, "unsaved", getattr(owner, "state_dict", None)) if table else None
        kept = None if give is None else give()
        learner: Any = self.parts.learner
        more = learner.training_state() if hasattr(learner, "training_state") else None
        return {"figures": dict(self._metrics), "starts": self._starts, "table": kept, "learner": more}

    def saved(self, rows: int | None) -> None:
        """A checkpoint is on the disk; with the table as it was when so many rows had been added."""
        owner: Any = self.parts.table
        if rows is not None and hasattr(owner, "saved"):
            owner.saved(rows)

    def load_training_state(self, state: dict[str, Any], steps: int) -> None:
        """Take back what `training_state` gave after so many steps; what was learned has been loaded before."""
        self._metrics, self._starts = dict(state["figures"]), int(state["starts"])
        learner: Any = self.parts.learner
        if state["learner"] is not None:
            learner.load_training_state(state["learner"])
        owner: Any = self.parts.table
        if state["table"] is not None:
            owner.load_state_dict(state["table"])
        else:
            self.fill_again(steps)
