"""What `tune` may vary, and how far: read from YAML, checked against the experiment before a trial starts.

    agent.learning_rate: {low: 0.0001, high: 0.01, log: true}     a number; a whole one where both ends are
    agent.n_steps: {low: 16, high: 128, step: 16}
    agent.hidden_sizes: [[64, 64], [128, 128]]                    one of these

It stands in the file itself under `search`, in a file of its own, or beside the presets.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actorrl.training.experiment import ALGORITHMS, Experiment, read_overrides
from actorrl.training.lines import parsed
from actorrl.training.names import did_you_mean
from actorrl.training.presets import FOLDER

FIELDS = ("low", "high", "log", "step", "choices")
MOST_TICKS = 5
"""Values that an axis names, about."""
COMPANIES = 64
"""Random points among which a value must fit at least once."""


@dataclass(frozen=True)
class Axis:
    """The values that one key may take: from `low` to `high`, or one of `choices`."""

    key: str
    low: float | int = 0
    high: float | int = 0
    log: bool = False
    step: float | int | None = None
    choices: tuple[Any, ...] = ()

    @classmethod
    def of(cls, key: str, said: Any) -> Axis:
        """From what YAML says. ValueError, naming the key, where that is no range and no list."""
        if isinstance(said, (list, tuple)):
            said = {"choices": said}
        if not isinstance(said, Mapping):
            raise ValueError(f"search: {key} must be a list, or low and high, found {said!r}")
        for field in said:
            if field not in FIELDS:
                raise ValueError(f"search: {key}.{field} is not known{did_you_mean(str(field), FIELDS)}")
        if "choices" in said:
            if not isinstance(said["choices"], (list, tuple)) or not said["choices"] or len(said) > 1:
                raise ValueError(f"search: {key}.choices must be a list of values, and alone, found {dict(said)!r}")
            return cls(key, choices=tuple(said["choices"]))
        numbers = {name: _number(f"{key}.{name}", said.get(name)) for name in ("low", "high")}
        step = None if said.get("step") is None else _number(f"{key}.step", said["step"])
        axis = cls(key, numbers["low"], numbers["high"], bool(said.get("log", False)), step)
        axis._check()
        return axis

    def _check(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"search: {self.key}: low must be less than high, found {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"search: {self.key}: a logarithm needs low above 0, found {self.low}")
        if self.step is not None and (self.step <= 0 or self.log):
            raise ValueError(f"search: {self.key}: step must be above 0, and not beside log, found {self.step}")

    @property
    def whole(self) -> bool:
        """Whether its values are whole numbers."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 0))

    @property
    def extremes(self) -> tuple[Any, ...]:
        """The values that tell whether all fit: both ends, or every choice."""
        return self.choices or (self.low, self.high)

    def suggest(self, trial: Any) -> Any:
        """A value from an Optuna trial."""
        if self.choices:
            labels = {_label(choice): choice for choice in self.choices}
            return labels[trial.suggest_categorical(self.key, list(labels))]
        if self.whole:
            return trial.suggest_int(self.key, self.low, self.high, step=self.step or 1, log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log)

    def holds(self, value: Any) -> bool:
        """Whether this is one of its values."""
        if self.choices:
            return any(_same(choice, value) for choice in self.choices)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not self.low <= value <= self.high:
            return False
        steps = (value - self.low) / (self.step or 1)
        return (self.step is None and not self.whole) or abs(steps - round(steps)) < 1e-9

    def stored(self, value: Any) -> Any:
        """One of its values as Optuna stores it."""
        if self.choices:
            return next(_label(choice) for choice in self.choices if _same(choice, value))
        return int(value) if self.whole else float(value)

    def draw(self, rng: random.Random) -> Any:
        """Any value, for checks."""
        return rng.choice(self.extremes)

    def place(self, value: Any) -> float | int:
        """Where a picture has one of its values: a number at itself, a choice at its place in the list."""
        if self.choices:
            return next(i for i, choice in enumerate(self.choices) if _same(choice, value))
        return value  # type: ignore[no-any-return]

    def ticks(self) -> list[Any]:
        """Values to be named on an axis: every choice; of a range some round ones, or of its steps."""
        if self.choices:
            return list(self.choices)
        if self.log:
            return _thinned(_round_over_decades(self.low, self.high))
        step = self.step or (1 if self.whole and self.high - self.low < MOST_TICKS else _round_step(self))
        first = self.low if self.step else math.ceil(self.low / step - 1e-9) * step
        count = math.floor((self.high - first) / step + 1e-9) + 1
        found = [first + i * step for i in range(count)]
        return _thinned(found) if self.step else found


def _round_over_decades(low: float, high: float) -> list[float]:
    """1, 10, 100, ... between both; with numbers between them where these were fewer than three."""
    decades = [10.0**k for k in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    found: list[float] = []
    for digits in ((1,), (1, 3), (1, 2, 5), range(1, 10)):
        near = [digit * decade for decade in decades for digit in digits]
        found = [value for value in near if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(found) >= 3:
            return found
    return [low, high]


def _round_step(axis: Axis) -> float | int:
    """1, 2 or 5 times a power of ten, of which few fit into the range; whole where its values are."""
    least = (axis.high - axis.low) / MOST_TICKS
    decade = 10.0 ** math.floor(math.log10(least))
    step = next(digit * decade for digit in (1, 2, 5, 10) if digit * decade >= least * (1 - 1e-9))
    return max(1, round(step)) if axis.whole else step


def _thinned(values: list[Any]) -> list[Any]:
    return values[:: -(-len(values) // MOST_TICKS)]


def short(value: Any) -> str:
    """A setting in few digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _label(choice: Any) -> Any:
    """A choice as Optuna can store it: lists as text."""
    return choice if choice is None or isinstance(choice, (bool, int, float, str)) else json.dumps(choice)


def _same(choice: Any, value: Any) -> bool:
    """Whether they are equal; True is not 1, and a tuple is a list."""
    return isinstance(choice, bool) == isinstance(value, bool) and bool(_label(choice) == _label(value))


def _number(what: str, value: Any) -> int | float:
    try:
        if isinstance(value, bool) or value is None:
            raise ValueError
        return value if isinstance(value, (int, float)) else float(value)  # YAML reads 1e-4 as text
    except (TypeError, ValueError):
        raise ValueError(f"search: {what} must be a number, found {value!r}") from None


def space_of(said: Any) -> list[Axis]:
    """The axes of a mapping {dotted key: range or list}. ValueError for what is none."""
    return [Axis.of(str(key).replace("-", "_"), values) for key, values in _required(said).items()]


def _required(said: Any, where: str = "") -> dict[str, Any]:
    """ValueError for what is no search space, or an empty one, which would vary nothing."""
    if not isinstance(said, Mapping) or not said:
        raise ValueError(
            f"{where}a search space holds keys and their ranges (agent.gamma: [0.98, 0.99]), found {said!r}"
        )
    return dict(said)


def own_values(space: list[Axis], plan: Experiment) -> dict[str, Any]:
    """The experiment's own values, as Optuna stores them, of those axes that hold them."""
    tree, found = plan.to_tree(plan.env), dict[str, Any]()
    for axis in space:
        value: Any = tree
        for part in axis.key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if axis.holds(value):
            found[axis.key] = axis.stored(value)
    return found


def find_space(tree: Mapping[str, Any], name: str, file: str | Path | None = None) -> dict[str, Any]:
    """The search space of an experiment, as YAML holds it: of the file given, under its own `search`, beside the
    preset, or of its algorithm.

    Raises:
        FileNotFoundError: the file given is not there. ValueError: there is none, or an empty one.
    """
    if file is not None:
        path = Path(file)
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        return _read(path)
    if "search" in tree:
        return _required(tree["search"], "search: ")
    agent = tree.get("agent")
    algorithm = str(agent.get("name") if isinstance(agent, Mapping) else agent).lower()
    for known in (name, algorithm):
        path = FOLDER / f"{known}.search.yaml"
        if path.is_file():
            return _read(path)
    raise ValueError(
        f"there is no search space for {name}: put one into the file under `search`, or give it, --search FILE.yaml; "
        f"there are some for {', '.join(sorted(ALGORITHMS))}"
    )


def _read(path: Path) -> dict[str, Any]:
    return _required(parsed(path.read_text(), path), f"{path}: ")


def check_space(space: list[Axis], tree: dict[str, Any], name: str) -> None:
    """Refuse (ValueError) keys that the experiment does not have, and ends and choices that never fit.

    A value may need others beside it (a small batch for few steps): it is refused only if it fits with none.
    """
    rng = random.Random(0)

    def tried(values: Mapping[str, Any]) -> None:
        Experiment.from_tree(read_overrides(tree, values), name).checked()

    for axis in space:
        if axis.key == "seed":
            raise ValueError("search: seed is no setting to be tuned; --seed is that of the study")
        for value in axis.extremes:
            companies = [{a.key: a.draw(rng) for a in space} for _ in range(COMPANIES)]
            _first_fit(tried, [{**company, axis.key: value} for company in companies], axis.key)


def _first_fit(tried: Callable[[Mapping[str, Any]], None], points: list[dict[str, Any]], key: str) -> None:
    first: ValueError | TypeError | None = None
    for point in points:
        try:
            tried(point)
            return
        except (ValueError, TypeError) as error:
            first = first or error
            if "is not known" in str(error) and key.rpartition(".")[2] in str(error):
                break
    assert first is not None
    raise ValueError(f"search: {key}: {first}") from first
