"""How transformers preprocesses images: a preprocessor_config.json as a `Preprocess`, and back."""

from typing import Any, Literal

from rewardkit.errors import UserError
from rewardkit.images.preprocess import CLIP_MEAN, CLIP_STD, Fit, Preprocess

INTERPOLATIONS: dict[int, Literal["bilinear", "bicubic"]] = {2: "bilinear", 3: "bicubic"}
"""PIL's codes of the two differentiable resampling filters."""

FIT = "rewardkit_fit"
"""Our own key, for ways of fitting that transformers cannot express."""


def preprocess_from(settings: dict[str, Any], side: int, *, crops: bool, fit: Fit | None) -> Preprocess:
    """Read the settings of an image processor for a tower that takes `side` x `side` pixels.

    `crops` is the default of the model's class if the settings do not say. Raises `UserError` for a size that is not
    the tower's, and for a resampling filter other than bilinear or bicubic.
    """
    resample = settings.get("resample", 3)
    if resample not in INTERPOLATIONS:
        raise UserError(f"the image processor resizes by method {resample}; known are bilinear (2) and bicubic (3)")
    found, size = framing(settings, side, crops)
    if size != (side, side):
        raise UserError(f"the image processor makes {size[0]} x {size[1]} images, but the tower takes {side} x {side}")
    mean: Any = settings.get("image_mean", CLIP_MEAN)
    std: Any = settings.get("image_std", CLIP_STD)
    return Preprocess(
        size=size,
        mean=tuple(mean),
        std=tuple(std),
        fit=fit or settings.get(FIT, found),
        interpolation=INTERPOLATIONS[resample],
    )


def framing(settings: dict[str, Any], side: int, crops: bool) -> tuple[Fit, tuple[int, int]]:
    """Return how an image is resized, and its size.

    A shorter side without a crop (as in Chinese-CLIP's files) means both sides, as in its authors' training.
    """
    size = settings.get("size", side)
    size = {"shortest_edge": size} if isinstance(size, int) else size
    crop = settings.get("crop_size", side)
    crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
    if "height" in size:
        return "stretch", (int(size["height"]), int(size["width"]))
    if not settings.get("do_center_crop", crops):
        return "stretch", (int(size["shortest_edge"]),) * 2
    if size["shortest_edge"] != min(crop["height"], crop["width"]):
        raise UserError(
            f"the image processor resizes to {size['shortest_edge']} and crops {crop['height']} x {crop['width']}; "
            "only a crop of the full shorter side is known"
        )
    return "crop", (int(crop["height"]), int(crop["width"]))


def settings_of(preprocess: Preprocess, processor: str) -> dict[str, Any]:
    """Return the preprocessor_config.json for the image processor class named `processor`."""
    height, width = preprocess.size
    whole = {"height": height, "width": width}
    cropped = preprocess.fit == "crop"
    own = {} if preprocess.fit in ("crop", "stretch") else {FIT: preprocess.fit}
    return {
        "image_processor_type": processor,
        "do_resize": True,
        "size": {"shortest_edge": min(height, width)} if cropped else whole,
        "do_center_crop": cropped,
        "crop_size": whole,
        "resample": {name: number for number, name in INTERPOLATIONS.items()}[preprocess.interpolation],
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocess.mean),
        "image_std": list(preprocess.std),
        "do_convert_rgb": True,
        **own,
    }
