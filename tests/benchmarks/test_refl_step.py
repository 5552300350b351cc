from pathlib import Path

import pytest
import torch

from benchmarks.refl_step import off_line, overhead, tables
from benchmarks.step_cases import sized, small
from benchmarks.step_parts import Parts, cpu_peak, late, peak, times
from refl.command import update
from refl.session import Session
from rewardkit.diffusion.tiny.families import TINY

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return small("sd3", tmp_path_factory.mktemp("step"), batch=2)


def test_the_peak_is_that_of_the_allocator() -> None:
    def work() -> None:
        first = torch.zeros(MEGABYTE // 4)
        second = first + 1
        del first
        torch.zeros(MEGABYTE // 8)
        del second

    assert cpu_peak(work) == pytest.approx(2 * MEGABYTE, abs=100)


def test_the_step_and_every_part_are_timed_alike(session: Session) -> None:
    seconds = times(session, 2, torch.Generator().manual_seed(0))
    assert list(seconds) == ["step", "prefix", "window", "decode", "rewards", "update"]
    assert all(len(values) == 2 and min(values) > 0 for values in seconds.values())


@pytest.mark.parametrize("name", list(TINY))
def test_every_family_is_small(name: str, tmp_path: Path) -> None:
    session = small(name, tmp_path, batch=1)
    assert session.base.decode(session.base.noise(1, torch.Generator())).shape[-1] <= 32
    update(session)
    assert any(weight.grad is not None for weight in session.learner.parameters.values())


def test_every_way_back_arrives(session: Session) -> None:
    parts = Parts.of(session)
    parts.window()
    assert all(weight.grad is not None for weight in session.learner.parameters.values())
    before = [copy.detach().clone() for copy in parts.copies]
    parts.update()
    assert all(not torch.equal(old, new) for old, new in zip(before, parts.copies, strict=True))


def test_the_prefix_has_as_many_passes_as_the_steps(session: Session) -> None:
    passes = []
    hook = session.base.denoiser.register_forward_hook(lambda *_: passes.append(torch.is_grad_enabled()))
    try:
        update(session)
    finally:
        hook.remove()
    assert passes == [False] * late(session) + [True]
    assert late(session) == session.config.steps // 2


def test_peaks_tell_more_graph_from_more_steps(session: Session) -> None:
    one, more = peak(session, steps=6), peak(session, steps=12)
    assert more == pytest.approx(one, rel=0.02)
    depths = {k: peak(session, objective="draft-k", grad_steps=k) for k in (1, 2, 3)}
    assert depths[3] > 1.2 * depths[1]
    assert off_line(depths) < 0.02


def test_a_ratio_of_totals_and_a_straight_line() -> None:
    seconds = {"step": [3.0, 6.0], "prefix": [1.0, 3.0], "window": [1.0, 1.0]}
    figure = overhead(seconds, torch.Generator().manual_seed(0))
    assert figure.value == pytest.approx(9 / 6)
    assert figure.n == 2
    assert off_line({1: 10, 2: 20, 3: 30}) == pytest.approx(0, abs=1e-9)
    assert off_line({1: 10, 2: 20, 3: 60}) > 0.1


def test_a_known_size_runs_without_its_text_encoders_words(tmp_path: Path) -> None:
    session = sized("seedling", 64, tmp_path, 1, "seedling", "cpu", "float32")
    update(session)
    assert any(weight.grad is not None for weight in session.learner.parameters.values())


def test_the_tables_have_a_line_a_case() -> None:
    row = {
        "seconds": {"step": 0.3, "prefix": 0.1, "window": 0.2},
        "peaks": {10: 2**20, 50: 2**20},
        "more_steps": 1.0,
        "ratio": {"value": 1.01, "low": 0.99, "high": 1.03, "n": 5},
        "depths": {1: 2**20, 2: 2**21},
        "off_line": 0.0,
    }
    shown = tables({"sd3": row})
    assert "| sd3 | 300.0 | 100.0 | 200.0 | 1.010 [0.990, 1.030] | 5 |" in shown
    assert "| sd3 | 1.00 | 1.00 | +0.000% | 1.00 | 2.00 | 0.000% |" in shown
