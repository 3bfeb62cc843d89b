"""Seeds: independent along every path, the same each time, also for libraries that are imported later."""

from __future__ import annotations

import importlib
import importlib.util
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorrl.actor import seeds

np = pytest.importorskip("numpy")


@pytest.fixture(autouse=True)
def the_generators_of_the_tests_stay() -> Iterator[None]:
    before, finders, torch = seeds.save(), list(sys.meta_path), sys.modules.get("torch")
    yield
    sys.meta_path[:] = finders
    sys.modules.pop("torch", None)
    if torch is not None:
        sys.modules["torch"] = torch
    seeds._OnImport.waiting = {}
    seeds.load(before)


def draw() -> tuple[float, ...]:
    torch = sys.modules.get("torch")
    own = (torch.rand((), dtype=torch.float64).item(),) if torch is not None else ()
    return (random.random(), float(np.random.random()), *own)


def after(seed: int, path: tuple[int, ...]) -> tuple[float, ...]:
    seeds.reseed(seed, path)
    return draw()


PATHS = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@given(st.lists(st.tuples(st.integers(0, 2**63), PATHS), min_size=2, max_size=6, unique=True))
@settings(max_examples=30)
def test_every_seed_and_path_has_numbers_of_its_own_and_always_the_same(actors):
    first = [after(seed, path) for seed, path in actors]
    again = [after(seed, path) for seed, path in reversed(actors)][::-1]

    assert first == again
    for stream in zip(*first, strict=True):
        assert len(set(stream)) == len(actors)


def test_paths_that_read_alike_are_different():
    rows = [after(1, (11,)), after(1, (1, 1)), after(11, (1,)), after(1, ()), after(1, (0,)), after(10, ())]

    assert len(set(rows)) == len(rows)


def test_the_libraries_draw_different_numbers():
    torch = pytest.importorskip("torch")
    assert torch is not None
    row = after(3, (0,))

    assert len({round(number, 9) for number in row}) == len(row) == 3


def test_seeding_does_not_touch_a_generator_of_the_users_own():
    mine = np.random.default_rng(5)
    expected = np.random.default_rng(5).random(2)
    first = mine.random()
    seeds.reseed(1, (0,))

    assert [first, mine.random()] == expected.tolist()


def test_states_are_saved_and_put_back():
    state = seeds.save()
    first = draw()
    seeds.reseed(4, (2,))
    seeds.load(state)

    assert draw() == first


def test_a_state_from_before_an_import_leaves_the_library_alone():
    seeds.reseed(4, (2,))
    state = {"random": random.getstate()}
    first = draw()
    seeds.load(state)
    second = draw()

    assert second[0] == first[0]
    assert second[1] != first[1]


def late_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str = "torch") -> None:
    """Something to import under the name of a library, which draws from its generator while it is imported."""
    (tmp_path / f"{name}.py").write_text(
        "import types, random as _r\n"
        "class Generator:\n"
        "    def manual_seed(self, seed): self.seed = seed; seeded.append(seed)\n"
        "seeded = []\n"
        "random = types.SimpleNamespace(default_generator=Generator())\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop(name, None)


def test_a_library_that_is_imported_later_is_seeded_then_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    late_library(tmp_path, monkeypatch)
    seeds.reseed(9, (1,))
    first = importlib.import_module("torch")
    assert len(first.seeded) == 1
    importlib.reload(first)
    assert first.seeded == [], "a reload is the user's own affair"
    del sys.modules["torch"]
    seeds.reseed(9, (1,))
    seeds.reseed(9, (2,))
    second = importlib.import_module("torch")

    assert len(second.seeded) == 1, "the last seed counts"
    assert [finder for finder in sys.meta_path if finder is seeds._OnImport] == [seeds._OnImport]


def test_asking_whether_there_is_such_a_library_does_not_use_its_seed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    late_library(tmp_path, monkeypatch)
    seeds.reseed(9, (1,))
    assert importlib.util.find_spec("torch") is not None
    assert importlib.util.find_spec("torch") is not None
    library = importlib.import_module("torch")

    assert len(library.seeded) == 1


def test_a_library_that_is_missing_stays_missing(monkeypatch: pytest.MonkeyPatch):
    seeds._OnImport.waiting = {"a_library_that_is_missing": lambda module: None}
    monkeypatch.setattr(sys, "meta_path", [seeds._OnImport, *sys.meta_path])

    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("a_library_that_is_missing")


def test_an_import_that_fails_is_the_importers_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "torch.py").write_text("raise ImportError('no CUDA today')")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("torch", None)
    seeds.reseed(9, (1,))

    with pytest.raises(ImportError, match="no CUDA today"):
        importlib.import_module("torch")
