"""Prompts that are longer than a base or a reward reads are counted in one line."""

from pathlib import Path

import pytest

from rewardkit.commands.cli import main
from rewardkit.diffusion.cut import longest_reader, warn_cut
from rewardkit.diffusion.load import load_base
from rewardkit.diffusion.tiny.pipelines import tiny_sd3

LONG = "a red cat " * 200


def test_the_longest_reader_of_a_pipeline() -> None:
    tokenizer, limit = longest_reader(load_base("seedling").pipeline) or (None, 0)
    assert limit == 48
    assert tokenizer is not None
    _, limit = longest_reader(tiny_sd3()) or (None, 0)
    assert limit == 77  # its CLIP tokenizers; it has no T5


def test_cut_prompts_are_counted_once(capsys: pytest.CaptureFixture[str]) -> None:
    base = load_base("seedling")
    warn_cut(["a red cat", LONG, LONG], base)
    assert capsys.readouterr().err == f"1 of 2 prompts are cut: the base reads 48 tokens ({LONG[:40]!r} ...)\n"
    warn_cut(["a red cat"], base)
    assert capsys.readouterr().err == ""


def test_generate_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.json").write_text(f'[{{"prompt_en": "{LONG}", "prompt": "x"}}]')
    arguments = ["generate", "--prompts", str(tmp_path / "p.json"), "--column", "prompt_en", "--steps", "1"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert "1 of 1 prompts are cut" in capsys.readouterr().err
