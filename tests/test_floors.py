"""The house rules: imports go down and never round, files and functions stay small, one file per foreign library."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "actorrl"
FILES = sorted(PACKAGE.rglob("*.py"))
FLOOR = {"_version": 0, "errors": 0, "actor": 1, "rl": 2, "training": 3, "cli": 4, "__main__": 4}
NAMELESS = {"utils", "util", "helpers", "common", "base", "misc", "manager"}
EXTRAS = {"rich", "tyro", "yaml", "matplotlib", "tensorboard"}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in FILES}


def imported(path: Path, *, only_at_import: bool = False) -> Iterator[tuple[int, str]]:
    """(line, absolute module name) of each import in a file, functions and TYPE_CHECKING included unless asked not to.

    `from a import b` yields `a.b` where that is a module of ours, else `a`.
    """
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in walk(ast.parse(path.read_text()), only_at_import):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                source = ".".join([*parents, source] if source else parents)
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield node.lineno, inner if inner in MODULES else source


def walk(node: ast.AST, only_at_import: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if only_at_import:
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
        yield child
        yield from walk(child, only_at_import)


def floor(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@each_file
def test_imports_only_go_down(path: Path):
    here = floor(module_name(path))
    if not here:
        pytest.skip("the table of contents names every floor")
    for line, module in imported(path):
        if module.split(".")[0] != "actorrl":
            continue
        there = floor(module)
        place = f"{path}:{line} imports {module}"
        assert there, f"{place}: name the module that owns it, not the table of contents"
        assert FLOOR[there] <= FLOOR[here], f"{place}: floor {FLOOR[here]} may not know floor {FLOOR[there]}"
        assert (here, there) != ("rl", "actor"), f"{place}: actor and rl have never heard of each other"


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        name: {m for _, m in imported(path, only_at_import=True) if m in MODULES and m != name}
        for name, path in MODULES.items()
    }
    while leaves := [name for name, needs in graph.items() if not needs]:
        graph = {name: needs - set(leaves) for name, needs in graph.items() if name not in leaves}
    in_cycle = {name: sorted(needs) for name, needs in graph.items()}
    assert not in_cycle, f"these modules import each other in a circle, or import such a circle: {in_cycle}"


@each_file
def test_a_file_says_what_it_owns_and_holds_one_concept(path: Path):
    text = path.read_text()

    assert ast.get_docstring(ast.parse(text)), f"{path} does not say what it owns and who calls it"
    assert text.count("\n") <= 400, f"{path} has {text.count(chr(10))} lines, 400 is the most"
    assert path.stem not in NAMELESS, f"{path}: a name that says nothing"


@each_file
def test_functions_fit_on_a_screen(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node, clean=False)
            lines = (node.end_lineno or 0) - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)
            assert lines <= 40, f"{path}:{node.lineno} {node.name}: {lines} lines without its docstring, 40 is the most"


def importers(library: str) -> list[str]:
    return [str(p.relative_to(ROOT)) for p in FILES if any(m.split(".")[0] == library for _, m in imported(p))]


@pytest.mark.parametrize("library", ["zmq", "multiprocessing", "ray"])
def test_one_file_at_most_knows_each_way_to_make_processes(library: str):
    files = importers(library)

    assert len(files) <= 1, f"{library} is imported by {files}: one file owns it"
    assert files, f"nothing imports {library}: this test looks for the wrong thing"
    assert all(name.startswith("actorrl/actor/") for name in files), f"{library} belongs to the runtime, not {files}"


@each_file
def test_libraries_stay_on_their_floor(path: Path):
    foreign = {
        "errors": {"torch", "gymnasium", "numpy", "zmq", *EXTRAS},
        "actor": {"gymnasium", *EXTRAS},
        "rl": {"zmq", "socket", *EXTRAS},
    }.get(floor(module_name(path)), set())
    for line, module in imported(path):
        assert module.split(".")[0] not in foreign, f"{path}:{line} imports {module}: this floor has never heard of it"


def test_the_runtime_imports_torch_only_where_a_tensor_has_arrived():
    runtime = [path for path in FILES if floor(module_name(path)) == "actor"]
    at_import = [str(path) for path in runtime if "torch" in {m for _, m in imported(path, only_at_import=True)}]

    anywhere = [name for name in importers("torch") if name.startswith("actorrl/actor/")]

    assert not at_import, "a tensor that was sent is rebuilt with torch, in a function; nothing else needs it"
    assert set(anywhere) <= {"actorrl/actor/arrays.py"}


def test_ray_is_imported_where_it_is_asked_for_and_nowhere_else():
    on_ray = {name for name in MODULES if name.startswith("actorrl.actor.ray_")}
    at_import = {
        name
        for name, path in MODULES.items()
        if name not in on_ray and on_ray & {module for _, module in imported(path, only_at_import=True)}
    }

    assert not at_import, "Ray is optional: system.py imports its engine in a function"
