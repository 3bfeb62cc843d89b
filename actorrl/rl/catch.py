"""Catch: a pixel environment small enough to learn in a minute, for whoever wants to see a CNN learn.

Nothing here but the environment; `gymnasium.make("actorrl.rl.catch:Catch-v0")` and `train(config, Catch)` make it.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from actorrl.rl.nouns import Array

BRIGHT = 255


class Catch(gymnasium.Env):
    """A ball falls from the top of the board; the paddle in the lowest row must be under it when it arrives.

    Observation: uint8 [rows, columns, 1], 255 where the ball or the paddle is. Actions: 0 left, 1 stay, 2 right. The
    reward is 1 for a catch and −1 for a miss, at the end, which comes after rows − 1 steps. A random player has a mean
    return of about −0.7 on ten columns, the best has 1. After "Catch" in Osband et al. 2020, "Behaviour suite".
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, rows: int = 10, columns: int = 10, render_mode: str | None = None) -> None:
        if rows < 2 or columns < 1:
            raise ValueError(f"expected at least 2 rows and 1 column, found {rows} and {columns}")
        self.rows, self.columns, self.render_mode = rows, columns, render_mode
        self.observation_space = Box(0, BRIGHT, (rows, columns, 1), np.uint8)
        self.action_space = Discrete(3)
        self._row = self._ball = self._paddle = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """A ball in a random column of the top row, the paddle in the middle."""
        super().reset(seed=seed)
        self._row, self._ball, self._paddle = 0, int(self.np_random.integers(self.columns)), self.columns // 2
        return self._board(), {}

    def step(self, action: int) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """Move the paddle, let the ball fall by one row."""
        self._paddle = min(max(self._paddle + int(action) - 1, 0), self.columns - 1)
        self._row += 1
        ended = self._row == self.rows - 1
        reward = (1.0 if self._paddle == self._ball else -1.0) if ended else 0.0
        return self._board(), reward, ended, False, {}

    def render(self) -> Array | None:
        """The board as RGB [16 · rows, 16 · columns, 3]."""
        return self._board().repeat(16, 0).repeat(16, 1).repeat(3, 2) if self.render_mode == "rgb_array" else None

    def _board(self) -> Array:
        board = np.zeros((self.rows, self.columns, 1), np.uint8)
        board[self.rows - 1, self._paddle] = board[self._row, self._ball] = BRIGHT
        return board


gymnasium.register("Catch-v0", entry_point="actorrl.rl.catch:Catch")
