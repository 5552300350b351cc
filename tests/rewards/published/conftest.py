"""Tiny checkpoints of every published scorer: random weights under the published names, in the published layouts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPConfig,
    CLIPModel,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    SiglipConfig,
    SiglipModel,
)

from rewardkit.rewards.published.aesthetic import linear_chain, load_aesthetic_v25, load_laion_aesthetic
from rewardkit.rewards.published.blip import VitSize
from rewardkit.rewards.published.clip import load_clipscore, load_clipscore_hf, load_clipscore_paper, load_pickscore
from rewardkit.rewards.published.hpsv2 import load_hpsv21
from rewardkit.rewards.published.hpsv3 import HpsV3, load_hpsv3
from rewardkit.rewards.published.imagereward import ImageReward, load_imagereward, load_vocabulary
from rewardkit.rewards.published.mps import Mps, load_mps
from rewardkit.rewards.published.scorer import Scorer
from rewardkit.rewards.published.vqascore import load_vqascore

TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "projection_dim": 16,
}
CLIP: dict[str, Any] = {
    "projection_dim": 16,
    "text_config": TOWER | {"hidden_size": 16},
    "vision_config": TOWER | {"image_size": 32, "patch_size": 8},
}
OPEN_CLIP: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
VIT = VitSize(image_size=32, patch_size=8, width=32, depth=2, heads=2)
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", "red", "circle", "[DEC]", "[ENC]"]
BERT: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "layer_norm_eps": 1e-12,
    **{f"{which}_token_id": 1 for which in ("bos", "sep", "eos", "pad")},
}
CHAT_WORDS = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}{% if c.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c.text }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}<|im_start|>assistant\n"
)
COLLATOR = '''
raise RuntimeError("this file must not be run")
INSTRUCTION = """Look at quality and at the text.
Textual prompt - {text_prompt}
"""
prompt_with_special_token = """
Rate it: <|Reward|>
END
"""
'''


def loud(module: torch.nn.Module) -> torch.nn.Module:
    """Random weights large enough that pictures and prompts show in the score."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
            elif name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
    return module


def save_clip(folder: Path) -> None:
    saved: Any = loud(CLIPModel(CLIPConfig(**CLIP)))
    saved.save_pretrained(folder)


def pickscore(folder: Path) -> Scorer:
    save_clip(folder)
    return load_pickscore(str(folder))


def clipscore(folder: Path) -> Scorer:
    save_clip(folder)
    return load_clipscore(str(folder))


def clipscore_hf(folder: Path) -> Scorer:
    save_clip(folder)
    return load_clipscore_hf(str(folder))


def clipscore_paper(folder: Path) -> Scorer:
    save_clip(folder)
    return load_clipscore_paper(str(folder))


def hpsv2(folder: Path, version: str = "2.1") -> Scorer:
    state = loud(open_clip.CLIP(**OPEN_CLIP)).state_dict()
    file = folder / ("HPS_v2.1_compressed.pt" if version == "2.1" else "HPS_v2_compressed.pt")
    torch.save({"epoch": 1, "state_dict": state}, file)
    return load_hpsv21(str(folder), version=version, model_cfg=OPEN_CLIP)


def laion(folder: Path) -> Scorer:
    save_clip(folder)
    head = loud(linear_chain(16, dropped=3))
    torch.save({f"layers.{k}": v for k, v in head.state_dict().items()}, folder / "sac+logos+ava1-l14-linearMSE.pth")
    return load_laion_aesthetic(str(folder))


def aesthetic_v25(folder: Path) -> Scorer:
    vision = TOWER | {"image_size": 32, "patch_size": 8}
    text = TOWER | {"hidden_size": 16, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": 2}
    siglip = SiglipModel(SiglipConfig(vision_config=vision, text_config=text))
    saved: Any = loud(siglip)
    saved.save_pretrained(folder)
    head = loud(linear_chain(32, dropped=4))
    state = {f"scoring_head.{k}": v for k, v in head.state_dict().items()}
    torch.save(state, folder / "aesthetic_predictor_v2_5.pth")
    return load_aesthetic_v25(str(folder))


def imagereward(folder: Path) -> Scorer:
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    model = loud(ImageReward(load_vocabulary(folder), VIT, BERT))
    state = model.state_dict()
    state["blip.text_proj.weight"] = torch.zeros(8, 16)  # in the published file, and of no use to the score
    state["blip.text_encoder.embeddings.position_ids"] = torch.arange(64)[None]
    torch.save(state, folder / "ImageReward.pt")
    return load_imagereward(str(folder), vit=VIT, bert=BERT)


def mps(folder: Path) -> Scorer:
    model = loud(Mps(lambda prompts: torch.zeros(len(prompts), 77, dtype=torch.long), CLIP, layers=2, heads=2))
    state = model.state_dict()
    state["cross_model.layers.0.1.fn.rotary_emb.inv_freq"] = torch.ones(32)
    torch.save(state, folder / "MPS_overall.pth")
    return load_mps(str(folder), clip=CLIP, layers=2, heads=2)


def chat_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = ["[PAD]", "[UNK]", "Yes", "red", "circle", "END", "Rate", *"abcdefgh", *CHAT_WORDS]
    engine = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    engine.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=engine, pad_token="[PAD]", unk_token="[UNK]")
    tokenizer.add_tokens(CHAT_WORDS, special_tokens=True)
    return tokenizer


def qwen_config(words: int) -> Qwen2VLConfig:
    ids = chat_tokenizer().convert_tokens_to_ids(CHAT_WORDS)
    common = {"bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    text = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": words,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10000.0},
        **common,
    }
    vision = {"depth": 2, "embed_dim": 16, "num_heads": 2, "hidden_size": 16, "patch_size": 4, "mlp_ratio": 2}
    return Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        vision_start_token_id=ids[2],
        vision_end_token_id=ids[3],
        image_token_id=ids[4],
        video_token_id=ids[5],
        **common,
    )


def vqascore(folder: Path) -> Scorer:
    tokenizer = chat_tokenizer()
    model: Any = loud(Qwen2VLForConditionalGeneration(qwen_config(len(tokenizer))))
    model.save_pretrained(folder)
    pictures = Qwen2VLImageProcessor(patch_size=4, min_pixels=16 * 64, max_pixels=32 * 64)
    films = Qwen2VLVideoProcessor(patch_size=4)
    Qwen2VLProcessor(pictures, tokenizer, films, chat_template=CHAT_TEMPLATE).save_pretrained(folder)
    return load_vqascore(str(folder))


def hpsv3(folder: Path) -> Scorer:
    """Keys as before transformers 4.52, which the published file has."""
    tokenizer = chat_tokenizer()
    config = qwen_config(len(tokenizer) + 1)
    model = loud(HpsV3(config, chat_tokenizer(), "{text_prompt} <|Reward|>", pixels=16 * 64))
    old = {
        name.replace("model.visual.", "visual.").replace("model.language_model.", "model."): value.contiguous()
        for name, value in model.state_dict().items()
    }
    old["lm_head.weight"] = torch.zeros(len(tokenizer) + 1, 16)
    save_file(old, folder / "HPSv3.safetensors")
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "data_collator_qwen.py").write_text(COLLATOR)
    return load_hpsv3(str(folder), pixels=16 * 64)


def hpsv2_first(folder: Path) -> Scorer:
    return hpsv2(folder, "2.0")


Build = Callable[[Path], Scorer]
BUILDERS: dict[str, Build] = {
    "pickscore": pickscore,
    "clipscore": clipscore,
    "clipscore-hf": clipscore_hf,
    "clipscore-paper": clipscore_paper,
    "hpsv2": hpsv2_first,
    "hpsv2.1": hpsv2,
    "laion-aesthetic": laion,
    "aesthetic-v2.5": aesthetic_v25,
    "imagereward": imagereward,
    "mps": mps,
    "vqascore": vqascore,
    "hpsv3": hpsv3,
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights come from where a test says; the hub is out of reach."""
    for name in ("PICKSCORE", "CLIP_L14", "HPSV2", "HPSV21", "LAION_AESTHETIC", "IMAGEREWARD", "BERT", "MPS", "HPSV3"):
        monkeypatch.delenv(f"REWARDKIT_{name}", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Scorer]:
    """Each scorer, written once and loaded once from its files."""
    made: dict[str, Scorer] = {}

    def build(name: str) -> Scorer:
        if name not in made:
            with torch.random.fork_rng():
                torch.manual_seed(7)
                made[name] = BUILDERS[name](tmp_path_factory.mktemp(name.replace(".", "-")))
        return made[name]

    return build


@pytest.fixture
def clip_folder(tmp_path: Path) -> Path:
    """A tiny CLIP in transformers' layout."""
    save_clip(tmp_path / "clip")
    return tmp_path / "clip"


@pytest.fixture(params=list(BUILDERS))
def scorer(request: pytest.FixtureRequest, built: Callable[[str], Scorer]) -> Scorer:
    return built(request.param)
