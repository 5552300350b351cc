"""NAME=WHAT, and paths that hold an equals sign."""

from pathlib import Path

import pytest

from rewardkit.io.named import split_name


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("tuned=runs/lora", ("tuned", "runs/lora")),
        ("runs/lora", ("", "runs/lora")),
        ("runs/lr=1e-4/lora", ("", "runs/lr=1e-4/lora")),
        ("a=b=c", ("a", "b=c")),
        ("=x", ("", "x")),
        ("x" * 5000 + "=y", ("x" * 5000, "y")),
    ],
)
def test_the_name_ends_at_the_first_equals_sign(text: str, split: tuple[str, str]) -> None:
    assert split_name(text) == split


def test_what_exists_under_the_text_as_given_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_name("lr=1") == ("lr", "1")
    (tmp_path / "lr=1").mkdir()
    assert split_name("lr=1") == ("", "lr=1")
