"""The table of commands: function, options, description and example.

Function and options are "module:object" strings, so that `rewardkit` never imports `rm`, `refl` or `pe`. Options are
imported to show --help and to parse, and so that this is fast their modules import no torch; the function is imported
when it runs.
"""

from typing import NamedTuple


class Command(NamedTuple):
    """One command."""

    function: str
    """Takes one argument, the options."""
    options: str
    """A frozen dataclass. Its docstring and those of its fields are the --help."""
    about: str
    example: str
    """Shown by --help; a test parses it."""


COMMANDS: dict[str, Command] = {
    "demo": Command(
        "rewardkit.workflows.demo.command:demo",
        "rewardkit.workflows.demo.config:DemoConfig",
        "the whole pipeline once on the built-in base: reward models, policy, rewriter, report",
        "rewardkit demo --out runs/demo",
    ),
    "posters": Command(
        "rewardkit.workflows.posters.command:make",
        "rewardkit.workflows.posters.config:PostersConfig",
        "make images, prompts and preference pairs of synthetic posters",
        "rewardkit posters --kind pairs --count 2000 --out data/posters",
    ),
    "pairs text": Command(
        "rewardkit.posters.text_pairs.command:make",
        "rewardkit.posters.text_pairs.config:TextPairsConfig",
        "make preference pairs of posters with right and wrong text",
        "rewardkit pairs text --fonts fonts --language en --count 2000 --out data/text",
    ),
    "pairs degrade": Command(
        "rewardkit.data.degradation:degrade",
        "rewardkit.data.config:DegradeConfig",
        "make preference pairs of photos and their degraded copies",
        "rewardkit pairs degrade --photos photos --out data/texture",
    ),
    "pairs check": Command(
        "rewardkit.commands.check_pairs:check",
        "rewardkit.data.config:CheckConfig",
        "check preference pairs: balance, repeats, leaks, bad images",
        "rewardkit pairs check --data data/posters --against data/held-out",
    ),
    "train-rm": Command(
        "rm.command:train",
        "rm.config:RmConfig",
        "train a reward model on preference pairs",
        "rewardkit train-rm --data data/posters/pairs.jsonl --out runs/rm",
    ),
    "eval-rm": Command(
        "rm.evaluation.evaluate:evaluate",
        "rm.evaluation.config:EvalRmConfig",
        "measure a reward model's pairwise accuracy",
        "rewardkit eval-rm --model runs/rm/rm --data data/held-out/pairs.jsonl",
    ),
    "calibrate": Command(
        "rm.calibration.command:calibrate",
        "rm.calibration.config:CalibrateConfig",
        "fit a reward's scores to a 1-5 scale and to calibrated probabilities",
        "rewardkit calibrate --scores rated.jsonl --out runs/calibration.json",
    ),
    "score": Command(
        "rewardkit.commands.score:score",
        "rewardkit.rewards.config:ScoreConfig",
        "score images against their prompts with any rewards",
        "rewardkit score --images out.png --prompt 'a shop sign \"OPEN\"' --rewards ocr runs/rm/rm",
    ),
    "generate": Command(
        "rewardkit.diffusion.generate:generate",
        "rewardkit.diffusion.config:GenerateConfig",
        "generate images for a list of prompts",
        "rewardkit generate --prompts prompts.txt --out runs/before",
    ),
    "refl": Command(
        "refl.command:train",
        "refl.config:ReflConfig",
        "fine-tune a text-to-image model through reward models",
        "rewardkit refl --prompts prompts.txt --rewards runs/rm/rm --out runs/refl",
    ),
    "plan": Command(
        "rewardkit.plan.command:plan",
        "rewardkit.plan.config:PlanConfig",
        "estimate memory and time of a refl run, without loading weights",
        "rewardkit plan --base flux.1-dev --size 512 --card a100-80gb --save-memory all",
    ),
    "pe pairs": Command(
        "pe.pairs:mine",
        "pe.config:MineConfig",
        "mine prompt pairs: rewrite several ways, generate, keep the best and the worst",
        "rewardkit pe pairs --prompts prompts.txt --rewards runs/rm/rm --out runs/pe-pairs",
    ),
    "pe sft": Command(
        "pe.sft:train",
        "pe.config:RewriterSftConfig",
        "train the prompt rewriter by supervised fine-tuning",
        "rewardkit pe sft --rows runs/pe-pairs/sft.jsonl --out runs/pe-sft",
    ),
    "pe simpo": Command(
        "pe.simpo:train",
        "pe.config:SimpoConfig",
        "train the prompt rewriter on preferences (SimPO)",
        "rewardkit pe simpo --rows runs/pe-pairs/pairs.jsonl --rewriter runs/pe-sft --out runs/pe-simpo",
    ),
    "pe rewrite": Command(
        "pe.rewrite:rewrite",
        "pe.config:RewriteConfig",
        "rewrite prompts; quoted text is never changed",
        "rewardkit pe rewrite --rewriter runs/pe-simpo --prompt 'red circle \"SALE\"'",
    ),
    "leaderboard": Command(
        "rewardkit.leaderboard.command:run",
        "rewardkit.leaderboard.config:LeaderboardConfig",
        "compare folders of images on one page, with intervals",
        "rewardkit leaderboard --entry before=runs/before --entry after=runs/after --prompts prompts.txt",
    ),
    "rounds": Command(
        "rewardkit.workflows.rounds.command:rounds",
        "rewardkit.workflows.rounds.config:RoundsConfig",
        "alternate between reward models and policy: generate, mine, label, train, fine-tune",
        "rewardkit rounds --prompts train.jsonl --held-out held_out.jsonl --data pairs.jsonl --labellers ocr",
    ),
    "seedling": Command(
        "rewardkit.workflows.seedling.command:train",
        "rewardkit.workflows.seedling.config:SeedlingConfig",
        "rebuild the built-in base from scratch",
        "rewardkit seedling --out runs/seedling",
    ),
}
"""Words of a command -> the command."""
