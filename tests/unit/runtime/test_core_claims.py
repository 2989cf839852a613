"""Claims are seen by everybody else on the machine, and end with their process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime.core_claims import CoreClaims, machine_claims

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has locks of open file descriptions")

CLAIM_TWO = """
import sys
from pathlib import Path
from pipeline.runtime.core_claims import CoreClaims
claims = CoreClaims(Path(sys.argv[1]), 4)
claims.claim(2)
print("claimed", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cores"


def test_what_one_claims_is_not_free_to_another(path: Path) -> None:
    one, other = CoreClaims(path, 4), CoreClaims(path, 4)
    one.claim(3)
    assert other.are_free(1)
    assert not other.are_free(2)
    assert one.are_free(4)
    one.release()
    assert other.are_free(4)


def test_a_claim_lasts_until_its_last_user_releases_it(path: Path) -> None:
    one, other = CoreClaims(path, 2), CoreClaims(path, 2)
    one.claim(2)
    one.claim(2)
    one.release()
    assert not other.are_free(1)
    one.release()
    assert other.are_free(2)


def test_who_computes_is_alone_until_another_one_does(path: Path) -> None:
    one, two, other = CoreClaims(path, 2), CoreClaims(path, 2), CoreClaims(path, 2)
    one.start_using()
    one.start_using()
    assert one.is_alone()
    assert not other.is_alone()
    two.start_using()
    assert not one.is_alone()
    one.stop_using()
    two.stop_using()
    assert not other.is_alone()
    assert two.are_free(2)  # using claims nothing
    one.stop_using()
    assert other.is_alone()


def test_two_claims_take_cores_of_their_own(path: Path) -> None:
    one, two, other = CoreClaims(path, 4), CoreClaims(path, 4), CoreClaims(path, 4)
    one.claim(2)
    two.claim(1)
    assert other.are_free(1)
    assert not other.are_free(2)
    one.release()
    assert other.are_free(3)
    assert not other.are_free(4)


def test_more_cores_than_there_are_is_all_of_them(path: Path) -> None:
    one, other = CoreClaims(path, 2), CoreClaims(path, 2)
    assert other.are_free(8)
    one.claim(8)
    assert not other.are_free(8)


def test_the_claim_of_a_process_ends_with_it(path: Path) -> None:
    claims = CoreClaims(path, 4)
    command = [sys.executable, "-c", CLAIM_TWO, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "claimed\n"
        assert claims.are_free(2)
        assert not claims.are_free(3)
        process.kill()
    assert claims.are_free(4)


def test_closing_or_losing_the_object_ends_its_claim(path: Path) -> None:
    other = CoreClaims(path, 2)
    closed, lost = CoreClaims(path, 2), CoreClaims(path, 2)
    closed.claim(1)
    lost.claim(1)
    closed.close()
    assert other.are_free(1)
    assert not other.are_free(2)
    del lost
    assert other.are_free(2)


def test_without_the_file_nothing_is_ever_claimed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, other = (CoreClaims(tmp_path / "nowhere" / "cores", 2) for _ in range(2))
    one.claim(2)
    assert other.are_free(2)
    one.release()
    assert "cannot be opened" in caplog.text


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path, path: Path) -> None:
    target = tmp_path / "target"
    path.symlink_to(target)
    CoreClaims(path, 2).claim(1)
    assert not target.exists()


def test_claims_of_the_machine_are_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    one, other = machine_claims(), machine_claims()
    one.claim(1_000)
    assert not other.are_free(1)
    assert len(list(tmp_path.iterdir())) == 1
