"""Imports point down, between the top folders and between the rooms of `rewardkit`, and never in a circle."""

import ast
import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

import rewardkit
import rm

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "rewardkit": {"rewardkit"},
    "rm": {"rewardkit", "rm"},
    "refl": {"rewardkit", "refl"},
    "pe": {"rewardkit", "pe"},
}
ABOVE = {"tests", "benchmarks"}
ROOMS = (
    "types",
    "errors",
    "stats",
    "io",
    "prompts",
    "images",
    "training",
    "report",
    "data",
    "encoders",
    "ocr",
    "rewards",
    "posters",
    "seedling",
    "diffusion",
    "plan",
    "leaderboard",
    "commands",
    "workflows",
)
"""Inside `rewardkit` a room imports itself and the rooms before it."""
TOP = {"__init__.py", "__main__.py", "types.py", "errors.py", "py.typed"}
FILES = [path.relative_to(ROOT) for floor in MAY_IMPORT for path in sorted((ROOT / floor).rglob("*.py"))]
OURS = {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in FILES}


def imported(source: str) -> set[str]:
    """Every module that a file imports, wherever the import stands (inside a function counts)."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports in full: import path = file path"
            whole = {f"{node.module}.{alias.name}" for alias in node.names} & OURS
            names |= whole or {node.module or ""}
        elif isinstance(node, ast.Call) and called(node.func) in ("import_module", "__import__"):
            names |= {str(word.value) for word in node.args[:1] if isinstance(word, ast.Constant)}
    return names


def called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def read(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def upward(path: Path, source: str) -> set[str]:
    """What a file imports that it may not: another floor above or beside it, or a later room."""
    found = imported(source)
    forbidden = (MAY_IMPORT.keys() | ABOVE) - MAY_IMPORT[path.parts[0]]
    wrong = {name for name in found if name.split(".")[0] in forbidden}
    room = Path(path.parts[1]).stem
    if path.parts[0] == "rewardkit" and room in ROOMS:
        later = set(ROOMS[ROOMS.index(room) + 1 :])
        wrong |= {name for name in found if name.startswith("rewardkit.") and name.split(".")[1] in later}
    return wrong


def circle(edges: Mapping[str, Iterable[str]]) -> list[str]:
    """Name the members of one circle of a graph, in order; nothing where there is none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for following in sorted(edges.get(node, ())):
            if found := visit(following, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(edges) if (found := visit(node, []))), [])


def between_files() -> dict[str, set[str]]:
    """The top `__init__` offers names of every room, lazily, and stands outside."""
    names = {module(path): path for path in FILES if module(path) not in MAY_IMPORT}
    return {name: (imported(read(path)) & names.keys()) - {name} for name, path in names.items()}


def between_folders() -> dict[str, set[str]]:
    """A folder's own files are its node; what lies in a folder inside it is another's."""
    folder = {module(path): ".".join(path.parent.parts) if path.parts[1] not in TOP else module(path) for path in FILES}
    edges: dict[str, set[str]] = {}
    for name, others in between_files().items():
        edges.setdefault(folder[name], set()).update({folder[other] for other in others} - {folder[name]})
    return edges


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_down(path: Path) -> None:
    assert not upward(path, read(path))


@pytest.mark.parametrize(
    "source",
    [
        "import rm",
        "import rm.model as m",
        "from rm.model import X",
        "def f():\n    from rm import x",
        "import importlib\nimportlib.import_module('rm.model')",
        "def f():\n    from rewardkit.rewards.panel import Panel",
        "def f():\n    from rewardkit import rewards",
    ],
)
def test_every_way_to_import_upwards_is_seen(source: str) -> None:
    assert upward(Path("rewardkit/images/files.py"), source)


def test_every_folder_is_a_room_and_the_top_is_bare() -> None:
    there = {path.name for path in (ROOT / "rewardkit").iterdir() if path.name != "__pycache__"}
    assert there - TOP == {room for room in ROOMS if (ROOT / "rewardkit" / room).is_dir()}
    assert there - TOP | {"types", "errors"} == set(ROOMS)


def test_no_file_and_no_folder_imports_itself_by_a_detour() -> None:
    assert circle(between_files()) == []
    assert circle(between_folders()) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_is_one_idea(path: Path) -> None:
    assert path.name not in ("utils.py", "common.py", "helpers.py")
    assert len(read(path).splitlines()) <= 300


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 80, node.name


def test_the_public_names_are_those_of_the_lazy_table() -> None:
    """Each one loads, and is what its home calls by that name."""
    assert rewardkit.__all__ == sorted([*rewardkit._HOMES, "__version__"])
    for name, home in rewardkit._HOMES.items():
        assert getattr(rewardkit, name) is getattr(importlib.import_module(home), name)
    assert rm.RewardModel is importlib.import_module("rm.model").RewardModel


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=str)
def test_a_folder_of_more_than_five_files_says_what_lives_there(folder: Path) -> None:
    files = list((ROOT / folder).glob("*.py"))
    assert len(files) <= 5 or (ROOT / folder / "README.md").is_file()


DICTATED = {
    ("rewardkit/plan/dry.py", "attention"): "stands in for torch's scaled_dot_product_attention",
    ("rewardkit/seedling/pipeline.py", "__call__"): "the arguments of a diffusers pipeline",
    ("rewardkit/seedling/transformer.py", "__init__"): "the config that a diffusers ModelMixin registers",
}
"""Functions of more than seven parameters, whose signature another library dictates."""


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    spec = function.args
    named = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *filter(None, (spec.vararg, spec.kwarg))]
    return [each.arg for each in named if each.arg not in ("self", "cls")]


def test_no_function_has_more_than_seven_parameters() -> None:
    paths = [*FILES, *(path.relative_to(ROOT) for path in sorted((ROOT / "benchmarks").rglob("*.py")))]
    many = {
        (path.as_posix(), node.name)
        for path in paths
        for node in ast.walk(ast.parse(read(path)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and len(parameters(node)) > 7
    }
    assert many == DICTATED.keys()
