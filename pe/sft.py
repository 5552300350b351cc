"""`rewardkit pe sft`: supervised fine-tuning of a rewriter on pairs of short and good long prompts.

The first stage of Seedream 2.0's prompt engineering (arXiv:2503.07703, section 4.4). The loop is TRL's `SFTTrainer`;
the loss is only on the completion.
"""

from collections.abc import Mapping
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

from pe.config import RewriterSftConfig
from pe.instructions import Task, messages
from pe.rewriter import render
from pe.training import Method, common_arguments, train_rewriter, within


def train(config: RewriterSftConfig) -> None:
    """Fine-tune a rewriter on examples."""
    train_rewriter(config, METHOD)


def to_trl(config: RewriterSftConfig) -> SFTConfig:
    """Convert our options to TRL's."""
    return SFTConfig(**common_arguments(config), completion_only_loss=True)


def to_dataset(rows: list[dict[str, Any]], tokenizer: PreTrainedTokenizerBase, task: Task, max_length: int) -> Dataset:
    """Convert the rows that fit to conversations with a separate completion, because only that is learned."""

    def length(row: Mapping[str, Any]) -> int:
        text = render(tokenizer, task, row["prompt"]) + row["completion"]
        return len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 2  # the end of the turn

    return Dataset.from_list(
        [
            {
                "prompt": messages(task, row["prompt"]),
                "completion": [{"role": "assistant", "content": row["completion"]}],
                # Thinking is off in generation as well; templates without thinking ignore it.
                "chat_template_kwargs": {"enable_thinking": False},
            }
            for row in within(rows, length, max_length)
        ]
    )


METHOD = Method("pe sft", ("prompt", "completion"), SFTTrainer, to_trl, to_dataset)
