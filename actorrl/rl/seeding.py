"""Where every random number comes from: one seed, split by role and number. Called by whoever makes a part.

    seed ──► SeedSequence(seed, spawn_key=(role, i)) ──► a generator for part i of that role

The roles are fixed integers, so that adding an environment never shifts the numbers of the learner.
"""

from __future__ import annotations

import numpy as np

ENVIRONMENT = 0
EXPLORER = 1
LEARNER = 2
EVALUATION = 3
EVALUATION_POLICY = 4
TABLE = 5
AGENT = 6


def sequence(seed: int | None, role: int, i: int = 0) -> np.random.SeedSequence:
    """The seed sequence of part `i` of a role; fresh entropy where `seed` is None."""
    return np.random.SeedSequence(seed, spawn_key=(role, i))


def generator(seed: int | None, role: int, i: int = 0) -> np.random.Generator:
    """A generator of its own for part `i` of a role."""
    return np.random.Generator(np.random.PCG64(sequence(seed, role, i)))


def integer(seed: int | None, role: int, i: int = 0) -> int:
    """A seed in [0, 2^31) for what takes an int: `env.reset(seed=...)`, `torch.manual_seed`."""
    return int(sequence(seed, role, i).generate_state(1, np.uint32)[0] >> 1)


def agent_seed(seed: int, j: int) -> int:
    """The seed that agent j of several is made from; the first has the run's own."""
    return seed if j == 0 else integer(seed, AGENT, j)


def environment_seeds(seed: int | None, count: int, role: int = ENVIRONMENT, first: int = 0) -> list[int]:
    """The seeds of environments `first` .. `first + count - 1`, for their first reset."""
    return [integer(seed, role, first + i) for i in range(count)]


def seed_again(seed: int, again: int) -> int:
    """The seed of an environment that is reset because a checkpoint was due, after `again` steps of its agent."""
    return int(np.random.SeedSequence(seed, spawn_key=(again, 0)).generate_state(1, np.uint32)[0] >> 1)


def seed_after(seed: int, crashes: int) -> int:
    """The seed of an environment that has crashed so often; each time another, so that it does not repeat itself."""
    return int(np.random.SeedSequence(seed, spawn_key=(crashes,)).generate_state(1, np.uint32)[0] >> 1)
