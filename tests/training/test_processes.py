"""Several processes: shares, gathering, gradients, and who prints; two real ones talk through gloo."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rewardkit.training.processes import ALONE, Processes, processes

ROOT = Path(__file__).resolve().parents[2]

WORKER = """
import torch
from rewardkit.training.processes import processes

ranks = processes("cpu")
assert (ranks.count, ranks.local_world_size, ranks.machine, ranks.is_main) == (2, 2, 0, ranks.rank == 0)
assert ranks.gather({"rank": ranks.rank}) == [{"rank": 0}, {"rank": 1}]
assert list(ranks.share(range(5))) == [[0, 1], [2, 3, 4]][ranks.rank]

both, one, nobody, frozen, half = (torch.nn.Parameter(torch.ones(2, 3)) for _ in range(5))
frozen.requires_grad_(False)
half.data = half.data.bfloat16()
loss = (both * (ranks.rank + 1)).sum() + half.float().sum()
if ranks.rank == 1:
    loss = loss + 7 * one.sum()
loss.backward()
ranks.sum_gradients([both, one, nobody, frozen, half])
assert both.grad.eq(3).all() and both.grad.shape == (2, 3)
assert one.grad.eq(7).all()
assert nobody.grad is None and frozen.grad is None
assert half.grad.dtype == torch.bfloat16 and half.grad.eq(2).all()
ranks.wait()
with ranks.hush():
    print("said once", flush=True)
"""


def test_two_processes_share_gather_and_sum(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = os.environ | {
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    workers = [
        subprocess.Popen(
            [sys.executable, str(tmp_path / "worker.py")],
            env=shared | {"RANK": rank, "LOCAL_RANK": rank, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    said = [worker.communicate(timeout=300) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert [out.count("said once") for out, _ in said] == [1, 0]


@pytest.mark.parametrize(("count", "items"), [(1, 5), (3, 7), (4, 2)])
def test_shares_are_the_whole_in_order(count: int, items: int) -> None:
    shares = [list(Processes(rank, count).share(range(items))) for rank in range(count)]
    assert [one for share in shares for one in share] == list(range(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_every_machine_does_the_whole_list() -> None:
    crowd = [Processes(rank, 4, local_world_size=2) for rank in range(4)]
    assert [one.machine for one in crowd] == [0, 0, 1, 1]
    assert [list(one.local_shard("abc")) for one in crowd] == [["a"], ["b", "c"], ["a"], ["b", "c"]]


def test_alone_nothing_is_waited_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert processes("cpu") == ALONE
    assert ALONE.gather(3) == [3]
    weight = torch.nn.Parameter(torch.ones(1))
    weight.sum().backward()
    gradient = weight.grad
    ALONE.sum_gradients([weight])
    assert weight.grad is gradient
    with ALONE.hush():
        print("heard")
    with Processes(1, 2).hush():
        print("not heard")
    assert capsys.readouterr().out == "heard\n"
