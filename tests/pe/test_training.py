"""SFT and SimPO by TRL: they learn, they save plain folders, they resume to the same weights."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTTrainer
from trl.experimental.cpo import CPOTrainer

from pe import sft, simpo
from pe.config import RewriterSftConfig, SimpoConfig
from pe.loss import mean_log_probability
from pe.rewriter import Rewriter, task_of
from rewardkit.errors import Interrupted, UserError
from rewardkit.io.jsonl import write_rows

PAIRS = [
    {"prompt": "red circle", "chosen": "A poster with a large red circle.", "rejected": "red circle poster"},
    {"prompt": 'blue star "GO"', "chosen": 'A large blue star, with the text "GO".', "rejected": 'star "GO"'},
    {"prompt": "绿色方块", "chosen": "海报中间有一个大绿色方块。", "rejected": "方块"},
    {"prompt": "보라 별", "chosen": "왼쪽에 큰 보라 별이 있는 포스터.", "rejected": "별"},
]


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    path = tmp_path / "sft.jsonl"
    write_rows(path, [{"prompt": row["prompt"], "completion": row["chosen"]} for row in PAIRS])
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    write_rows(path, PAIRS)
    return path


def metrics(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def mean_logp(writer: Rewriter, prompt: str, answer: str) -> float:
    head = writer.tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    start, end = (writer.tokenizer(text)["input_ids"] for text in (head, answer + writer.tokenizer.eos_token))
    with torch.no_grad():
        logits = writer.model(torch.tensor([start + end])).logits
    return mean_log_probability(logits, torch.tensor([[-100] * len(start) + end])).item()


def margin(writer: Rewriter, row: dict[str, str]) -> float:
    return mean_logp(writer, row["prompt"], row["chosen"]) - mean_logp(writer, row["prompt"], row["rejected"])


def test_sft_lowers_the_loss_and_learns_the_completions(folder: Path, examples: Path, tmp_path: Path) -> None:
    out = tmp_path / "sft"
    sft.train(
        RewriterSftConfig(
            rows=examples,
            out=out,
            rewriter=str(folder),
            task="plain",
            epochs=60.0,
            batch_size=4,
            lr=1e-2,
            device="cpu",
        )
    )
    losses = [row["loss"] for row in metrics(out)]
    assert losses[-1] < 0.2 * losses[0]
    assert list((out / "tensorboard").glob("events*"))
    writer = Rewriter.load(str(out))
    assert task_of(str(out)) == writer.task == "plain"
    rewrites = writer.rewrite([row["prompt"] for row in PAIRS])
    assert [texts[0] for texts in rewrites] == [row["chosen"] for row in PAIRS]


def test_the_first_loss_is_that_of_the_completions_alone(folder: Path, examples: Path, tmp_path: Path) -> None:
    before = Rewriter.load(str(folder))
    tokens = [len(before.tokenizer(row["chosen"])["input_ids"]) + 1 for row in PAIRS]
    sums = [-mean_logp(before, row["prompt"], row["chosen"]) * n for row, n in zip(PAIRS, tokens, strict=True)]
    out = tmp_path / "sft"
    config = RewriterSftConfig(
        rows=examples, out=out, rewriter=str(folder), task="plain", epochs=1.0, batch_size=4, device="cpu"
    )
    sft.train(config)
    assert metrics(out)[0]["loss"] == pytest.approx(sum(sums) / sum(tokens), rel=1e-4)


@pytest.mark.parametrize("rank", [0, 4])
def test_simpo_widens_the_margin_and_saves_a_plain_folder(folder: Path, pairs: Path, tmp_path: Path, rank: int) -> None:
    out = tmp_path / "simpo"
    config = SimpoConfig(
        rows=pairs,
        out=out,
        rewriter=str(folder),
        task="plain",
        epochs=15.0,
        batch_size=4,
        device="cpu",
        lr=1e-2 if rank else 3e-3,
        lora_rank=rank,
    )
    simpo.train(config)
    rows = metrics(out)
    assert rows[-1]["loss"] < rows[0]["loss"]
    plain = Rewriter(AutoModelForCausalLM.from_pretrained(out / "model"), AutoTokenizer.from_pretrained(out / "model"))
    assert not list((out / "model").glob("adapter*"))
    before, after = (sum(margin(writer, row) for row in PAIRS) for writer in (Rewriter.load(str(folder)), plain))
    assert after > before + 1


def test_simpo_killed_and_resumed_ends_on_the_same_weights(folder: Path, pairs: Path, tmp_path: Path) -> None:
    def config(out: str, epochs: float, resume: bool = False) -> SimpoConfig:
        return SimpoConfig(
            rows=pairs,
            out=tmp_path / out,
            rewriter=str(folder),
            task="plain",
            epochs=epochs,
            batch_size=2,
            lr=1e-3,
            device="cpu",
            save_every=2,
            resume=resume,
        )

    simpo.train(config("whole", 3.0))
    stopped = StopAfter(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CPOTrainer, "training_step", stopped.wrap(CPOTrainer.training_step))
        with pytest.raises(KeyboardInterrupt):
            simpo.train(config("killed", 3.0))
    assert not (tmp_path / "killed" / "model").exists()
    with pytest.raises(UserError, match="already has a run"):
        simpo.train(config("killed", 3.0))
    simpo.train(config("killed", 3.0, resume=True))
    whole, resumed = (
        AutoModelForCausalLM.from_pretrained(tmp_path / out / "model").state_dict() for out in ("whole", "killed")
    )
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert [row["step"] for row in metrics(tmp_path / "killed")] == [1, 2, 3, 4, 5, 6]


def test_sft_told_to_end_saves_its_update_and_goes_on_to_the_same_weights(
    folder: Path, examples: Path, tmp_path: Path
) -> None:
    def config(out: str, resume: bool = False) -> RewriterSftConfig:
        return RewriterSftConfig(
            rows=examples,
            out=tmp_path / out,
            rewriter=str(folder),
            task="plain",
            epochs=3.0,
            batch_size=2,
            device="cpu",
            save_every=100,
            resume=resume,
        )

    def told(*args: Any, **kwargs: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return step(*args, **kwargs)

    sft.train(config("whole"))
    step = SFTTrainer.training_step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SFTTrainer, "training_step", told)
        with pytest.raises(Interrupted, match="at update 1"):
            sft.train(config("told"))
    assert not (tmp_path / "told" / "model").exists()
    sft.train(config("told", resume=True))
    whole, resumed = (
        AutoModelForCausalLM.from_pretrained(tmp_path / out / "model").state_dict() for out in ("whole", "told")
    )
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert [row["step"] for row in metrics(tmp_path / "told")] == [1, 2, 3, 4, 5, 6]


class StopAfter:
    """Interrupts training in the step after the given one."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def wrap(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def interrupted(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return step(*args, **kwargs)

        return interrupted


def test_rows_that_are_too_long_are_left_out_and_counted(
    folder: Path, examples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = RewriterSftConfig(
        rows=examples, out=tmp_path / "out", rewriter=str(folder), task="plain", epochs=1.0, max_length=30, device="cpu"
    )
    sft.train(config)
    assert "left out" in capsys.readouterr().out
    with pytest.raises(UserError, match="longer than 3 tokens"):
        sft.train(replace(config, out=tmp_path / "none", max_length=3))


@pytest.mark.parametrize("line", ['{"prompt": "a"}', "no json", '{"prompt": "a", "completion": ""}', "[1]"])
def test_a_bad_row_names_file_and_line(folder: Path, tmp_path: Path, line: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n' + line + "\n")
    with pytest.raises(UserError, match=r"bad\.jsonl, line 2"):
        sft.train(RewriterSftConfig(rows=path, out=tmp_path / "out", rewriter=str(folder), device="cpu"))
    assert not (tmp_path / "out").exists()
