"""A state_dict on disk: what goes in comes out, and nothing in a file is ever run."""

from __future__ import annotations

import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch

from actorrl.training import arrays_file, checkpoints
from actorrl.training.roles import Snapshot


def test_what_goes_in_comes_out(tmp_path):
    state = {
        "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
        "net": OrderedDict(bias=torch.tensor([1.5, float("nan")])),
        "q": {(0, 1, True): [0.1, 2.0], 7: (None, "text")},
        "count": 3,
        "limits": [float("inf"), np.float64(0.25), np.int64(4)],
        "names": np.array(["a", "bc"]),
    }

    arrays_file.save(tmp_path / "state.npz", state)
    again = arrays_file.load(tmp_path / "state.npz")

    np.testing.assert_array_equal(again["weights"], state["weights"])
    assert again["weights"].dtype == np.float32
    assert torch.equal(again["net"]["bias"][:1], torch.tensor([1.5])) and torch.isnan(again["net"]["bias"][1])
    assert again["q"] == state["q"]
    assert again["count"] == 3 and again["limits"] == state["limits"]
    assert type(again["limits"][2]) is np.int64
    assert again["names"].tolist() == ["a", "bc"]


def test_what_would_need_a_pickle_is_refused_and_located(tmp_path):
    with pytest.raises(TypeError, match=r"state\['net'\]\[1\] is a object"):
        arrays_file.save(tmp_path / "state.npz", {"net": [1, object()]})
    with pytest.raises(TypeError, match="ndarray"):
        arrays_file.pack({"a": np.array([object()])})


def test_a_pickle_inside_the_file_is_not_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemError('ran')",))

    np.savez(tmp_path / "state.npz", structure=np.array(Bomb(), dtype=object))

    with pytest.raises(ValueError, match="pickle"):
        arrays_file.load(tmp_path / "state.npz")


def test_a_checkpoint_replaces_the_one_before_as_a_whole(tmp_path):
    where = tmp_path / "best"
    for steps in (1, 2):
        checkpoints.save(where, Snapshot(steps, None, {"w": np.array([steps])}), mean_return=9.5)

    about = checkpoints.about(where)
    assert (about["steps"], about["mean_return"], list(about["files"])) == (2, 9.5, ["agent.npz"])
    assert checkpoints.load_state(where)["w"].tolist() == [2]
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_a_pickled_agent_is_not_opened_without_trust(tmp_path):
    checkpoints.save(tmp_path / "final", Snapshot(1, {"agent": 1}, None))

    with pytest.raises(PermissionError, match="trust"):
        checkpoints.load_pickle(tmp_path / "final", trust=False)
    assert checkpoints.load_pickle(tmp_path / "final", trust=True) == {"agent": 1}
    assert pickle.loads((tmp_path / "final" / "agent.pkl").read_bytes()) == {"agent": 1}
