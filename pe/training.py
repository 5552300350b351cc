"""What `pe sft` and `pe simpo` share: TRL's common settings, the model, a run's log and progress, and the saved folder.

The trainer's own checkpoints are in `OUT/trainer`; after each complete checkpoint the run records its step, so that a
run killed during a save resumes from the previous one, with the metrics at that step. The finished rewriter is
`OUT/model`, a folder that loads with plain transformers (LoRA is merged in).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from pe.config import RewriterSftConfig, SimpoConfig
from pe.instructions import Task
from pe.rewriter import TASK_FILE, Rewriter, load_model, task_of
from pe.rows import as_rows
from rewardkit.errors import UserError
from rewardkit.io.files import new_folder, write_json
from rewardkit.io.progress import Progress
from rewardkit.io.quiet import quiet
from rewardkit.training.device import pick_device
from rewardkit.training.interrupt import Interrupt
from rewardkit.training.run import Run
from rewardkit.training.tracker import installed

WARMUP = 0.1
"""Fraction of the steps in which the learning rate rises."""


TrainingConfig = RewriterSftConfig | SimpoConfig

ToDataset = Callable[[list[dict[str, Any]], PreTrainedTokenizerBase, Task, int], Dataset]
"""Converts rows to a trainer's data set, given a tokenizer, a task and the maximum length in tokens."""


@dataclass(frozen=True)
class Method:
    """A way to train a rewriter: a trainer of TRL and its inputs."""

    title: str
    columns: tuple[str, ...]
    """Texts that every row has."""
    trainer: type[Trainer]
    to_trl: Callable[[Any], TrainingArguments]
    to_dataset: ToDataset


def train_rewriter(
    config: TrainingConfig,
    method: Method,
    rows: Sequence[Mapping[str, Any]] | None = None,
    rewriter: Rewriter | None = None,
) -> None:
    """Train a rewriter on rows; by default both are loaded from the config.

    Writes checkpoints, metrics.jsonl and the model folder.
    """
    installed(config.tracker)
    found = as_rows(config.rows if rows is None else rows, method.columns)
    arguments = method.to_trl(config)
    run = Run.start(config.out, config, resume=config.resume, tracker=config.tracker)
    policy = rewriter or load_policy(config)
    task = config.task or policy.task
    with quiet():
        dataset = method.to_dataset(found, policy.tokenizer, task, config.max_length)
        loop = method.trainer(
            model=policy.model,
            args=arguments,
            train_dataset=dataset,
            processing_class=policy.tokenizer,
            peft_config=adapter(config.lora_rank),
        )
    run_trainer(loop, config, run, method.title)
    save_model(loop.model, policy.tokenizer, task, config.out / "model")
    print(f"rewriter: {config.out / 'model'}")


def common_arguments(options: TrainingConfig) -> dict[str, Any]:
    """Return the TRL settings that both trainers share; on a CPU everything is float32 (TRL's default is bfloat16)."""
    gpu = pick_device(options.device).type == "cuda"
    return {
        "output_dir": str(options.out / "trainer"),
        "num_train_epochs": options.epochs,
        "per_device_train_batch_size": options.batch_size,
        "gradient_accumulation_steps": options.accumulate,
        "learning_rate": options.lr,
        "lr_scheduler_type": "cosine",
        "warmup_steps": WARMUP,
        "max_length": options.max_length,
        "seed": options.seed,
        "bf16": gpu,
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        "gradient_checkpointing": gpu,
        "logging_steps": 1,
        "save_steps": options.save_every,
        "save_total_limit": 2,
        "disable_tqdm": True,
        "report_to": "none",
    }


def load_policy(options: TrainingConfig) -> Rewriter:
    """Load the model to train: in float32, or in the saved dtype if a LoRA rank is given."""
    whole = options.lora_rank == 0 or pick_device(options.device).type != "cuda"
    model, tokenizer = load_model(options.rewriter, dtype=torch.float32 if whole else "auto")
    return Rewriter(model, tokenizer, task_of(options.rewriter))


def adapter(rank: int) -> LoraConfig | None:
    """The LoRA of a rank; none if all weights are trained."""
    if rank == 0:
        return None
    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")


def within(
    rows: Sequence[Mapping[str, Any]], length: Callable[[Mapping[str, Any]], int], max_length: int
) -> list[Mapping[str, Any]]:
    """Leave out, and report, rows that are too long: truncated they would teach the model never to stop."""
    kept = [row for row in rows if length(row) <= max_length]
    if len(kept) < len(rows):
        print(f"left out {len(rows) - len(kept)} of {len(rows)} rows longer than {max_length} tokens (--max-length)")
    if not kept:
        raise UserError(f"all {len(rows)} rows are longer than {max_length} tokens; raise --max-length")
    return kept


class Recorder(TrainerCallback):  # type: ignore[misc]  # transformers leaves the class untyped
    """Shows our progress; passes all logged numbers, and the step of every complete checkpoint, to the run."""

    def __init__(self, run: Run, title: str, interrupt: Interrupt) -> None:
        self.run = run
        self.title = title
        self.interrupt = interrupt
        self.progress: Progress | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.progress = Progress(self.title, state.max_steps, start=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        if not logs or "loss" not in logs or self.progress is None:  # the last log is a summary of the run
            return
        numbers = {name: float(value) for name, value in logs.items() if isinstance(value, int | float)}
        if not math.isfinite(numbers["loss"]):
            raise UserError(f"the loss became {numbers['loss']} at step {state.global_step}; lower --lr")
        self.run.log(state.global_step, numbers)
        self.progress.update(state.global_step - self.progress.done, loss=numbers["loss"])

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self.interrupt.due():
            control.should_save = control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        self.run.save(state.global_step, {}, {"checkpoint": _checkpoint_name(state.global_step)})

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if self.progress is not None:
            self.progress.__exit__(None, None, None)


def run_trainer(trainer: Trainer, options: TrainingConfig, run: Run, title: str) -> None:
    """Train, from the newest complete checkpoint when resuming, with our progress instead of transformers' output."""
    trainer.remove_callback(PrinterCallback)
    interrupt = Interrupt()
    trainer.add_callback(Recorder(run, title, interrupt))
    newest = run.latest() if options.resume else None
    checkpoint = options.out / "trainer" / newest.meta["checkpoint"] if newest else None
    with interrupt:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if interrupt.due():
            interrupt.leave(trainer.state.global_step, run.close)
    run.close()


def _checkpoint_name(step: int) -> str:
    return f"{PREFIX_CHECKPOINT_DIR}-{step}"


def save_model(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, task: Task, folder: Path
) -> None:
    """Write the rewriter (LoRA merged) as a transformers folder, atomically."""
    whole = model.merge_and_unload() if isinstance(model, PeftModel) else model
    whole.config.use_cache = True
    with new_folder(folder) as temporary, quiet():
        whole.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        write_json(temporary / TASK_FILE, {"task": task})
