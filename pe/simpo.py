"""`rewardkit pe simpo`: train the rewriter on preference pairs with SimPO (Meng et al. 2024, arXiv:2405.14734).

The second stage of Seedream 2.0's prompt engineering (arXiv:2503.07703, section 4.4): rewards only choose which rewrite
is the better one; the loss acts on the language model's own mean log-probabilities and needs no reference model. The
loop is TRL's `CPOTrainer`, which implements SimPO; `pe.loss` has the reference formula.
"""

import warnings
from collections.abc import Mapping
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl.import_utils import TRLExperimentalWarning

from pe.config import SimpoConfig
from pe.instructions import Task
from pe.rewriter import render
from pe.training import Method, common_arguments, train_rewriter, within

with warnings.catch_warnings():
    # TRL warns on import that this trainer may change; our tests compare it with the paper's formula.
    warnings.simplefilter("ignore", TRLExperimentalWarning)
    from trl.experimental.cpo import CPOConfig, CPOTrainer


def train(config: SimpoConfig) -> None:
    """Train a rewriter on pairs of rewrites, the better one and the worse one."""
    train_rewriter(config, METHOD)


def to_trl(config: SimpoConfig) -> CPOConfig:
    """Convert our options to TRL's; `cpo_alpha` at its default of 1 would add a likelihood term that SimPO lacks."""
    return CPOConfig(
        **common_arguments(config),
        loss_type="simpo",
        beta=config.beta,
        simpo_gamma=config.gamma,
        cpo_alpha=0.0,
        remove_unused_columns=False,
    )


def to_dataset(rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, task: Task, max_length: int) -> Dataset:
    """Render the pairs that fit as plain text, exactly as in generation.

    With conversations the trainer would close the turn by the template ("<|im_end|>\\n") and add a second end token,
    both of which count in the mean log-probability.
    """
    texts = [_text_row(row, tokenizer, task) for row in rows]

    def length(row: Mapping[str, Any]) -> int:
        longest = max((row["chosen"], row["rejected"]), key=len)
        return len(tokenizer(row["prompt"] + longest, add_special_tokens=False)["input_ids"])

    return Dataset.from_list([dict(row) for row in within(texts, length, max_length)])


def _text_row(row: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, task: Task) -> dict[str, str]:
    end = tokenizer.eos_token
    prompt = render(tokenizer, task, row["prompt"])
    return {"prompt": prompt, "chosen": row["chosen"] + end, "rejected": row["rejected"] + end}


METHOD = Method("pe simpo", ("prompt", "chosen", "rejected"), CPOTrainer, to_trl, to_dataset)
