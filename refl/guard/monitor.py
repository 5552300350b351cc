"""Generate held-out prompts from fixed noise at intervals, score them with the judges, and keep the best weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from refl.guard.rules import Check, Values, Verdict, judge
from rewardkit.diffusion.rollout import rollout
from rewardkit.diffusion.sampler import Sampler
from rewardkit.encoders import Encoder
from rewardkit.images.statistics import diversity, probe
from rewardkit.rewards.panel import Panel
from rewardkit.training.processes import ALONE, Processes
from rewardkit.types import Images

TRAINED, FEATURES = "trained", "features"
CLOSER = 4
"""How many times more often the guard checks after a doubtful check."""


@dataclass(frozen=True)
class HeldOut:
    """The base in training, and its measurement on held-out prompts."""

    sampler: Sampler
    panel: Panel
    """The rewards that are trained."""
    judges: Panel
    """Rewards that are never trained."""
    encoder: Encoder
    """Its features measure the diversity of the images."""
    prompts: Sequence[str]
    world: Processes = ALONE
    """Each process generates and scores a shard; all get all results."""

    def measure(self) -> dict[str, Tensor]:
        """Generate with the current weights; return raw scores and probes, float64, one number per image."""
        values = rollout(self.sampler, self.prompts, self.ask, self.world)
        values["probe/diversity"] = diversity(values.pop(FEATURES))
        return {name: value.double() for name, value in values.items()}

    def ask(self, images: Images, prompts: Sequence[str]) -> dict[str, Tensor]:
        """Scores and probes of a batch, and the features for the diversity."""
        raw, judged = self.panel.raw(images, prompts), self.judges.raw(images, prompts)
        found = {TRAINED: self.panel.total(raw, prompts), FEATURES: self.encoder.image(images).pooled}
        found |= {f"judge/{name}": value for name, value in judged.items()}
        found |= {f"probe/{name}": value for name, value in probe(images).items()}
        return {name: value.float() for name, value in found.items()}


@dataclass
class Monitor:
    """The checks of a run so far, and the adapter with the best scores of the judges."""

    subject: HeldOut
    patience: int
    """Bad checks in a row that stop the run; 0 never does."""
    last: int
    """The last update of the run, after which there is nothing to stop."""
    every: int
    """Updates between two checks; a quarter of this after a doubtful one."""
    steps: list[int] = field(default_factory=list)
    measured: list[dict[str, Tensor]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=lambda: Verdict(False, 0, 0, 0))

    def due(self, step: int) -> bool:
        """Whether a check is due: at the start, at every interval, at the end, and sooner after a doubtful check."""
        if not self.steps:
            return True
        closer = self.patience > 0 and self.verdict.doubtful
        soon = self.steps[-1] + max(1, self.every // CLOSER) if closer else self.last
        return self.steps[-1] < step and (step % self.every == 0 or step == self.last or step >= soon)

    def look(self, step: int, adapter: Mapping[str, Tensor]) -> None:
        """Check the current weights of the base; keep them if they are the best so far."""
        self.steps.append(step)
        self.measured.append(self.subject.measure())
        self.verdict = self.decide()
        if self.verdict.best == step:
            self.best = {name: value.detach().clone() for name, value in adapter.items()}

    def decide(self) -> Verdict:
        return judge(self.checks, self.patience, self.last)

    @property
    def checks(self) -> list[Check]:
        """Every check, the judges on the z-scale of the first."""
        prompts, judges = self.subject.prompts, self.subject.judges
        gates = judges.gates(prompts)
        first = {name: self.measured[0][f"judge/{name}"] for name in judges.axes}
        scaled = judges.fit(first, prompts)

        def check(step: int, values: Mapping[str, Tensor]) -> Check:
            z = scaled.normalise({name: values[f"judge/{name}"] for name in judges.axes})
            return Check(
                step,
                numbers(values[TRAINED]),
                {name: np.where(gates[name].numpy(), numbers(value), np.nan) for name, value in z.items()},
                {name[len("probe/") :]: numbers(value) for name, value in values.items() if name.startswith("probe/")},
            )

        return [check(step, values) for step, values in zip(self.steps, self.measured, strict=True)]

    def state(self) -> dict[str, dict[str, Tensor]]:
        """The state for a resume, as named tensors; empty before the first check."""
        if not self.steps:
            return {}
        history = {name: torch.stack([values[name] for values in self.measured]) for name in self.measured[0]}
        return {"guard": history | {"step": torch.tensor(self.steps)}, "best": self.best}

    def load(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Restore a saved state. A state of other judges or prompts is ignored, and the checks start again."""
        history = dict(state.get("guard", {}))
        known = {TRAINED, *(f"judge/{name}" for name in self.subject.judges.axes)}
        if not known <= history.keys() or history[TRAINED].shape[1] != len(self.subject.prompts):
            return
        self.steps = history.pop("step").tolist()
        self.measured = [{name: value[i] for name, value in history.items()} for i in range(len(self.steps))]
        self.best = dict(state["best"])
        self.verdict = self.decide()


def numbers(values: Tensor) -> Values:
    return values.double().numpy()
