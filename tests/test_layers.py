"""Imports point down: rewardkit <- rm, refl, pe <- tests, and these three never name each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "rewardkit": {"rewardkit"},
    "rm": {"rewardkit", "rm"},
    "refl": {"rewardkit", "refl"},
    "pe": {"rewardkit", "pe"},
}
ABOVE = {"tests", "benchmarks"}
FILES = [path.relative_to(ROOT) for floor in MAY_IMPORT for path in sorted((ROOT / floor).rglob("*.py"))]


def imported(source: str) -> set[str]:
    """Every top-level package a file imports, wherever the import stands (inside a function counts)."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write imports in full: import path = file path"
            names.add(node.module or "")
        elif isinstance(node, ast.Call) and called(node.func) in ("import_module", "__import__"):
            names |= {str(word.value) for word in node.args[:1] if isinstance(word, ast.Constant)}
    return {name.split(".")[0] for name in names}


def called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_down(path: Path) -> None:
    forbidden = (MAY_IMPORT.keys() | ABOVE) - MAY_IMPORT[path.parts[0]]
    assert not imported((ROOT / path).read_text(encoding="utf-8")) & forbidden


@pytest.mark.parametrize(
    "source",
    ["import rm", "import rm.model as m", "from rm.model import X", "def f():\n    from rm import x",
     "import importlib\nimportlib.import_module('rm.model')"],
)  # fmt: skip
def test_every_way_to_import_is_seen(source: str) -> None:
    assert "rm" in imported(source)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_is_one_idea(path: Path) -> None:
    assert path.name not in ("utils.py", "common.py", "helpers.py")
    assert len((ROOT / path).read_text(encoding="utf-8").splitlines()) <= 300


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_function_is_longer_than_a_screen(path: Path) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 80, node.name
