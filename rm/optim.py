"""Optimisation of a reward model: AdamW with separate rates for heads and encoder, cosine schedule, and EMA."""

from torch.optim import AdamW, Optimizer

from rewardkit.encoders.adapters import is_adapted
from rewardkit.training.average import Average, Lerp
from rewardkit.training.learner import Learner
from rewardkit.training.processes import Processes
from rewardkit.training.schedule import cosine, shares
from rm.model import RewardModel
from rm.options import Updates


def make_optimizer(model: RewardModel, lr: float, encoder_lr: float | None, weight_decay: float) -> Optimizer:
    """AdamW; weight decay for matrices but not for vectors (biases, norms, scales); a separate encoder rate."""
    if encoder_lr is None:
        encoder_lr = 1e-4 if is_adapted(model.encoder) else 1e-5
    groups = []
    encoder_lr = encoder_lr if model.encoder.pretrained else lr
    for part, peak in ((model.heads, lr), (model.encoder, encoder_lr)):
        learning = [parameter for parameter in part.parameters() if parameter.requires_grad]
        for decay, chosen in ((weight_decay, True), (0.0, False)):
            params = [parameter for parameter in learning if (parameter.ndim > 1) == chosen]
            if params:
                groups.append({"params": params, "lr": peak, "weight_decay": decay})
    return AdamW(groups, betas=(0.9, 0.99), fused=True)


def new_learner(model: RewardModel, options: Updates, total: int, world: Processes) -> Learner:
    """Build the learner of all parameters that are not frozen, for `total` updates."""
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    optimizer = make_optimizer(model, options.lr, options.encoder_lr, options.weight_decay)
    rise = max(1, round(total * options.warmup_share))
    average = Average(parameters, Lerp(parameters.values(), options.ema)) if options.ema else None
    schedule = shares(lambda step: cosine(step, total, rise))
    return Learner(parameters, {"optimizer": optimizer}, schedule, average=average, world=world)
