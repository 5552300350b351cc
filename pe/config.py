"""Options of the `rewardkit pe` commands."""

from dataclasses import dataclass
from pathlib import Path

from pe.instructions import Task
from rewardkit.training.device import DTypeName
from rewardkit.training.options import Run


@dataclass(frozen=True)
class MineConfig:
    """Rewrite each prompt several ways, generate and score images, and keep the best and the worst rewrite.

    Writes pairs.jsonl ({prompt, chosen, rejected, ...}) and sft.jsonl ({prompt, completion, ...}).
    """

    prompts: Path
    """Short prompts: a .txt (one per line), .jsonl, .json, .yaml, .csv, .tsv or .parquet file, or a folder of .txt."""
    rewards: tuple[str, ...]
    """Rewards: names, reward model folders or module:Class; their z-scores are averaged."""
    out: Path = Path("runs/pe-pairs")
    """Folder for pairs.jsonl, sft.jsonl, mining.json, pairs.png and the images."""
    column: str | None = None
    """Column of the prompt file that has the prompts, if not prompt, caption or text."""
    base: str = "seedling"
    """Image model: seedling, a folder in diffusers format or a hub id."""
    rewriter: str = "seedling"
    """Rewriter; "none" uses only the rewrites of `candidates_file`."""
    task: Task | None = None
    """System prompt: plain (none), expand or shorten; by default that of the rewriter."""
    candidates: int = 4
    """Rewrites sampled per prompt."""
    candidates_file: Path | None = None
    """JSONL file of other rewrites: one `prompt` and `rewrite` per line, any number of lines per prompt."""
    temperature: float = 1.0
    """Sampling temperature of the rewrites."""
    noises: int = 1
    """Images generated per rewrite; their scores are averaged."""
    steps: int = 20
    """Sampling steps of an image."""
    guidance: float = 1.0
    """Guidance scale."""
    margin: float = 0.25
    """Smallest lead of the best rewrite over the worst (pairs) or the original prompt (examples), in standard
    deviations."""
    limit: int | None = None
    """Use only this many prompts from the start of the file."""
    captions: Path | None = None
    """File of long captions, in the format of `prompts`; shortened, they give more examples for sft.jsonl."""
    shorten: str = "pe.shorten:plain"
    """Function that shortens a caption, as module:function."""
    batch_size: int = 32
    """Images generated, and prompts rewritten, at once."""
    device: str = "auto"
    """Device: auto (the GPU where there is one), cpu, cuda or cuda:1."""
    dtype: DTypeName = "auto"
    """Precision of the image model and the rewards: auto is bfloat16 on a GPU, float32 on a CPU."""
    seed: int = 0
    """Random seed of the rewrites and of the noise."""


@dataclass(frozen=True, kw_only=True)
class Sft:
    """What the rewriter learns from, and how fast."""

    rows: Path
    """JSONL file with one `prompt` and `completion` per line, such as the sft.jsonl of `rewardkit pe pairs`."""
    out: Path = Path("runs/pe-sft")
    """Run folder; the trained rewriter is written to its `model` folder."""
    rewriter: str = "seedling"
    """Model to start from: seedling, a folder or a hub id (a causal language model with a chat template)."""
    epochs: float = 3.0
    """Passes over the rows."""
    batch_size: int = 16
    """Rows per forward pass."""
    lr: float = 1e-4
    """Peak learning rate: linear warm-up over the first tenth, then cosine decay. Use about 1e-5 for large models."""


@dataclass(frozen=True, kw_only=True)
class Simpo:
    """What the rewriter learns from, the loss, and how fast."""

    rows: Path
    """JSONL file with one `prompt`, `chosen` and `rejected` per line, such as pairs.jsonl of `rewardkit pe pairs`."""
    out: Path = Path("runs/pe-simpo")
    """Run folder; the trained rewriter is written to its `model` folder."""
    rewriter: str = "runs/pe-sft"
    """Model to start from: the run folder of `pe sft`, seedling, another folder or a hub id."""
    beta: float = 2.0
    """Scale of the difference of the mean log-probabilities in the loss."""
    gamma: float = 1.0
    """Target margin of the chosen rewrite; half of beta is a good start."""
    epochs: float = 1.0
    """Passes over the pairs."""
    batch_size: int = 8
    """Pairs per forward pass."""
    lr: float = 1e-5
    """Peak learning rate: linear warm-up over the first tenth, then cosine decay. Use 3e-7 to 1e-6 for large models."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What both ways to train a rewriter have."""

    accumulate: int = 1
    """Forward passes per step (gradient accumulation)."""
    max_length: int = 512
    """Longest row in tokens, prompt and rewrite together; longer rows are skipped and counted."""
    lora_rank: int = 0
    """Rank of a LoRA on all linear layers, merged at the end; 0 trains all weights."""
    task: Task | None = None
    """System prompt used in training: plain (none), expand or shorten; by default that of the starting model."""
    device: str = "auto"
    """Device: auto (the GPU where there is one), cpu, cuda or cuda:1."""
    save_every: int = 200
    """Updates between two checkpoints."""


# The sections are listed from last to first: see `rewardkit.commands.option_groups`.
@dataclass(frozen=True, kw_only=True)
class RewriterSftConfig(Run, Training, Sft):
    """Train the prompt rewriter by supervised fine-tuning; write checkpoints, metrics.jsonl and the model folder."""


@dataclass(frozen=True, kw_only=True)
class SimpoConfig(Run, Training, Simpo):
    """Train the prompt rewriter on preference pairs (SimPO); write checkpoints, metrics.jsonl and the model folder."""


@dataclass(frozen=True)
class RewriteConfig:
    """Rewrite prompts, print each before and after, and optionally write the rewrites to a file."""

    prompt: tuple[str, ...] = ()
    """Prompts on the command line."""
    prompts: Path | None = None
    """Prompts: .txt (one per line), .jsonl, .json, .yaml, .csv, .tsv or .parquet, or a folder of .txt files."""
    column: str | None = None
    """Column of the prompt file that has the prompts, if not prompt, caption or text."""
    rewriter: str = "seedling"
    """Rewriter: seedling, the run folder of `pe simpo` or `pe sft`, another folder or a hub id."""
    task: Task | None = None
    """System prompt: plain (none), expand or shorten; by default that of the rewriter."""
    out: Path | None = None
    """File for the rewrites: .jsonl ({prompt, rewrite}) or .txt (one per line). By default they are only printed."""
    n: int = 1
    """Rewrites per prompt; more than one needs a temperature above 0."""
    temperature: float = 0.0
    """Sampling temperature; 0 is greedy decoding."""
    max_new_tokens: int = 256
    """Maximum length of a rewrite in tokens."""
    batch_size: int = 32
    """Prompts rewritten at once."""
    device: str = "auto"
    """Device: auto (the GPU where there is one), cpu, cuda or cuda:1."""
    seed: int = 0
    """Random seed of the sampling."""
