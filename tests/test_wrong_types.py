"""What the Python API is handed by mistake is refused in one line that says what was expected.

In a process of its own: in this one every call is type-checked before our code sees it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

CASES = {
    "load_reward(3)": "3 is no reward: it has no name; a reward needs name (a string), axis (a string)",
    "load_reward(None)": "None is no reward: it has no name",
    "load_reward(torch.rand)": "is no reward: it has no name",
    "load_rewards('ocr')": "rewards are a list; got 'ocr', so write ['ocr']",
    "load_rewards(3)": "rewards are a list; got a value of type int",
    "read_prompts(['a'])": "the file of prompts must be a path or a string; got a value of type list",
    "read_prompts('p.txt')[0].text": "fine: a red circle",
    "load_loras(base, 3)": "a LoRA's folder must be a path or a string; got a value of type int",
    "load_loras(base, [None])": "a LoRA's folder must be a path or a string; got a value of type NoneType",
    "load_loras(base, 'here')": "no LoRA in here",
    "load_loras(base, Path('here'))": "no LoRA in here",
    "generate_images(base, 'ab', steps=1)": "generating images needs a list of prompts; got the string 'ab'",
    "generate_images(base, ['a', 1], steps=1)": "needs a list of prompts, each a string; got an item of type int",
    "generate_images(base, [], steps=1)": "there is no prompt to generate an image of",
    "reward.score(images.numpy(), PROMPTS)": "in [0, 1]; got a value of type ndarray",
    "reward.score([images[0], images[1]], PROMPTS)": "in [0, 1]; got a value of type list",
    "reward.score(images, 'ab')": "needs a list of prompts; got the string 'ab', so write ['ab']",
    "reward.score(images, [1, 2])": "needs a list of prompts, each a string; got an item of type int",
    "reward.score(images, None)": "needs a list of prompts, each a string; got a value of type NoneType",
    "reward.score(images, ['a'])": "needs one prompt per image; got 2 images and 1 prompts",
    "model.score(images * 255, PROMPTS, 'aesthetic')": "; divide by 255",
    "model.score((images * 255).byte(), PROMPTS, 'aesthetic')": "got a uint8 tensor of shape (2, 3, 8, 8); divide",
    "model.score(images * 2 - 1, PROMPTS, 'aesthetic')": "; use (images + 1) / 2",
    "model.score(images[0], 'a', 'aesthetic')": "got a float32 tensor of shape (3, 8, 8)",
    "model.score([images[0]], ['a'], 'aesthetic')": "in [0, 1]; got a value of type list",
    "model.scores(images, 'ab')": "reward model 'rm' needs a list of prompts; got the string 'ab'",
    "model.scores(images, ['a'])": "reward model 'rm' needs one prompt per image; got 2 images and 1 prompts",
    "rm.train([{'prompt': 'a'}], 'run')": "pairs are PreferenceRecord or RankedRecord objects; got a value of type",
    "rm.train(['pairs.jsonl', {}], 'run')": "data must be sources of pairs or records in memory; got both",
    "rm.train('pairs.jsonl', 3)": "out must be a path or a string; got a value of type int",
    "refl.train(['a'], [reward], 'run', base=3)": "the base must be a name, a folder or what load_base returns; got 3",
    "refl.train(['a'], [3], 'run')": "3 is no reward: it has no name",
    "refl.train(['a'], reward, 'run')": "rewards are a list of names or objects; got",
    "refl.train([1], [reward], 'run')": "needs a list of prompts, each a string; got an item of type int",
    "pe.train_sft([3], 'run')": "row 1 must be an object with prompt, completion",
    "pe.train_sft([{'prompt': 'a'}], 'run')": "row 1: 'completion' must be a text; got None",
}

PRELUDE = """
from pathlib import Path
import torch
import pe, refl, rm
from rewardkit import UserError, generate_images, load_reward, load_rewards, read_prompts
from rewardkit.diffusion.families.seedling import SeedlingBase
from rewardkit.diffusion.load_lora import load_loras
from rewardkit.encoders import load_encoder
from rewardkit.seedling.tiny import tiny_pipeline
from rm import RewardModel

PROMPTS = ["a", "b"]
Path("p.txt").write_text("a red circle")
base, reward, images = SeedlingBase(tiny_pipeline()), load_reward("colourfulness"), torch.rand(2, 3, 8, 8)
model = RewardModel(load_encoder("conv"), ("aesthetic",))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each case says, all asked in one process."""
    asked = "".join(
        f"try: print('fine:', {case})\nexcept UserError as error: print(error)\n"
        f"except Exception as error: print(repr(error))\n"
        for case in CASES
    )
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{PRELUDE}{asked}"],
        cwd=tmp_path_factory.mktemp("here"),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = found.stdout.splitlines()
    assert len(lines) == len(CASES), found.stdout + found.stderr
    return dict(zip(CASES, lines, strict=True))


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_in_one_line(answers: dict[str, str], case: str) -> None:
    assert CASES[case] in answers[case]
    assert not answers[case].startswith(("BeartypeCall", "TypeError"))
