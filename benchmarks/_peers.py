"""Owns the smallest actors of the peers: what calls.py, arrays.py, spawn.py and vector_step.py measure beside ours.

Raw pyzmq and multiprocessing.Pipe are processes that answer; Ray and xoscar are started as a user would on one
machine. Each import waits until somebody measures it.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ECHO, TELL, ADDED, BYE = 1, 2, 3, 4
"""What the raw side is asked: to send back, to take and say nothing, to say how much was taken, to end."""


class RawPyzmq:
    """A process that answers pickles over PUSH and PULL sockets: what every actor here stands on, and no more."""

    def __init__(self, *, wait: bool = True) -> None:
        import zmq

        self._folder = tempfile.TemporaryDirectory()
        context = zmq.Context.instance()
        self.pull, self.push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        for socket in (self.pull, self.push):
            socket.set_hwm(0)
            socket.linger = 0
        self.pull.bind(f"ipc://{self._folder.name}/here")
        self.push.bind(f"ipc://{self._folder.name}/there")
        code = "import sys; sys.path.insert(0, sys.argv[1]); import _peers; _peers.answer(sys.argv[2])"
        self._process = subprocess.Popen([sys.executable, "-c", code, os.path.dirname(__file__), self._folder.name])
        if wait:
            self.call(0)

    def call(self, value: Any) -> Any:
        self.push.send(pickle.dumps((ECHO, value), 5))
        return pickle.loads(self.pull.recv())

    def tell(self, value: Any) -> None:
        self.push.send(pickle.dumps((TELL, value), 5))

    def told(self) -> int:
        """How many were taken, once all of them are."""
        self.push.send(pickle.dumps((ADDED, None), 5))
        return int(pickle.loads(self.pull.recv()))

    def out_of_band(self, array: Any) -> Any:
        """There and back as a frame of its own, which pickle only describes."""
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps((ECHO, array), 5, buffer_callback=buffers.append)
        self.push.send_multipart([head, *buffers], copy=False)
        head, *frames = self.pull.recv_multipart(copy=False)
        return pickle.loads(head, buffers=frames)

    def close(self) -> None:
        self.push.send(pickle.dumps((BYE, None), 5))
        self._process.wait()
        self.pull.close()
        self.push.close()
        self._folder.cleanup()


def answer(folder: str) -> None:
    """The program of the raw side's child."""
    import zmq

    context = zmq.Context.instance()
    pull, push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    pull.set_hwm(0)
    push.set_hwm(0)
    pull.connect(f"ipc://{folder}/there")
    push.connect(f"ipc://{folder}/here")
    taken = 0
    while True:
        head, *frames = pull.recv_multipart(copy=False)
        kind, value = pickle.loads(head, buffers=frames)
        if kind == ECHO and frames:
            buffers: list[pickle.PickleBuffer] = []
            head = pickle.dumps(value, 5, buffer_callback=buffers.append)
            push.send_multipart([head, *buffers], copy=False)
        elif kind == ECHO:
            push.send(pickle.dumps(value, 5))
        elif kind == TELL:
            taken += 1
        elif kind == ADDED:
            push.send(pickle.dumps(taken, 5))
        else:
            return


class Pipe:
    """A process of multiprocessing that answers over a Pipe."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.ours, theirs = context.Pipe()
        self.process = context.Process(target=serve_pipe, args=(theirs,), daemon=True)
        self.process.start()

    def call(self, value: Any) -> Any:
        self.ours.send(value)
        return self.ours.recv()

    def close(self) -> None:
        self.ours.send(None)
        self.process.join()


def serve_pipe(theirs: Any) -> None:
    """The program of the Pipe's child; None ends it."""
    while (value := theirs.recv()) is not None:
        theirs.send(value)


@contextmanager
def ray_running() -> Iterator[Any]:
    """Ray, started here; it is quiet and asks nobody for processors."""
    import ray

    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR", configure_logging=False)
    try:
        yield ray
    finally:
        ray.shutdown()


async def xoscar_actors(kind: type, count: int = 1) -> tuple[Any, ...]:
    """(a pool to stop, `count` xoscar actors that are a `kind`, a process each)"""
    import xoscar

    class Hosted(xoscar.StatelessActor, kind):  # type: ignore[misc, valid-type]
        """Travels by value: the processes of a pool have not seen the script."""

    pool = await xoscar.create_actor_pool("127.0.0.1", n_process=count)
    actors = []
    for number in range(count):
        where = xoscar.allocate_strategy.ProcessIndex(number + 1)
        actors.append(await xoscar.create_actor(Hosted, address=pool.external_address, allocate_strategy=where))
    return pool, *actors


def rllib_ppo(env: Any, settings: dict[str, Any], runners: int) -> Any:
    """RLlib's PPO with so many runners that share the environments; a learner in this process. Ray runs already.

    `env` is an id, or a callable that makes an environment of a config.
    """
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.getLogger("ray").setLevel(logging.ERROR)
    from ray.rllib.algorithms.ppo import PPOConfig

    if callable(env):
        from ray.tune.registry import register_env

        register_env("ours", env)
        env = "ours"
    k = int(settings["n_envs"]) // runners
    config = (
        PPOConfig()
        .environment(env)
        .env_runners(
            num_env_runners=runners,
            num_envs_per_env_runner=k,
            rollout_fragment_length=int(settings["n_steps"]),
            num_cpus_per_env_runner=0,
        )
        .learners(num_learners=0)
        .training(
            train_batch_size_per_learner=int(settings["n_steps"]) * k * runners,
            minibatch_size=int(settings["batch_size"]),
            num_epochs=int(settings["n_epochs"]),
            lr=float(settings["learning_rate"]),
            gamma=0.99,
            lambda_=0.95,
            clip_param=0.2,
            vf_loss_coeff=0.5,
            vf_clip_param=1e9,
            entropy_coeff=0.0,
            use_kl_loss=False,
            grad_clip=0.5,
        )
        .rl_module(model_config={"fcnet_hiddens": [64, 64], "fcnet_activation": "tanh", "vf_share_layers": False})
    )
    return config.build_algo()


def rllib_sampling(algorithm: Any, seconds: float) -> float:
    """Steps per second of all runners that sample and do nothing else; the first sample is not counted."""
    import time

    def sample() -> int:
        lengths = algorithm.env_runner_group.foreach_env_runner(
            lambda runner: sum(map(len, runner.sample())), local_env_runner=False
        )
        return int(sum(lengths))

    sample()
    steps, began = 0, time.perf_counter()
    while time.perf_counter() < began + seconds:
        steps += sample()
    return steps / (time.perf_counter() - began)
