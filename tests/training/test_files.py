"""Files and what is read from them: lines in errors, validated figures, the dry run, and weights of another run."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
import yaml
from small_agents import Tabular

from actorrl import (
    Central,
    Dataflow,
    DQNConfig,
    PPOConfig,
    QLearningConfig,
    ReinforceConfig,
    SACConfig,
    SharedReplay,
    load,
    resume,
    train,
)
from actorrl.cli.main import main
from actorrl.training import checkpoints, curve, presets
from actorrl.training.entry import prepare
from actorrl.training.experiment import Experiment, read
from actorrl.training.lines import lines_of
from actorrl.training.trial import Trial, dry_run

FILE = """\
# mine
env: FrozenLake-v1
agent:
  name: qlearning
  gamma: 0.9
steps: 50
evaluation: {every: 20,
  episodes: 3}
"""


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch):
    monkeypatch.setattr(curve, "save", lambda figure, path: None)
    monkeypatch.setattr(curve, "draw", lambda *arguments: None)


def test_every_key_has_its_line():
    lines = lines_of(FILE)

    assert (lines["env"], lines["agent"], lines["agent.gamma"], lines["evaluation.episodes"]) == (2, 3, 5, 8)
    assert lines_of("") == {}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gamma", "gama", r"mine.yaml, line 5: agent.gama is not known; did you mean 'agent.gamma'\?"),
        ("gamma", "learning-rat", r"mine.yaml, line 5: agent.learning-rat is not known"),
        ("0.9", "1.5", r"mine.yaml, line 5: QLearningConfig: gamma must be a number between 0 and 1, found 1.5"),
        ("0.9", "often", r"mine.yaml, line 5: agent.gamma must be a number, found 'often'"),
        ("env", "enf", r"mine.yaml, line 2: enf is not known; did you mean 'env'\?"),
        ("qlearning", "qlerning", r"mine.yaml, line 4: agent 'qlerning' is not known"),
        ("episodes", "episode", r"mine.yaml, line 8: evaluation.episode is not known"),
        ("50", "-5", r"mine.yaml, line 6: steps must be an integer of at least 1"),
        ("steps: 50", "engine: prozesses", r"mine.yaml, line 6: engine 'prozesses' is not known; did you mean 'proc"),
        ("steps: 50", "arrangement: {name: central, environment: 2}", r"line 6: arrangement.environment is not known"),
        ("steps: 50", "env: CartPole-v1", r"mine.yaml, line 6: env stands there twice, first in line 2"),
        ("50", "often", r"mine.yaml, line 6: steps must be an integer of at least 1, found 'often'"),
        ("steps: 50", "stop: 60", r"line 6: stop must hold keys and values"),
        ("steps: 50", "stop: {return: .nan}", r"line 6: stop.return must be a finite number"),
        ("steps: 50", "callbacks: 5", r"line 6: callbacks must be a list"),
        ("steps: 50", "wrappers: 5", r"line 6: wrappers must be a list"),
        ("steps: 50", "stop: {hours: 2}", r"line 6: stop.hours is not known"),
        ("steps: 50", "callbacks: ['json:nobody']", r"the callback 'json:nobody': json has no 'nobody'"),
        ("{every", "{{every", r"mine.yaml, line 9: this is not YAML: .*begins in line 7"),
        ("20,", "[20,", r"mine.yaml, line \d: this is not YAML: "),
        ("20", "0", r"mine.yaml, line 7: EvaluationPlan: every must be a positive integer, found 0"),
        ("steps: 50", "wrappers:\n  - flatten\n  - frame_stak", r"line 8: the wrapper 'frame_stak' is not known; did"),
        ("steps: 50", "wrappers: [{name: frame_stack, stack: 3}]", r"line 6: .* no 'stack'; did you mean 'stack_s"),
        ("steps: 50", "callbacks:\n  - {name: nowhere:X}", r"line 7: the callback 'nowhere:X': the module"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line_and_the_nearest_name(old, new, said):
    Path("mine.yaml").write_text(FILE.replace(old, new, 1))

    with pytest.raises(ValueError, match="(?s)" + said):
        read("mine.yaml")
    with pytest.raises(ValueError, match="(?s)" + said):
        train("mine.yaml", run_dir="out")
    assert not Path("out").exists()


SEVERAL = """\
env: CartPole-v1
steps: 50
arrangement:
  name: shared-replay
  agents:
    - name: dqn
      gamma: 0.9
    - {name: dqn,
       gamma: 0.8}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("gamma: 0.9", "gama: 0.9", r"mine.yaml, line 7: arrangement.agents\[0\].gama is not known; did you mean"),
        ("gamma: 0.8", "gama: 0.8", r"mine.yaml, line 9: arrangement.agents\[1\].gama is not known; did you mean"),
        ("gamma: 0.8", "gamma: often", r"mine.yaml, line 9: arrangement.agents\[1\].gamma must be a number"),
        ("0.8", "8", r"mine.yaml, line 8: arrangement.agents\[1\]: DQNConfig: gamma must be a number between 0 and 1"),
        ("{name: dqn", "{name: dqm", r"mine.yaml, line 8: arrangement.agents\[1\]: agent 'dqm' is not known; did you"),
    ],
)
def test_which_of_several_agents_does_not_fit_is_said_with_its_line(old, new, said):
    Path("mine.yaml").write_text(SEVERAL.replace(old, new, 1))

    with pytest.raises(ValueError, match=said):
        read("mine.yaml")


def test_agents_of_a_list_may_be_names():
    Path("mine.yaml").write_text(SEVERAL.partition("    - ")[0] + "    - dqn\n    - {name: dqn}\n")

    assert read("mine.yaml").arrangement.agents == (DQNConfig(), DQNConfig())


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ("FrozenLak-v1", r"mine.yaml, line 2: env 'FrozenLak-v1' is not registered"),
        ("nowhere:Lake-v1", r"mine.yaml, line 2: env 'nowhere:Lake-v1': the module 'nowhere' cannot be imported"),
        ("{name: LunarLander-v3, gravity: -20}", r"line 2: env: LunarLander-v3 could not be made: Ass.*: gravity"),
        ("{name: FrozenLake-v1, is_slipery: false}", r"line 2: env.is_slipery: .* did you mean 'is_slippery'\?"),
    ],
)
def test_an_environment_that_cannot_be_is_refused_with_its_line(env, said):
    Path("mine.yaml").write_text(FILE.replace("FrozenLake-v1", env, 1))

    with pytest.raises(ValueError, match=said):
        train("mine.yaml", run_dir="out")
    with pytest.raises(ValueError, match=r"^env 'Lake'"):
        train("mine.yaml", "Lake", run_dir="out")
    assert not Path("out").exists()


def test_who_names_a_file_without_its_end_or_a_run_is_told_what_to_do():
    Path("mine.yaml").write_text(FILE)
    (Path("lake") / "checkpoints").mkdir(parents=True)
    Path("lake/config.yaml").write_text(FILE)

    with pytest.raises(ValueError, match=r"there is no preset 'mine'; did you mean the file mine.yaml\?"):
        read("mine")
    with pytest.raises(ValueError, match=r"but a run of that name: go on .*, actorrl resume lake, or .*lake/config"):
        read("lake")


def test_what_an_option_says_is_not_blamed_on_the_file():
    Path("mine.yaml").write_text(FILE)

    with pytest.raises(ValueError, match=r"^QLearningConfig: gamma must be"):
        read("mine.yaml", {"agent.gamma": 3})
    assert read("mine.yaml", {"agent.gamma": 0.5}).agent.gamma == 0.5
    with pytest.raises(ValueError, match=r"^env: LunarLander-v3 could not be made: AssertionError: gravity"):
        prepare(read("lunarlander", {"env.gravity": -20}))


def test_whatever_show_prints_is_trained_as_the_preset_is(capfd):
    for name in presets.names():
        assert main(["show", name]) == 0
        Path("shown.yaml").write_text(capfd.readouterr().out)
        shown, preset = read("shown.yaml"), read(name)
        assert (shown.agent, shown.arrangement, shown.steps) == (preset.agent, preset.arrangement, preset.steps)


def test_the_figures_that_list_shows_are_those_of_the_recorded_gates():
    path = Path(__file__).parents[2] / "benchmarks" / "gates.py"
    spec = importlib.util.spec_from_file_location("gates", path)
    assert spec is not None and spec.loader is not None
    import sys

    sys.path.insert(0, str(path.parent))
    try:
        gates = importlib.util.module_from_spec(spec)
        sys.modules["gates"] = gates
        spec.loader.exec_module(gates)
    finally:
        sys.path.remove(str(path.parent))
    recorded = json.loads((path.parent / "results" / "gates.json").read_text())

    assert presets.validated() == gates.validated(recorded)
    for name, found in presets.validated().items():
        assert found["steps"] == read(name).steps, f"{name} has other steps than when it was validated"


def test_versions_commit_seed_and_command_land_in_the_run_directory():
    run = train(QLearningConfig(), "FrozenLake-v1", steps=30, seed=7)

    said = yaml.safe_load((run.directory / "versions.yaml").read_text())
    assert said["numpy"] == np.__version__ and {"actorrl", "python", "torch", "git", "command"} <= set(said)
    assert yaml.safe_load((run.directory / "config.yaml").read_text())["seed"] == 7


# -- dry run -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "arrangement"),
    [
        (DQNConfig(), None),
        (DQNConfig(n_steps=50), Central(2)),
        (DQNConfig(), SharedReplay(2, 2)),
        (PPOConfig(), Dataflow(2, 2)),
        (PPOConfig(n_envs=4, n_steps=2048), None),
        (ReinforceConfig(), Central(2)),
        (DQNConfig(), Dataflow(2, 2)),
    ],
)
def test_a_dry_run_builds_everything_learns_from_it_and_keeps_nothing(agent, arrangement):
    experiment = Experiment.of(agent, env="CartPole-v1", steps=10**9, arrangement=arrangement, engine="inline")

    trial = dry_run(experiment)

    assert trial.steps == 20 * trial.roles == {None: 20}.get(arrangement, trial.steps)
    assert trial.memory > 50e6 and trial.updates is not None and trial.updates > 0
    assert not list(Path().iterdir())


class Unlearnable(torch.nn.Module):
    """A network that acts, and fails where somebody wants to learn."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, outputs)

    def forward(self, observation):
        if torch.is_grad_enabled() and len(observation) > 1:
            raise RuntimeError("no batch of mine")
        return self.layer(observation)


@pytest.mark.parametrize("config", [DQNConfig, PPOConfig])
def test_a_dry_run_finds_a_network_that_cannot_be_learned_with(config):
    agent = config(network=lambda space, outputs: Unlearnable(outputs))

    with pytest.raises(RuntimeError, match="no batch of mine"):
        dry_run(Experiment.of(agent, env="CartPole-v1", steps=10**9))


def test_a_dry_run_says_how_much_memory_a_full_replay_table_takes():
    agent = DQNConfig(buffer_size=10**8)  # as zeros that nobody has touched it takes next to nothing

    trial = dry_run(Experiment.of(agent, env="CartPole-v1", steps=10**9))

    assert trial.table == 10**8 * (4 * 4 + 8 + 4 + 4 * 4 + 4) and trial.memory < trial.table
    assert str(trial).endswith("\n+ up to 4,800 MB when the replay table is full")
    assert "table" not in str(dry_run(Experiment.of(PPOConfig(), env="CartPole-v1", steps=10**9)))


class Marked(gymnasium.Env):
    """Fails where episodes are judged, whose seeds are none of training's."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    made = 0

    def __init__(self) -> None:
        self.number = Marked.made = Marked.made + 1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.number > 2:  # the first is asked for its spaces, the second trains
            raise KeyError("not to be judged")
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}


def test_a_dry_run_makes_environments_to_judge_in_and_plays_in_them():
    with pytest.raises(Exception, match="not to be judged"):
        dry_run(Experiment.of(DQNConfig(), env=Marked, steps=10**9))


def test_a_dry_run_refuses_the_weights_and_the_directory_that_the_run_would_refuse(capfd):
    Path("taken").mkdir()
    Path("taken/precious").touch()
    train(DQNConfig(hidden_sizes=(8,)), "CartPole-v1", steps=20, run_dir="first")
    dry = ["train", "cartpole-dqn", "--dry-run"]

    assert main([*dry, "--run-dir", "taken"]) == 2
    assert "the run directory taken is there already and not empty" in capfd.readouterr().err
    assert main([*dry, "--from", "first"]) == 2
    assert "the weights there are those of another network" in capfd.readouterr().err
    assert main([*dry, "--from", "nowhere"]) == 2
    assert main([*dry, "--from", "first", "--run-dir", "new", "--agent.hidden_sizes", "[8]"]) == 0
    assert not Path("new").exists()


@pytest.mark.slow
def test_a_dry_run_on_the_command_line_counts_processes(capfd):
    assert main(["train", "cartpole", "--dry-run", "--arrangement.environments", "2"]) == 0

    out = capfd.readouterr().out
    assert "20 steps of 1 role, 20 in all" in out and "when the replay table is full" in out
    assert int(out.splitlines()[1].split()[0]) >= 4, "this one, the agent's, two environments'"
    assert "MB of memory" in out and not Path("runs").exists()


def test_a_dry_run_says_why_it_made_more_steps_than_each_role_should():
    exact, more = Trial(40, 2, 1.0, 3, 1, 2), Trial(24, 1, 1.0, 1, 1, 1)
    assert str(exact).startswith("20 steps of each of 2 roles, 40 in all, 2 updates, in 1.0 s")
    assert str(more).startswith("at least 20 steps of 1 role, 24 in all (environments are stepped together), 1 update")


def test_a_dry_run_finds_what_would_fail():
    where = {"arrangement": Central(1), "engine": "inline"}
    with pytest.raises(RuntimeError, match="KeyError"):
        dry_run(Experiment.of(DQNConfig(), env="small_agents:Failing", steps=10**9, **where))


# -- from ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "env"),
    [
        (DQNConfig(learning_starts=16, hidden_sizes=(8,), batch_size=8), "CartPole-v1"),
        (SACConfig(learning_starts=16, hidden_sizes=(8,), batch_size=8), "Pendulum-v1"),
        (PPOConfig(n_steps=8, n_envs=2, batch_size=8, normalize_observation=True), "CartPole-v1"),
        (QLearningConfig(), "FrozenLake-v1"),
    ],
)
def test_from_begins_with_weights_and_nothing_else(agent, env):
    train(agent, env, steps=80, run_dir="first")
    prepared = prepare(Experiment.of(agent, env=env, steps=40), "second", source="first")

    begun = prepared.recipes[0].build().learner.state_dict()
    best = checkpoints.load_state(Path("first/checkpoints/best"))
    kept = [name for name in begun if np.array_equal(begun[name], best[f"learner.{name}"]) and np.size(begun[name]) > 1]
    assert any(name.startswith(("online", "actor", "module", "values")) for name in kept)
    assert begun.get("updates", 0) == 0 and not np.any(begun.get("adam.mean", 0))
    assert prepared.run().metrics["steps"][-1] == 40
    assert str(Path("first").resolve()) in Path("second/versions.yaml").read_text()


def test_from_takes_over_the_scale_of_rewards_that_values_were_learned_in():
    agent = PPOConfig(n_steps=8, n_envs=2, batch_size=8, normalize_reward=True)
    train(agent, "CartPole-v1", steps=80, run_dir="first")
    prepared = prepare(Experiment.of(agent, env="CartPole-v1", steps=40), "second", source="first")

    best = checkpoints.load_state(Path("first/checkpoints/best"))
    begun = prepared.recipes[0].build().learner.state_dict()
    scale = {name: best[f"learner.{name}"] for name in ("returns.mean", "returns.var", "returns.count")}
    assert scale["returns.count"] > 0 and {name: begun[name] for name in scale} == scale
    after = prepared.run().agent.parts.learner.state_dict()
    assert after["returns.count"] == scale["returns.count"] + 32, "two whole rounds of 16 steps"


def test_from_says_of_a_pickled_agent_what_can_be_done(capfd):
    train(Tabular(4), "FrozenLake-v1", steps=20, run_dir="first")
    tree = {"env": "FrozenLake-v1", "agent": "small_agents:Tabular", "steps": 20}
    Path("mine.yaml").write_text(yaml.safe_dump(tree))

    assert main(["train", "mine.yaml", "--from", "first"]) == 2
    said = capfd.readouterr().err
    assert "--from first: the agent there was pickled" in said and "actorrl resume first --steps N --trust" in said


def test_from_refuses_another_network_and_a_run_begins_again_from_the_same_weights(capfd):
    train(DQNConfig(hidden_sizes=(8,)), "CartPole-v1", steps=20, run_dir="first")

    said = r"another network or algorithm: in this run \S+ has the shape .*9.*, in that one it has the shape .*8"
    with pytest.raises(ValueError, match=said):
        prepare(Experiment.of(DQNConfig(hidden_sizes=(9,)), env="CartPole-v1", steps=20), "second", source="first")
    assert not Path("second").exists()
    again = ["--agent.hidden_sizes", "[8]", "--arrangement", "none", "--steps", "20", "--run-dir", "second"]
    assert main(["train", "cartpole", "--from", "first", *again]) == 0
    assert load("second").checkpoints and resume("second").directory == Path("second")
