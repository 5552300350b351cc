"""Check `rewardkit plan` against measured runs: parameters, and bytes that the graph saves.

On a CPU the bytes are those of the tensors that autograd saves (hooks on real tensors); with `--device cuda` the
peak of every phase is compared with `torch.cuda.max_memory_allocated`. Weights are random; nothing is downloaded.

    python benchmarks/plan_check.py                                        # seedling and two tiny families, CPU
    python benchmarks/plan_check.py --device cuda --base sd3.5-medium      # a real size on a GPU
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor, nn

from rewardkit.diffusion import lora
from rewardkit.diffusion.base import Base
from rewardkit.diffusion.checkpointing import save_memory
from rewardkit.diffusion.config import Saving
from rewardkit.diffusion.tiny.pipelines import tiny_flux, tiny_sd3
from rewardkit.plan import simulate
from rewardkit.plan.bases import build, recipe
from rewardkit.plan.config import PlanConfig
from rewardkit.plan.planner import Planner

TINY = {"tiny-sd3": tiny_sd3, "tiny-flux": tiny_flux}

TINY_SIZE = 16
"""Pixels; a saved FLUX pipeline does not contain its size."""

RANK = 4


@dataclass
class SavedTensors:
    """Bytes that autograd saves in each phase, counting each storage once, without weights."""

    weights: set[int]
    phases: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        storages: dict[int, int] = {}

        def pack(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self.weights:
                storages[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            yield
        self.phases[name] = sum(storages.values())


@dataclass
class CudaMemory:
    """Peak bytes allocated in each phase, above what was allocated before the run."""

    before: int
    phases: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        torch.cuda.reset_peak_memory_stats()
        yield
        torch.cuda.synchronize()
        self.phases[name] = torch.cuda.max_memory_allocated() - self.before


@dataclass(frozen=True)
class Row:
    """One comparison."""

    what: str
    planned: int
    measured: int

    @property
    def off(self) -> float:
        """Relative error of the plan."""
        return self.planned / self.measured - 1


def compare(spec: str, config: PlanConfig, device: torch.device) -> list[Row]:
    """Plan a run, do it on real tensors, and compare both."""
    planner = Planner(config, kernels="cuda" if device.type == "cuda" else "cpu")
    step = planner.step(config)
    base = build(recipe(spec), step.dtype, device)
    with torch.device(device):
        lora.attach(
            base.denoiser,
            rank=config.rank,
            alpha=float(config.rank),
            targets=planner.targets,
            generator=torch.Generator(),
        )
    vae = base.vae
    again = config.save_memory != "none"
    save_memory(base.denoiser, vae, config.save_memory)
    rows = [counted(planner, base)]
    planned = {**planner.denoise(config), **planner.decode(config)}
    if device.type == "cuda":
        cuda = CudaMemory(torch.cuda.memory_allocated())
        simulate.run_denoiser(cuda, base, step, device)
        simulate.run_decoder(cuda, base, step, device, one_by_one=again)
        return rows + [Row(f"peak, {name}", planned[name].peak, size) for name, size in cuda.phases.items()]
    saved = SavedTensors(pointers(base.denoiser, vae))
    simulate.run_denoiser(saved, base, step, device)
    simulate.run_decoder(saved, base, step, device, one_by_one=again)
    images = 4 * 3 * step.batch_size * step.size**2  # alive after the decoder, but not saved by autograd
    grown = {
        "window": planned["window"].resident - planned["prefix"].resident,
        "decode": planned["decode"].resident - images,
    }
    return rows + [Row(f"graph, {name}", size, saved.phases[name]) for name, size in grown.items()]


def counted(planner: Planner, base: Base) -> Row:
    """Weights planned and built; the LoRA is on both."""
    built = sum(weight.numel() for part in base.parts.values() for weight in part.parameters())
    return Row("parameters", sum(planner.parameters.values()) - planner.parameters["rewards"], built)


def pointers(*modules: nn.Module) -> set[int]:
    """Addresses of weights and buffers: saving them in a graph takes no additional memory."""
    tensors = [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
    return {tensor.untyped_storage().data_ptr() for tensor in tensors}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", nargs="*", default=["seedling", *TINY], help="known sizes, folders, or tiny-...")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument(
        "--dtype",
        choices=("bfloat16", "float16", "float32"),
        help="default: float32 on a CPU, bfloat16 on a GPU",
    )
    args = parser.parse_args()
    device = torch.device(args.device)
    dtype: Any = args.dtype or ("bfloat16" if device.type == "cuda" else "float32")
    print("| base | save memory | what | planned | measured | off |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.base:
            spec = str(Path(folder) / name) if name in TINY else name
            if name in TINY:
                TINY[name]().save_pretrained(spec)
            for saving in get_args(Saving):
                config = PlanConfig(
                    base=spec,
                    rewards=("seedling",),
                    batch_size=args.batch_size,
                    rank=RANK,
                    size=args.size or (TINY_SIZE if name in TINY else 0),
                    dtype=dtype,
                    save_memory=saving,
                )
                for row in compare(spec, config, device):
                    shown = f"{row.planned:,} | {row.measured:,} | {row.off:+.1%}"
                    print(f"| {name} | {saving} | {row.what} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
