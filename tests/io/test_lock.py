"""One command at a time in a folder; a killed one keeps nobody out."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rewardkit.errors import UserError
from rewardkit.io.lock import NAME, locked

HOLD = """
import sys, time
from pathlib import Path
from rewardkit.io.lock import locked
with locked(Path(sys.argv[1]), "rewardkit refl --out x"):
    print("in", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_is_in_and_comes_in_after_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "run"
    with subprocess.Popen([sys.executable, "-c", HOLD, folder], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "in\n"
        said = rf"run is in use by `rewardkit refl --out x` \(process {first.pid}, since .*\); wait for it"
        with pytest.raises(UserError, match=said), locked(folder, "second"):
            pass
        first.send_signal(signal.SIGKILL)
    with locked(folder, "third"):
        assert "third" in (folder / NAME).read_text()
        (folder / "kept").touch()
    assert [path.name for path in folder.iterdir()] == ["kept"]


def test_a_folder_that_stays_empty_goes_again(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no"), locked(tmp_path / "a" / "b", "one"):
        raise UserError("no")
    assert not (tmp_path / "a").exists()
    with locked(tmp_path, "two"):
        pass
    assert tmp_path.is_dir()


def test_it_may_be_taken_again(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path, "one"):
            pass
