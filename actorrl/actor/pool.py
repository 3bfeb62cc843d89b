"""The memory that the processes of a system share: one sparse file without a name, and who has which part.

The driver makes it, the nursery and every actor's process inherit its descriptor; when the last of
them is gone the kernel frees it, however they ended. Each process allocates in a region of its own
(arena.py) and maps those of others when something of theirs arrives.

    head:    limit, size of a region, bytes in use │ for each slot the process that owns it
    slot 0:  the driver's region                   │ for each block state, place, size │ the blocks, sparse
    slot 1:  …

Nothing is locked. A state word has one writer at a time: the owner while the block is free or being
written, then the receiver, which gives it back; of a dead process's blocks, whoever survives it.
"""

from __future__ import annotations

import mmap
import os
import sys

__all__ = [
    *("EMPTY", "ENTRY", "FREE", "HEAD", "NOBODY", "SHARED", "SLOTS", "UNIT", "USED"),
    *("Pool", "Region", "capacity", "held", "holder", "in_flight"),
]

PART = 0.25
"""The part of the memory of the machine, or of our control group, that the pool may fill."""
LIMIT: int | None = None
"""Bytes that a new pool may fill instead; for tests."""
UNIT = 64 * 1024
"""Blocks, regions and the head are multiples of this, which is one of every page size."""
SLOTS = 4096
HEAD = UNIT
OWNERS_AT = 4096
_LIMIT, _REGION, USED, _SHARES, _SLOTS = range(5)
NOBODY = 0xFFFFFFFF
ENTRY = 4
"""Words per block."""

FREE, EMPTY, _, SHARED = range(4)
"""States: free; free, its pages given back; of a share (loans.py)."""


def in_flight(process: int) -> int:
    """The state of a block on its way to a process."""
    return 4 + 2 * process


def held(process: int) -> int:
    """The state of a block that has arrived at a process."""
    return 5 + 2 * process


def holder(state: int) -> int:
    """The process that a block is with, or on its way to."""
    return (state - 4) // 2


def capacity(length: int) -> int:
    """The size of the block that holds `length` bytes: a multiple of 64 kB, at most a quarter over."""
    units = max(1, -(-length // UNIT))
    step = 1 << max(0, (units - 1).bit_length() - 3)
    return -(-units // step) * step * UNIT


class Region:
    """One slot's part of the file, as this process sees it.

    `words[block]` is the state of a block; the two words that follow are its place and size in units.
    """

    __slots__ = ("bytes", "left", "memory", "pool", "slot", "start", "words")

    def __init__(self, pool: Pool, slot: int) -> None:
        self.pool, self.slot = pool, slot
        self.left = False  # whether its owner has ended, so that nobody uses a block of it again
        self.start = pool.start(slot)
        self.memory = mmap.mmap(pool.fd, pool.region_size, offset=self.start)
        self.bytes = memoryview(self.memory)
        self.words = self.bytes[: pool.table].cast("I")

    def add(self, block: int, offset: int, size: int) -> None:
        """Enter a new block; the first is 4, the next 8."""
        self.words[block + 1], self.words[block + 2] = offset // UNIT, size // UNIT
        self.words[0] = block + ENTRY

    def blocks(self) -> list[tuple[int, int]]:
        """Every block with its state."""
        return list(zip(range(ENTRY, self.words[0], ENTRY), self.words[ENTRY : self.words[0] : ENTRY], strict=True))

    def free(self, block: int) -> None:
        """Return the memory of a block to the system, and mark it as free."""
        offset, size = self.words[block + 1] * UNIT, self.words[block + 2] * UNIT
        try:
            self.memory.madvise(mmap.MADV_REMOVE, offset, size)
            self.words[block] = EMPTY
        except OSError:
            self.words[block] = FREE
        self.pool.measure()

    def clear(self) -> None:
        """Return everything. Nobody may use any of it."""
        self.memory.madvise(mmap.MADV_REMOVE, 0, len(self.memory))
        self.pool.measure()


class Pool:
    """The file as this process sees it.

    Raises:
        OSError: where it cannot be mapped.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        head = mmap.mmap(fd, HEAD)
        self.words = memoryview(head).cast("Q")
        self.owners = memoryview(head)[OWNERS_AT : OWNERS_AT + 4 * SLOTS].cast("I")
        """Limit, size of a region, bytes in use (`USED`), whether anything was shared, slots that were used."""
        self.limit: int = self.words[_LIMIT]
        self.half = self.limit // 2
        self.region_size: int = self.words[_REGION]
        self.table = -(-self.region_size // UNIT * ENTRY * 4 // UNIT) * UNIT
        """Bytes of a region that the words take."""
        self._regions: dict[int, Region] = {}
        self._readable: dict[int, mmap.mmap] = {}

    @classmethod
    def make(cls, limit: int | None = None) -> Pool:
        """A new pool for at most `limit` bytes. OSError or AttributeError where the system has no such thing."""
        limit = limit or LIMIT or int(memory_size() * PART)
        region = -(-limit * 4 // UNIT) * UNIT + 4 * UNIT  # more than the limit: classes of blocks do not share room
        fd = os.memfd_create("actorrl-pool", os.MFD_CLOEXEC)
        try:
            os.ftruncate(fd, HEAD + SLOTS * region)
            with mmap.mmap(fd, HEAD) as head:
                words = memoryview(head).cast("Q")
                words[_LIMIT], words[_REGION] = limit, region
                words.release()
            pool = cls(fd)
        except BaseException:
            os.close(fd)
            raise
        for slot in range(SLOTS):
            pool.owners[slot] = NOBODY
        pool.own(0, 0)
        return pool

    def start(self, slot: int) -> int:
        """Where in the file a region begins."""
        return HEAD + slot * self.region_size

    @property
    def used(self) -> int:
        """Bytes of memory that the file takes, as noted when that last changed."""
        return self.words[USED]

    @property
    def slots(self) -> int:
        """Slots from this number on have never been used."""
        return self.words[_SLOTS]

    @property
    def has_shares(self) -> bool:
        """Whether anything has ever been shared."""
        return bool(self.words[_SHARES])

    def note_share(self) -> None:
        """Something has been shared."""
        self.words[_SHARES] = 1

    def own(self, slot: int, process: int) -> None:
        """Note whose a slot is."""
        self.owners[slot] = process
        if slot >= self.slots:
            self.words[_SLOTS] = slot + 1

    def slot_of(self, process: int) -> int | None:
        """The slot of a process, also of one that has ended and left something in it."""
        owners = self.owners[: self.slots].tolist()
        return owners.index(process) if process in owners else None

    def measure(self) -> int:
        """Bytes of memory that the file takes."""
        used = self.words[USED] = os.fstat(self.fd).st_blocks * 512
        return used

    def region(self, slot: int) -> Region:
        """A region, to read and write. OSError where it cannot be mapped."""
        region = self._regions.get(slot)
        if region is None:
            region = self._regions[slot] = Region(self, slot)
        return region

    def readable(self, slot: int) -> mmap.mmap:
        """A region, to read: what is shared is seen through this, so that nothing can write to it."""
        memory = self._readable.get(slot)
        if memory is None:
            memory = mmap.mmap(self.fd, self.region_size, access=mmap.ACCESS_READ, offset=self.start(slot))
            self._readable[slot] = memory
        return memory

    def read(self, slot: int, offset: int, length: int) -> bytearray:
        """A copy of a part of a region, where that cannot be mapped."""
        start, data, done = self.start(slot) + offset, bytearray(length), 0
        while done < length:
            done += os.preadv(self.fd, [memoryview(data)[done:]], start + done)
        return data

    def free_unmapped(self, slot: int, block: int) -> None:
        """Mark a block as free in a region that cannot be mapped."""
        os.pwrite(self.fd, FREE.to_bytes(4, sys.byteorder), self.start(slot) + 4 * block)

    def grow(self, start: int, length: int) -> bool:
        """Take memory for `length` bytes at `start` of the file. False if that is more than there may be.

        To write where no memory can be had would kill the process, so it is had before.
        """
        if self.measure() + length > self.limit:
            return False
        try:
            os.posix_fallocate(self.fd, start, length)
        except OSError:
            self.measure()
            return False
        return self.measure() <= self.limit  # else somebody else grew meanwhile: both give back


def memory_size() -> int:
    """Bytes of memory of the machine, or of our control group where that has less."""
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        with open("/proc/self/cgroup") as file:
            groups = [line.rstrip("\n").split(":", 2) for line in file]
    except OSError:
        return size
    for _, controllers, path in groups:
        if controllers == "":
            root, name = "/sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            root, name = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        while True:  # inside a container the path may be that of the host: then only the root is there
            try:
                with open(f"{root}{path.rstrip('/')}/{name}") as file:
                    size = min(size, int(file.read()))
            except (OSError, ValueError):  # not there, or "max"
                pass
            if path in ("/", ""):
                break
            path = os.path.dirname(path)
    return size
