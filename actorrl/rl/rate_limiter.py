"""Whether rows may go into a table or out of it now, so that the replay ratio is what it should be, whoever is faster.

It owns counts and nothing else: no clock, no queue, no lock. `ReplayTable` keeps it informed; whoever hosts the table
asks before each insert and each sample, and asks again for those who wait whenever something has been booked.

        may_insert?                                       may_sample?
    writers ──────► │ −tolerance ≤ balance ≤ +tolerance │ ◄────── learners
                balance = samples_per_insert · rows in − rows out

Rows in are counted from the first moment the table held `min_size`.
"""

from __future__ import annotations

from typing import Literal

Side = Literal["inserts", "samples"]
_SLACK = 1e-6  # rows; the balance is a product of floats


class OtherSideGone(RuntimeError):
    """What a side waits for can no longer happen: nobody is left on the other side."""


class RateLimiter:
    """Keeps rows sampled per row inserted within a tolerance.

    Args:
        min_size: rows that must have been inserted before anything is sampled.
        samples_per_insert: rows sampled per row inserted (a batch of 64 every 8 steps is 8); None for no such limit.
        tolerance: by how many sampled rows either side may be ahead; None for the least that cannot deadlock.
        insert_size: the most rows one insert brings.
        sample_size: the most rows one sample takes.

    Raises:
        ValueError: where both sides could come to wait for each other, which they cannot where one insert and one
            sample fit between the two limits: 2 · tolerance ≥ samples_per_insert · insert_size + sample_size.
    """

    def __init__(
        self,
        min_size: int = 1,
        samples_per_insert: float | None = None,
        tolerance: float | None = None,
        *,
        insert_size: int = 1,
        sample_size: int = 1,
    ) -> None:
        if min_size < 1 or insert_size < 1 or sample_size < 1:
            raise ValueError(
                f"expected min_size, insert_size and sample_size of at least 1 row, "
                f"found {min_size}, {insert_size} and {sample_size}"
            )
        if samples_per_insert is not None and not 0 < samples_per_insert < float("inf"):
            raise ValueError(f"samples_per_insert must be a number above 0, found {samples_per_insert}")
        ratio = samples_per_insert or 0.0
        least = (ratio * insert_size + sample_size) / 2
        self.tolerance = least if tolerance is None else tolerance
        if samples_per_insert is not None and not self.tolerance >= least - _SLACK:
            raise ValueError(
                f"inserts and samples could wait for each other for ever: with samples_per_insert "
                f"{samples_per_insert:g}, inserts of {insert_size} and samples of {sample_size} rows, tolerance must "
                f"be at least {least:g}, found {self.tolerance:g}"
            )
        self.min_size, self.samples_per_insert = min_size, samples_per_insert
        self.insert_size, self.sample_size = insert_size, sample_size
        self.inserted = self.sampled = 0  # rows
        self._before = 0  # rows inserted by the time the table held min_size
        self._gone: dict[Side, str] = {}

    def fit(self, capacity: int) -> None:
        """ValueError where a table of so many rows can never hold `min_size`."""
        if self.min_size > capacity:
            raise ValueError(
                f"samples would wait for ever: min_size {self.min_size} is more than the capacity of {capacity} rows"
            )

    @property
    def balance(self) -> float:
        """How many rows sampling is behind (above 0) or ahead; 0 without `samples_per_insert`."""
        if self.samples_per_insert is None:
            return 0.0
        return self.samples_per_insert * (self.inserted - self._before) - self.sampled

    def may_insert(self, rows: int) -> bool:
        """Whether `rows` rows may go in now. OtherSideGone where they never will; ValueError for too many at once."""
        if rows > self.insert_size:
            raise ValueError(f"expected inserts of at most {self.insert_size} rows (insert_size), found {rows}")
        ratio = self.samples_per_insert
        if ratio is None or self.inserted < self.min_size:
            return True
        if self.balance + ratio * rows <= self.tolerance + _SLACK:
            return True
        if "samples" in self._gone:
            raise OtherSideGone(
                f"an insert waits for samples, which are {self.balance:g} rows behind of at most {self.tolerance:g}, "
                f"but nobody is left to sample: {self._gone['samples']}"
            )
        return False

    def may_sample(self, rows: int) -> bool:
        """Whether `rows` rows may be sampled now. OtherSideGone where they never will; ValueError for too many."""
        if rows > self.sample_size:
            raise ValueError(f"expected samples of at most {self.sample_size} rows (sample_size), found {rows}")
        enough = self.inserted >= self.min_size
        if enough and (self.samples_per_insert is None or self.balance - rows >= -self.tolerance - _SLACK):
            return True
        if "inserts" in self._gone:
            state = f"ahead by {-self.balance:g} rows of at most {self.tolerance:g}"
            if not enough:
                state = f"possible from {self.min_size} rows on, of which {self.inserted} have come"
            raise OtherSideGone(
                f"a sample waits for inserts (samples are {state}), but nobody is left to insert: "
                f"{self._gone['inserts']}"
            )
        return False

    def book_insert(self, rows: int) -> None:
        """So many rows went in."""
        warming = self.inserted < self.min_size
        self.inserted += rows
        if warming:
            self._before = self.inserted

    def book_sample(self, rows: int) -> None:
        """So many rows were sampled."""
        self.sampled += rows

    def state_dict(self) -> dict[str, int]:
        """The counts."""
        return {"inserted": self.inserted, "sampled": self.sampled, "before": self._before}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Take back what `state_dict` gave."""
        self.inserted, self.sampled = int(state["inserted"]), int(state["sampled"])
        self._before = int(state["before"])

    def gone(self, side: Side, why: str) -> None:
        """Nobody inserts, or samples, any more: whoever would wait for them gets OtherSideGone with this reason."""
        self._gone[side] = why

    def back(self, side: Side) -> None:
        """Somebody does again."""
        self._gone.pop(side, None)
