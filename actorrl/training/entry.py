"""`train`: everything from the arguments to the finished run, in the order in which it happens.

experiment ─► spaces ─► the check of the agent ─► run directory ─► wiring ─► Runner ─► closing evaluation ─► Run
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actorrl.rl.seeding import agent_seed
from actorrl.training import checkpoints
from actorrl.training.arrangements import Dataflow, SharedReplay, require_fitting
from actorrl.training.check import check_agent
from actorrl.training.copies import copy_of
from actorrl.training.dataflow import check_streamed
from actorrl.training.environment_source import UNLIMITED, EnvironmentSource
from actorrl.training.evaluation import Evaluation, Evaluator, Player
from actorrl.training.experiment import Experiment
from actorrl.training.fields import to_mapping
from actorrl.training.filters import wrappers_of
from actorrl.training.lines import located
from actorrl.training.progress import ProgressLine, duration
from actorrl.training.roles import Marks, Recipe, Snapshot
from actorrl.training.run import Run
from actorrl.training.run_directory import RunDirectory, in_use
from actorrl.training.runner import Runner
from actorrl.training.saving import Resumption, unpacked
from actorrl.training.selection import FREE_SECONDS, SHARE, Selection
from actorrl.training.shared_replay import check_shared, shared_table
from actorrl.training.views import captions
from actorrl.training.weights import begun_with
from actorrl.training.wiring import wired

ROWS_PER_SNAPSHOT = 25
EPISODES_BETWEEN_RESETS = 20
"""As long as they may be; `STEPS_BETWEEN_RESETS` of one environment are the least and the most."""
STEPS_BETWEEN_RESETS = (1_000, 10_000)
EACH = 20
"""Closing episodes of each of several agents."""


def train(
    agent: Any,
    env: Any = None,
    *,
    arrangement: Any = None,
    engine: str = "processes",
    steps: int | None = None,
    seed: int = 0,
    run_dir: str | Path | None = None,
    wrappers: Sequence[Any] = (),
    callbacks: Sequence[Any] = (),
    evaluation: Mapping[str, Any] | None = None,
    stop: Mapping[str, Any] | None = None,
) -> Run:
    """Train an agent in an environment.

    Args:
        agent: the name of a preset or a YAML file, a config such as `DQNConfig()`, or your own object with
            `get_action` and `update`. Yours is never changed: a pickled copy is trained.
        env: an id ("CartPole-v1", "module:Id-v0"), a factory without arguments, or an instance.
        arrangement: who talks to whom: None for one plain loop, `Central(environments=N)` for actors,
            `SharedReplay(agents=m, environments=n)` for several agents that learn from one replay buffer,
            `Dataflow(explorers=E, environments_per_explorer=k)` for explorers that send fragments to a trainer. With a
            preset, None means the preset's own; "none" means none.
        engine: where actors live: "processes", or "inline" for debugging. A system that is running already is used.
        steps: environment steps over all environments.
        seed: an int of at least 0; the same seed gives the same numbers inline.
        run_dir: a directory that does not exist or is empty; `runs/<name>-<time>` where None.
        wrappers: innermost first: callables that take an environment and return one, `module:Class`, or short names
            such as "frame_stack" (see `filters.py`), {name, keywords} for keywords.
        callbacks: objects, or classes that take no arguments, with some of the methods `on_episode_end`,
            `on_fragment`, `on_update`, `on_evaluation`, `on_checkpoint`, `on_start`, `on_end`; each gets an `Event`.
        evaluation: how often and how long snapshots are judged, as in a file: {"every": 5_000, "episodes": 10,
            "confirm": 50}, and others of `EvaluationPlan`. Keys that are left out keep their values, a preset's too.
        stop: what ends the run before its steps are made, as in a file: {"return": 475, "minutes": 30}, "seconds" or
            "steps". Keys that are left out keep their values, a preset's too.

    Returns:
        The finished `Run`, whose `agent` is the trained one.

    Raises:
        TypeError, ValueError: what does not fit, before anything is started.
        RuntimeError: an environment that failed during training, or crashed or hung again and again; a callback that
            failed.
        FileExistsError: `run_dir` is not empty.
    """
    preset = isinstance(agent, str)
    given = {"env": env, "arrangement": arrangement, "steps": steps, "wrappers": wrappers_of(wrappers)}
    given |= {"callbacks": tuple(callbacks), "evaluation": evaluation, "stop": stop}
    # A preset's own engine and seed hold where the arguments are at their defaults.
    given["engine"] = None if preset and engine == "processes" else engine
    given["seed"] = None if preset and seed == 0 else seed
    return prepare(Experiment.of(agent, **given), run_dir).run()


@dataclass(frozen=True)
class Prepared:
    """A run that has been checked and may start; nothing runs yet, only its directory is there."""

    experiment: Experiment
    recipes: list[Recipe]
    """Of each agent."""
    source: EnvironmentSource
    directory: RunDirectory
    resumption: Resumption | None = None
    """Where it goes on from; None to begin."""
    trust: bool = False
    """Whether what that holds may be a pickle."""

    def run(self) -> Run:
        """Train to the end, evaluate best and final, draw the curve.

        Raises:
            BlockingIOError: another process is at work in the directory.
        """
        with in_use(self.directory.path):
            return self._run()

    def _run(self) -> Run:
        experiment, source, recipes = self.experiment, self.source, self.recipes
        total, agents = experiment.steps or 0, len(recipes)
        every = experiment.evaluation.interval(total, agents)
        total = min(total, experiment.stop.steps or total)
        shares = [total // agents + (j < total % agents) for j in range(agents)]
        reset = self._steps_between_resets()
        buffer = experiment.evaluation.checkpoint_buffer
        marks = [Marks(share, max(1, min(every, share) // ROWS_PER_SNAPSHOT), every, reset, buffer) for share in shares]
        evaluator = Evaluator(source, recipes[0].encoder(), experiment.seed)
        with ProgressLine(total) as progress, _one_torch_thread(), closing(evaluator):
            _announce(progress, self)
            selection = Selection(evaluator, experiment.evaluation, lambda one: player_of(recipes[one.agent], one))
            inline = experiment.arrangement is None or experiment.engine == "inline"
            where: dict[str, Any] = {"beside": source.copies, "inline": inline, "recipe": recipes[0]}
            where |= {"stop": experiment.stop, "callbacks": experiment.callbacks}
            where["config"] = experiment.to_tree(source.plain)
            runner = Runner(self.directory, selection, progress, total=total, agents=agents, **where)
            going = self._go_on(runner)
            with runner.open():
                with wired(experiment.arrangement, experiment.engine, going, source, marks) as roles:
                    runner.run(roles)
                progress.stop()
                runner.finish()
            return _close(self, runner, progress)

    def _steps_between_resets(self) -> int:
        """So many steps of an agent that each of its environments ends some episodes in between; how long the run is
        does not matter, so that a longer one is the same up to there."""
        recipe, arrangement = self.recipes[0], self.experiment.arrangement
        k = getattr(recipe.agent, "n_envs", 1) if arrangement is None else arrangement.environments
        episodes = EPISODES_BETWEEN_RESETS * (self.source.episode_limit or UNLIMITED // 2)
        least, most = STEPS_BETWEEN_RESETS
        return min(max(episodes, least), most) * max(1, k // len(self.recipes))

    def _go_on(self, runner: Runner) -> list[Recipe]:
        """The recipes, going on from the checkpoint if there is one; the runner does, too."""
        if self.resumption is None:
            return self.recipes
        restore = lambda values: unpacked(values, self.recipes, self.trust)  # noqa: E731
        runner.load_state_dict(self.resumption.run, [part.snapshot.steps for part in self.resumption.parts], restore)
        with suppress(ValueError, FileNotFoundError):  # not whole: then the next one that is confirmed is the best
            runner.best = _snapshot(self.directory.checkpoint("best"), self.recipes, self.trust)
        if runner.best is None:
            runner.forget_best()
        return self.resumption.recipes(self.recipes)


def prepare(
    experiment: Experiment, run_dir: str | Path | None = None, *, source: str | Path | None = None
) -> Prepared:
    """Check everything that can be checked before a run starts, and make its directory; the errors of `train`.

    With `source`, the directory of another run, agents begin with the weights that are best there, and nothing else
    of it.
    """
    environments, recipes = checked(experiment)
    if source is not None:
        recipes = begun_with(recipes, source)
    directory = RunDirectory.create(run_dir, experiment.name)
    directory.write_config(experiment.to_tree(environments.plain))
    directory.write_versions(source)
    return Prepared(experiment, recipes, environments, directory)


def prepare_again(
    experiment: Experiment, directory: RunDirectory, resumption: Resumption | None, trust: bool
) -> Prepared:
    """The same in a directory that a run has been in, to go on from a checkpoint; or to begin again, where None."""
    source, recipes = checked(experiment)
    began = directory.read_versions().get("from")
    if resumption is None and began is not None:
        recipes = begun_with(recipes, began)
    if resumption is not None and len(resumption.parts) != len(recipes):
        raise ValueError(
            f"the checkpoint in {directory.path} is of {len(resumption.parts)} agents, and its config.yaml says "
            f"{len(recipes)}: nothing but steps may change when a run goes on"
        )
    config = directory.read_config()
    going_on = {**config, "steps": experiment.steps, "stop": to_mapping(experiment.stop)}
    if config != going_on:
        directory.write_config(going_on)
    return Prepared(experiment, recipes, source, directory, resumption, trust)


def checked(experiment: Experiment) -> tuple[EnvironmentSource, list[Recipe]]:
    """What can be checked before a run starts: where environments come from, and each agent's recipe."""
    require_fitting(experiment.arrangement, bare_agent=experiment.bare)
    with located(*experiment.origin):
        source = EnvironmentSource(experiment.env, experiment.wrappers)
    if experiment.arrangement is not None:
        source.makers(experiment.arrangement.environments)
    return source, _recipes(experiment, source)


def _recipes(experiment: Experiment, source: EnvironmentSource) -> list[Recipe]:
    """Each agent, checked: a bare one by its rehearsal, a config by building its parts."""
    with located(*experiment.origin):
        observation_space, action_space = source.spaces()
    if experiment.bare:
        check_agent(experiment.agent, source.maker(), close=source.copies)
        return [Recipe(copy_of(experiment.agent), True, observation_space, action_space, experiment.seed)]
    configs = experiment.trainees()
    recipes = [
        Recipe(config, False, observation_space, action_space, agent_seed(experiment.seed, j))
        for j, config in enumerate(configs)
    ]
    agents = [recipe.build() for recipe in recipes]
    if isinstance(experiment.arrangement, SharedReplay):
        check_shared(configs, agents)
        shared_table(agents, experiment.arrangement)  # refuses a limiter that would deadlock
    if isinstance(experiment.arrangement, Dataflow):
        check_streamed(configs[0], agents[0], experiment.arrangement)
    return recipes


def _snapshot(directory: Path, recipes: list[Recipe], trust: bool) -> Snapshot:
    about = checkpoints.about(directory)
    number = int(about.get("agent", 0))
    if checkpoints.is_pickle(directory):
        return Snapshot(int(about["steps"]), checkpoints.load_pickle(directory, trust=trust), None, number)
    state = checkpoints.load_state(directory)
    return Snapshot(int(about["steps"]), recipes[number].restored(state), state, number)


def player_of(recipe: Recipe, snapshot: Snapshot) -> Player:
    """Who acts in the evaluation of a snapshot."""
    if recipe.bare:
        # Another copy: acting may change an agent, and the snapshot is what is kept.
        return Player.of_agent(copy_of(snapshot.policy), recipe.action_space)
    return Player(snapshot.policy, recipe.encoder(), True)


def _announce(progress: ProgressLine, prepared: Prepared) -> None:
    experiment, arrangement = prepared.experiment, prepared.experiment.arrangement
    placed = captions.placed(experiment.to_tree(prepared.source.plain))
    if arrangement is not None:
        placed += f", engine {experiment.engine}"
    elif experiment.engine == "ray":
        placed += " (engine ray has no actors to place without an arrangement: --arrangement central)"
    kinds = dict.fromkeys(type(recipe.agent).__name__.removesuffix("Config") for recipe in prepared.recipes)
    agent, env, steps = " and ".join(kinds), prepared.source.name, captions.counted(experiment.steps or 0, "step")
    progress.say(f"{agent} on {env} · {placed} · {steps} · seed {experiment.seed}", "bold")
    progress.say(f"run directory {prepared.directory.path}")
    if prepared.resumption is not None:
        exact = all(part.exact for part in prepared.resumption.parts)
        how = "" if exact else ", in the midst of episodes, which begin again"
        progress.say(f"goes on from step {prepared.resumption.steps:,}{how}")


def _close(prepared: Prepared, runner: Runner, progress: ProgressLine) -> Run:
    """Write the final checkpoint, evaluate best and final over fresh episodes, draw the curve."""
    experiment, directory = prepared.experiment, prepared.directory
    final, best = runner.final, runner.best
    assert final is not None and best is not None
    config = experiment.to_tree(prepared.source.plain)
    fresh = {"final": final, "best": best}
    run = Run(directory, prepared.recipes, prepared.source, config, trust=True, fresh=fresh)
    run.plot()
    rate = runner.made / max(runner.seconds, 1e-9)
    progress.say(f"trained for {duration(runner.seconds)}, {rate:,.0f} steps/s; {runner.evaluated}")
    if runner.dropped:
        crashed = "1 episode was" if runner.dropped == 1 else f"{runner.dropped} episodes were"
        progress.say(f"{crashed} dropped: the environment crashed in it, or hung, and was started again", "yellow")
    began = time.monotonic()
    patience = max(FREE_SECONDS, SHARE * runner.seconds)
    episodes = experiment.evaluation.final
    results: dict[int, Evaluation] = {}
    for which, snapshot in (("best", best), ("final", final)):
        if snapshot.steps not in results:
            results[snapshot.steps] = run.evaluate(episodes, which, patience=patience)
        whose = f" of agent {snapshot.agent}" if len(prepared.recipes) > 1 else ""
        progress.say(f"{which:>5}  {results[snapshot.steps]}   after {snapshot.steps:,} steps{whose}", "bold green")
    for number in directory.agents():
        progress.say(f"       agent {number} at the end: {run.evaluate(EACH, number, patience=FREE_SECONDS)}")
    if any(len(result.returns) < episodes for result in results.values()):
        progress.say(f"  cut short after {duration(time.monotonic() - began)}: run.evaluate() plays all {episodes}")
    progress.say(f"curve  {directory.path / 'curve.png'}")
    return run


@contextmanager
def _one_torch_thread() -> Any:
    """Small networks lose by threads, and beside busy processes by a lot; the caller's setting comes back."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
