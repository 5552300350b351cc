"""The rewriter from Python: rows and a rewriter in memory learn what files and folders do; mining takes objects."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import pe
from pe import sft
from pe.config import RewriterSftConfig
from rewardkit.errors import UserError
from rewardkit.io.jsonl import write_rows
from tests.pe.test_pairs import Brightness, LetterBase

ROWS = [
    {"prompt": "red circle", "completion": "A poster with a large red circle."},
    {"prompt": "blue star", "completion": "A poster with a small blue star."},
]
OPTIONS: dict[str, Any] = {"epochs": 2.0, "lr": 1e-3, "batch_size": 2, "task": "plain"}


def test_objects_learn_what_their_names_do(rewriter: pe.Rewriter, folder: Path, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", ROWS)
    sft.train(RewriterSftConfig(rows=tmp_path / "rows.jsonl", rewriter=str(folder), out=tmp_path / "named", **OPTIONS))
    start = rewriter.model.state_dict()["lm_head.weight"].clone()
    named, given = (
        pe.Rewriter.load(str(tmp_path / "named")),
        pe.train_sft(ROWS, tmp_path / "given", rewriter=rewriter, **OPTIONS),
    )
    first, second = named.model.state_dict(), given.model.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], start)
    assert given.task == "plain"


def test_simpo_takes_the_rows_that_mining_wrote(rewriter: pe.Rewriter, tmp_path: Path) -> None:
    write_rows(tmp_path / "more.jsonl", [{"prompt": "dull", "rewrite": "eee"}, {"prompt": "dull", "rewrite": "xyz"}])
    mined = pe.mine(
        ["dull", "dull"],
        [Brightness()],
        tmp_path / "mined",
        base=LetterBase(),
        rewriter="none",
        candidates_file=str(tmp_path / "more.jsonl"),
    )
    (pair,) = [json.loads(line) for line in (mined / "pairs.jsonl").read_text().splitlines()]
    assert (pair["chosen"], pair["rejected"]) == ("eee", "xyz")
    trained = pe.train_simpo(mined / "pairs.jsonl", tmp_path / "out", rewriter=rewriter, **OPTIONS)
    assert len(trained.rewrite(["dull"], max_new_tokens=4)) == 1


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no option 'candidate'; did you mean 'candidates'"):
        pe.mine(["a"], [Brightness()], tmp_path, candidate=3)
    with pytest.raises(UserError, match="the list of rows is empty"):
        pe.train_sft([], tmp_path)
    with pytest.raises(UserError, match="nothing to choose from"):
        pe.mine(["a"], [Brightness()], tmp_path, base=LetterBase(), rewriter="none")
