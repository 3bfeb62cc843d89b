"""Several nodes: a head and two workers on this machine, each with its own raylet and store; one dies in the middle."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import gymnasium
import psutil
import pytest
from strays import eventually

from actorrl import Dataflow, PPOConfig, System, actors, fetch, startat, train

pytestmark = [
    pytest.mark.skipif("ray" not in os.environ.get("ACTORRL_ENGINES", ""), reason="make ray runs it"),
    pytest.mark.slow,
    pytest.mark.timeout(400),
]
STEPS = 8_000


class Node:
    """Says where it is."""

    def raylet(self) -> int:
        return os.getppid()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and two workers; this program is connected to the head."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    workers = [made.add_node(num_cpus=1, resources={name: 1}) for name in ("east", "west")]
    ray.init(address=made.address, namespace="actorrl", logging_level=logging.ERROR)
    yield made, workers
    ray.shutdown()
    made.shutdown()


def raylet_of(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def test_a_place_is_a_node_and_a_name_what_has_it(cluster: Any):
    made, (east, west) = cluster
    head = raylet_of(made.head_node)
    with System(engine="ray"):
        places = [startat(place, Node) for place in (0, 1, 2, 3, "east", "west")]
        found = fetch([place.raylet() for place in places])

        assert [found[0], found[3]] == [head, head]
        assert {found[1], found[2]} == {raylet_of(east), raylet_of(west)}
        assert found[4:] == [raylet_of(east), raylet_of(west)]
        with pytest.raises(ValueError, match=r"got place 'north'.*east, .*west"):
            startat("north", Node)


def test_a_worker_node_dies_in_the_middle_of_a_training_that_goes_on(cluster: Any, caplog: pytest.LogCaptureFixture):
    made, workers = cluster
    raylets = {raylet_of(worker) for worker in workers}
    where: dict[str, set[int]] = {}
    killed = threading.Event()

    def parents(cls: str) -> set[int]:
        rows = [row for row in actors() if row.cls == cls and row.pid is not None]
        return {psutil.Process(row.pid).ppid() for row in rows}

    def kill_one() -> None:
        def busy() -> bool:
            try:
                rows = [row for row in actors() if row.cls == "ExplorerRole"]
            except RuntimeError:
                return False  # not started yet
            return len(rows) == 2 and all(row.handled >= 3 for row in rows)

        eventually(busy, within=120)
        where["explorers"], where["trainer"] = parents("ExplorerRole"), parents("TrainerRole")
        victim = next(worker for worker in workers if raylet_of(worker) in where["explorers"])
        made.remove_node(victim, allow_graceful=False)
        killed.set()

    killer = threading.Thread(target=kill_one)
    killer.start()
    config = PPOConfig(n_steps=32, n_envs=2, batch_size=64, n_epochs=2)
    with caplog.at_level(logging.WARNING, "actorrl"):
        run = train(config, _cartpole, steps=STEPS, arrangement=Dataflow(2, 2, mode="async"), engine="ray")
    killer.join(5)

    assert killed.is_set(), "the training was over before a node was killed"
    assert where["trainer"] == {raylet_of(made.head_node)}
    assert where["explorers"] & raylets, "Ray may put one elsewhere where a node is slow to answer"
    assert "it starts again" in caplog.text
    assert run.metrics["steps"][-1] >= STEPS


class Slow(gymnasium.Wrapper):  # type: ignore[type-arg]
    """An environment whose steps cost something, so that the training lasts for seconds on any machine."""

    def step(self, action: Any) -> Any:
        time.sleep(0.002)
        return super().step(action)


def _cartpole() -> gymnasium.Env:
    return Slow(gymnasium.make("CartPole-v1", max_episode_steps=50))
