"""One greedy episode, recorded: a picture of each step, and what the agent made of what it saw. `report` calls it.

    observation ──► Run.explain ──► action ──► environment.step ──► reward
         └───────────── Moment ◄── render() ───────┘

Pictures are small and few: they lie in the report as data URIs. An environment that cannot draw itself, or whose
library for it is missing, gives numbers only, and the recording says why.
"""

from __future__ import annotations

import base64
import io
import time
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np

from actorrl.rl.seeding import EVALUATION, environment_seeds
from actorrl.training.evaluation import CLOSING
from actorrl.training.run import Run

__all__ = ["Recording", "picture", "record", "thinned"]

Array = np.ndarray
WIDTH = 320
"""Pixels across a picture, at most."""
BYTES = 3_000_000
"""Of all pictures together; beyond it every second one is left out, or every third, ..."""
COLOURS = 48
SMALL = 4_000
"""Bytes of a PNG that need no comparison with a JPEG."""
MOST_STEPS = 1_000
MOST_SECONDS = 60.0
MOST_NUMBERS = 24
"""Of an observation so many numbers are shown."""
NUMBERS = ("value", "q", "probabilities", "mean", "std")


@dataclass
class Recording:
    """An episode, step by step; index t of every list is what the agent saw and did at step t."""

    names: list[str]
    """Of the actions, or of the numbers of one."""
    actions: list[Any] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    observations: list[list[float]] = field(default_factory=list)
    told: dict[str, list[Any]] = field(default_factory=dict)
    """value, q, probabilities, mean, std: as far as the agent has them."""
    frames: dict[int, str] = field(default_factory=dict)
    """Data URIs by step; one more than steps, the last is what came of the last action."""
    width: int = 0
    ended: str = ""
    """How: "terminated", "truncated", "cut"."""
    note: str = ""
    """Why there are no pictures, or not all."""

    @property
    def return_(self) -> float:
        """The sum of rewards."""
        return float(np.sum(self.rewards))

    def to_tree(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "names": self.names,
            "actions": self.actions,
            "rewards": self.rewards,
            "observations": self.observations,
            "told": self.told,
            "frames": {str(step): uri for step, uri in self.frames.items()},
            "width": self.width,
            "ended": self.ended,
            "note": self.note,
            "return": self.return_,
        }


def record(run: Run, which: str | int = "best", seconds: float = MOST_SECONDS) -> Recording:
    """Play one episode greedily, the same one every time, and keep what there is to see.

    Args:
        run: whose agent plays.
        which: "best", "final" or the number of an agent.
        seconds: after which it is cut.
    """
    environment, note = _environment(run)
    recording = Recording(_names(environment.action_space), note=note)
    try:
        _play(run, which, environment, recording, time.monotonic() + seconds)
    finally:
        if run.source.copies:
            environment.close()
    recording.frames, left_out = thinned(recording.frames)
    if left_out:
        recording.note = f"every {left_out + 1}. picture is kept"
    return recording


def _environment(run: Run) -> tuple[gymnasium.Env, str]:
    try:
        environment = run.source.maker(limit=MOST_STEPS, render="rgb_array")()
    except Exception as error:
        why = str(error).partition("\n")[0].replace("human", "rgb_array")
        return run.source.maker(limit=MOST_STEPS)(), f"no pictures: {why or type(error).__name__}"
    return environment, ""


def _play(run: Run, which: str | int, environment: gymnasium.Env, recording: Recording, deadline: float) -> None:
    [seed] = environment_seeds(int(run.config["seed"]), 1, role=EVALUATION, first=2 * CLOSING)
    observation, info = environment.reset(seed=seed)
    _draw(environment, recording, 0)
    for step in range(1, MOST_STEPS + 1):
        told = run.explain(observation, which, action_mask=info.get("action_mask"))
        recording.observations.append(_numbers(environment.observation_space, observation))
        recording.actions.append(_listed(told["action"]))
        for name in NUMBERS:
            if name in told:
                recording.told.setdefault(name, []).append(_listed(told[name]))
        observation, reward, terminated, truncated, info = environment.step(told["action"])
        recording.rewards.append(round(float(reward), 6))
        _draw(environment, recording, step)
        recording.ended = "terminated" if terminated else "truncated" if truncated else "cut"
        if terminated or truncated or time.monotonic() > deadline:
            return


def _draw(environment: gymnasium.Env, recording: Recording, step: int) -> None:
    """Keep a picture of this step; after a failure no more are asked for."""
    if recording.note:
        return
    try:
        pixels = environment.render()
        if not isinstance(pixels, np.ndarray) or pixels.ndim != 3:
            raise ValueError(f"render() gave {type(pixels).__name__} where pixels [H, W, 3] were expected")
        recording.frames[step], recording.width = picture(pixels)
    except Exception as error:  # a display, a font, a library: whatever it is, the numbers remain
        recording.note = f"no pictures: {str(error).partition(chr(10))[0] or type(error).__name__}"
        recording.frames.clear()


def picture(pixels: Array) -> tuple[str, int]:
    """A small picture of pixels uint8 [H, W, 3] as a data URI, and its width: PNG or JPEG, whichever is smaller."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels[..., :3], np.uint8))
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    png, jpeg = io.BytesIO(), io.BytesIO()
    image.quantize(COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(png, "PNG", optimize=True)
    if png.tell() > SMALL:
        image.save(jpeg, "JPEG", quality=72, optimize=True)
    kind, data = ("jpeg", jpeg) if 0 < jpeg.tell() < png.tell() else ("png", png)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}", image.width


def thinned(frames: dict[int, str], most: int = BYTES) -> tuple[dict[int, str], int]:
    """As many pictures as fit, evenly apart, the first and the last among them; and how many fall out between two."""
    stride, last = 1, max(frames, default=0)
    kept = frames
    while sum(map(len, kept.values())) > most and len(kept) > 2:
        stride += 1
        kept = {step: uri for step, uri in frames.items() if step % stride == 0 or step == last}
    return kept, stride - 1


def _names(space: gymnasium.Space) -> list[str]:
    if isinstance(space, gymnasium.spaces.Discrete):
        return [str(int(space.start) + i) for i in range(int(space.n))]
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return [f"{d}: {i}" for d, n in enumerate(space.nvec.reshape(-1).tolist()) for i in range(n)]
    return [str(i) for i in range(gymnasium.spaces.flatdim(space))]


def _listed(value: Any) -> Any:
    """Plain numbers that JSON can hold; what is not finite is None."""
    array = np.asarray(value)
    if array.ndim == 0:
        number = array.item()
        return number if not isinstance(number, float) or np.isfinite(number) else None
    return [_listed(one) if np.ndim(one) else _short(one) for one in array.reshape(-1)]


def _short(number: Any) -> float | int | None:
    if isinstance(number, (int, np.integer)):
        return int(number)
    return float(f"{number:.6g}") if np.isfinite(number) else None


def _numbers(space: gymnasium.Space, observation: Any) -> list[float]:
    """The first numbers of an observation; [] of a picture."""
    if isinstance(space, gymnasium.spaces.Box) and len(space.shape) > 1:
        return []
    try:
        flat = np.asarray(gymnasium.spaces.flatten(space, observation), np.float64).reshape(-1)
    except (TypeError, ValueError, NotImplementedError):
        return []
    if isinstance(space, gymnasium.spaces.Discrete):
        return [int(observation)]
    return [_listed(number) for number in flat[:MOST_NUMBERS]]
