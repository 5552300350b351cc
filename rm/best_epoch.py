"""The best epoch so far: of every head if the encoder is frozen, of the whole model if it is trained."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean

from torch import Tensor

from rm.model import RewardModel
from rm.validation import Validation


@dataclass
class BestEpoch:
    """The best epoch so far, by unit: an axis if the encoder is frozen, else the whole model, called `all`."""

    accuracy: dict[str, float] = field(default_factory=dict)
    loss: dict[str, float] = field(default_factory=dict)
    epoch: dict[str, int] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def beats(self, unit: str, accuracy: float, loss: float) -> bool:
        """Return whether figures beat the best so far; of two equal accuracies the lower loss is better."""
        return unit not in self.epoch or (accuracy, -loss) > (self.accuracy[unit], -self.loss[unit])

    def epoch_of(self, axis: str) -> int:
        return self.epoch.get(axis, self.epoch.get("all", 0))

    def keep(self, model: RewardModel, found: Mapping[str, Validation], epoch: int) -> None:
        """Keep the trained weights of every unit that improved.

        Heads on a frozen encoder are independent, so each keeps its own best epoch; if the encoder is trained, all of
        the model is kept when the mean over the axes improves.
        """
        learning = {name: value for name, value in model.named_parameters() if value.requires_grad}
        for unit, prefix, accuracy, loss in units(model, found):
            if self.beats(unit, accuracy, loss):
                self.accuracy[unit], self.loss[unit], self.epoch[unit] = accuracy, loss, epoch
                own = {name: value for name, value in learning.items() if name.startswith(prefix)}
                self.weights |= {name: value.detach().cpu().clone() for name, value in own.items()}


def units(model: RewardModel, found: Mapping[str, Validation]) -> list[tuple[str, str, float, float]]:
    """List the units that are selected separately: (unit, prefix of its weights, accuracy, loss)."""
    if any(parameter.requires_grad for parameter in model.encoder.parameters()):
        mean = fmean(one.accuracy.value for one in found.values())
        return [("all", "", mean, fmean(one.loss for one in found.values()))]
    return [(axis, f"heads.{axis}.", one.accuracy.value, one.loss) for axis, one in found.items()]
