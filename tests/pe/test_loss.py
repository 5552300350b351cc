"""SimPO's formula against hand arithmetic, and TRL's loss against the formula."""

import math
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from trl.experimental.cpo import CPOTrainer

from pe.config import SimpoConfig
from pe.loss import mean_log_probability, simpo_loss
from pe.rewriter import Rewriter
from pe.simpo import to_dataset, to_trl

ROWS = [
    {"prompt": 'red circle "SALE"', "chosen": 'A poster with a red circle, with the text "SALE".', "rejected": "red"},
    {"prompt": "blue star", "chosen": "A large blue star.", "rejected": "A poster, a blue star on the left."},
]


def test_the_formula_by_hand() -> None:
    loss = simpo_loss(torch.tensor([-1.0, -0.5]), torch.tensor([-1.5, -0.25]), beta=2.0, gamma=0.5)
    by_hand = [math.log1p(math.exp(-(2 * 0.5 - 0.5))), math.log1p(math.exp(-(2 * -0.25 - 0.5)))]
    assert loss.item() == pytest.approx(sum(by_hand) / 2, rel=1e-6)


def test_the_mean_is_over_counted_tokens_only() -> None:
    logits = torch.randn(1, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[-100, -100, 3, 1]])
    expected = (logits[0, 1].log_softmax(-1)[3] + logits[0, 2].log_softmax(-1)[1]) / 2
    torch.testing.assert_close(mean_log_probability(logits, labels)[0], expected)
    padded = torch.cat([logits, torch.randn(1, 2, 5)], 1), torch.cat([labels, torch.full((1, 2), -100)], 1)
    torch.testing.assert_close(mean_log_probability(*padded)[0], expected)


def test_the_gradient_against_finite_differences() -> None:
    chosen, rejected = torch.randn(2, 3, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    chosen.requires_grad_()
    torch.autograd.gradcheck(lambda x: simpo_loss(x, rejected, 2.0, 1.0), (chosen,))


@pytest.mark.parametrize(("beta", "gamma"), [(2.0, 1.0), (10.0, 3.0)])
def test_trl_computes_the_formula(rewriter: Rewriter, tmp_path: Path, beta: float, gamma: float) -> None:
    config = SimpoConfig(rows=tmp_path, out=tmp_path, beta=beta, gamma=gamma, device="cpu")
    data: Dataset = to_dataset(ROWS, rewriter.tokenizer, "plain", 128)
    trainer = CPOTrainer(rewriter.model, to_trl(config), train_dataset=data, processing_class=rewriter.tokenizer)
    batch = trainer.data_collator(list(trainer.train_dataset))
    loss, _ = trainer.get_batch_loss_metrics(rewriter.model, batch)
    chosen, rejected = (log_probabilities(rewriter, ROWS, answer) for answer in ("chosen", "rejected"))
    ours = simpo_loss(chosen, rejected, beta, gamma)
    torch.testing.assert_close(loss, ours)


def log_probabilities(rewriter: Rewriter, rows: list[dict[str, str]], answer: str) -> torch.Tensor:
    """Score each answer alone, unpadded, the way generating would meet it: prompt, answer, end of turn."""
    means = []
    for row in rows:
        talk = [{"role": "user", "content": row["prompt"]}]
        start = rewriter.tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
        head = rewriter.tokenizer(start)["input_ids"]
        tail = rewriter.tokenizer(row[answer])["input_ids"] + [rewriter.tokenizer.eos_token_id]
        logits = rewriter.model(torch.tensor([head + tail])).logits
        means.append(mean_log_probability(logits, torch.tensor([[-100] * len(head) + tail])))
    return torch.cat(means)
