"""A bell is heard once per ring, by whoever listens, before or after."""

from __future__ import annotations

import threading
import time

from actorrl.actor.bell import Bell


def test_a_ring_is_heard_before_and_after_it():
    bell = Bell()
    bell.set()
    assert bell.wait()
    threading.Timer(0.01, bell.set).start()
    assert bell.wait(20)


def test_silence_ends_with_its_time_and_rings_can_be_forgotten():
    bell = Bell()
    began = time.monotonic()
    assert not bell.wait(0.02) and time.monotonic() - began >= 0.015
    bell.set()
    bell.set()
    bell.clear()
    assert not bell.wait(0)
