"""Checkpoints: whole after every kill, the same bytes for the same content, and damage is found and told."""

import hashlib
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bamgate.engines import CheckpointStore, Position
from bamgate.errors import TryAgainError
from bamgate.record.storage import sole_writer

CURRENT, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"


class KilledError(BaseException):
    """The process dies here. Not an Exception, so nothing tidies up after it."""


def tensors(value: float) -> dict[str, Tensor]:
    return {
        "model/weight": torch.full((3, 4), value),
        "model/num_batches_tracked": torch.tensor(7),
        "momentum/weight": torch.arange(4, dtype=torch.float32) * value,
    }


def position(epoch: int) -> Position:
    return Position(epoch=epoch, step=3, loss_sum=0.1 * epoch, correct=11)


def save(folder: Path, epoch: int) -> None:
    CheckpointStore(folder).save(tensors(float(epoch)), position(epoch))


def epoch_of(found: Any) -> int:
    """The epoch of what `load` gave, after a look at the tensors that belong to it."""
    assert found is not None
    loaded, where, _ = found
    assert where == position(where.epoch)
    expected = tensors(float(where.epoch))
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    return int(where.epoch)


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    bit %= 8 * len(data)
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def damaged(path: Path) -> str:
    return f"{path} is damaged (its sha256 is not the one that was saved)"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_saved_is_nothing_loaded(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path).load() is None


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    saved = {
        "a": torch.tensor([[1.5, -0.0], [float("nan"), float("inf")]]),
        "b": torch.tensor(3),
        "c": torch.tensor([1.0, 2.0]).bfloat16(),
        "d": torch.tensor([True, False]),
        "e": torch.empty(0, 2),
        "f": torch.nn.Parameter(torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last)),
    }
    where = Position(epoch=4, step=9, loss_sum=0.1 + 0.2, correct=123, diverged=False)
    CheckpointStore(tmp_path).save(saved, where)
    found = CheckpointStore(tmp_path).load()
    assert found is not None
    loaded, again, warning = found
    assert (again, warning) == (where, "")
    assert list(loaded) == list(saved)
    for name, tensor in saved.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name].nan_to_num(7.0), tensor.detach().nan_to_num(7.0))
        assert not loaded[name].requires_grad


def test_a_diverged_position_is_loaded(tmp_path: Path) -> None:
    CheckpointStore(tmp_path).save(tensors(1.0), Position(epoch=1, loss_sum=float("inf"), diverged=True))
    found = CheckpointStore(tmp_path).load()
    assert found is not None
    assert found[1] == Position(epoch=1, loss_sum=float("inf"), diverged=True)


def test_the_file_holds_tensors_and_plain_types_only(tmp_path: Path) -> None:
    save(tmp_path, 2)
    content = torch.load(tmp_path / CURRENT, weights_only=True)
    assert content.pop("position") == (
        '{"epoch": 2, "step": 3, "loss_sum": 0.2, "correct": 11, "seconds": 0.0, "diverged": false}'
    )
    assert {name: tensor.tolist() for name, tensor in content.items()} == {
        "model/weight": [[2.0] * 4] * 3,
        "model/num_batches_tracked": 7,
        "momentum/weight": [0.0, 2.0, 4.0, 6.0],
    }


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    """Also after a round through the file, out of views of a larger storage, and with other times."""
    folders = [tmp_path / name for name in ("first", "loaded", "views", "later")]
    for folder in folders:
        folder.mkdir()
    first, loaded, views, later = folders
    done = Position(epoch=3)  # between two epochs, where no time is running
    CheckpointStore(first).save(tensors(3.0), done)
    found = CheckpointStore(first).load()
    assert found is not None
    CheckpointStore(loaded).save(found[0], found[1])
    large = torch.full((10, 4), 3.0)
    momentum = (torch.arange(8, dtype=torch.float32) * 1.5)[::2]
    parts = {"model/" + "weight": large[2:5], "model/num_batches_tracked": torch.tensor([1, 7])[1]}
    CheckpointStore(views).save({**parts, "momentum/weight": momentum.contiguous()}, done)
    CheckpointStore(later).save(tensors(3.0), Position(epoch=3, seconds=99.0))
    contents = [(folder / CURRENT).read_bytes() for folder in folders]
    assert [content == contents[0] for content in contents] == [True] * 4
    assert (first / "checkpoint.sha256").read_text() == hashlib.sha256(contents[0]).hexdigest() + "\n"


def test_the_memory_layout_is_not_stored(tmp_path: Path) -> None:
    plain = torch.arange(96.0).reshape(2, 3, 4, 4)
    contents = []
    for tensor in (plain, plain.to(memory_format=torch.channels_last), plain.mT.contiguous().mT):
        CheckpointStore(tmp_path).save({"weight": tensor}, position(1))
        contents.append((tmp_path / CURRENT).read_bytes())
    assert contents[1:] == contents[:1] * 2
    found = CheckpointStore(tmp_path).load()
    assert found is not None
    assert torch.equal(found[0]["weight"], plain)


def test_other_content_is_other_bytes(tmp_path: Path) -> None:
    seen = set()
    for values, where in ((1.0, position(1)), (2.0, position(1)), (1.0, position(2))):
        CheckpointStore(tmp_path).save(tensors(values), where)
        seen.add((tmp_path / CURRENT).read_bytes())
    assert len(seen) == 3


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        save(tmp_path, epoch)
    assert epoch_of(CheckpointStore(tmp_path).load()) == 3
    assert names(tmp_path) == [PREVIOUS, CURRENT, "checkpoint.sha256"]
    (tmp_path / CURRENT).unlink()
    found = CheckpointStore(tmp_path).load()
    assert epoch_of(found) == 2
    assert found is not None
    assert found[2] == ""


@given(bit=st.integers(0, 1 << 20))
def test_one_flipped_bit_falls_back_to_the_checkpoint_before(
    tmp_path_factory: pytest.TempPathFactory, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    save(folder, 1)
    save(folder, 2)
    flip(folder / CURRENT, bit)
    found = CheckpointStore(folder).load()
    assert epoch_of(found) == 1
    assert found is not None
    assert found[2] == f"{damaged(folder / CURRENT)}; going on from epoch 1"
    assert not (folder / CURRENT).exists()


def test_a_file_cut_short_falls_back_too(tmp_path: Path) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    os.truncate(tmp_path / CURRENT, 100)
    found = CheckpointStore(tmp_path).load()
    assert epoch_of(found) == 1
    assert found is not None
    assert found[2] == f"{damaged(tmp_path / CURRENT)}; going on from epoch 1"


def test_with_both_damaged_the_run_starts_anew_and_says_so(tmp_path: Path) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    flip(tmp_path / CURRENT, 1000)
    flip(tmp_path / PREVIOUS, 1000)
    found = CheckpointStore(tmp_path).load()
    assert found is not None
    loaded, where, warning = found
    assert (loaded, where) == ({}, Position())
    assert warning == f"{damaged(tmp_path / PREVIOUS)}; starting from the beginning"
    assert names(tmp_path) == [f"{PREVIOUS}.damaged", f"{CURRENT}.damaged", "checkpoint.sha256"]
    save(tmp_path, 1)
    assert epoch_of(CheckpointStore(tmp_path).load()) == 1


def test_a_single_damaged_checkpoint_starts_anew_and_says_so(tmp_path: Path) -> None:
    save(tmp_path, 1)
    flip(tmp_path / CURRENT, 5)
    found = CheckpointStore(tmp_path).load()
    assert found == ({}, Position(), f"{damaged(tmp_path / CURRENT)}; starting from the beginning")


@pytest.mark.parametrize("bit", [0, 7])
def test_a_damaged_list_of_hashes_costs_one_checkpoint_at_most(tmp_path: Path, bit: int) -> None:
    """Bit 7 of a byte makes the list no UTF-8 text."""
    save(tmp_path, 1)
    save(tmp_path, 2)
    flip(tmp_path / "checkpoint.sha256", 8 * 70 + bit)  # in the second hash, that of the newest
    assert epoch_of(CheckpointStore(tmp_path).load()) == 1


def dying(real: Callable[..., Any], at: int, *, after: bool) -> Callable[..., Any]:
    """`real`, but its call number `at` (from 1) is the last: before or after it has done its work."""
    calls = itertools.count(1)

    def wrapper(*arguments: Any) -> Any:
        last = next(calls) == at
        if last and not after:
            raise KilledError
        result = real(*arguments)
        if last:
            raise KilledError
        return result

    return wrapper


# (what is called, which call, killed after it or before). A save renames and syncs 5 times at most.
KILLS = [
    (owner, step, at, after)
    for owner, step, last in ((Path, "replace", 3), (os, "link", 1), (os, "fsync", 5))
    for at in range(1, last + 1)
    for after in (False, True)
]


def killed_save(folder: Path, epoch: int, kill: tuple[Any, str, int, bool]) -> bool:
    """Save, and die on the way; False where the save was over before."""
    owner, step, at, after = kill
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(owner, step, dying(getattr(owner, step), at, after=after))
        try:
            save(folder, epoch)
        except KilledError:
            return True
    return False


@pytest.mark.parametrize("kill", KILLS, ids=str)
@pytest.mark.parametrize("saved", [0, 1, 2, 3])
def test_after_a_kill_at_any_step_a_whole_checkpoint_is_loaded(tmp_path: Path, saved: int, kill: Any) -> None:
    for epoch in range(1, saved + 1):
        save(tmp_path, epoch)
    was_killed = killed_save(tmp_path, saved + 1, kill)
    assert was_killed or saved == 0
    found = CheckpointStore(tmp_path).load()
    if saved or not was_killed:
        assert epoch_of(found) in (saved, saved + 1)
        assert found is not None
        assert found[2] == ""
    else:
        assert found is None or epoch_of(found) == 1
    save(tmp_path, saved + 2)
    assert epoch_of(CheckpointStore(tmp_path).load()) == saved + 2
    CheckpointStore(tmp_path).finish()
    with sole_writer(tmp_path):  # the next process to hold the folder sweeps it
        assert names(tmp_path) == [".lock", CURRENT, "checkpoint.sha256"]


@pytest.mark.parametrize("first", [kill for kill in KILLS if kill[1] == "replace"], ids=str)
def test_two_kills_in_a_row_lose_no_more_than_one(tmp_path: Path, first: Any) -> None:
    lost = []
    for number, second in enumerate(KILLS):
        folder = tmp_path / str(number)
        folder.mkdir()
        save(folder, 1)
        save(folder, 2)
        killed_save(folder, 3, first)
        reached = epoch_of(CheckpointStore(folder).load())
        killed_save(folder, reached + 1, second)
        found = CheckpointStore(folder).load()
        if found is None or found[1].epoch < reached:
            lost.append(second)
    assert lost == []


def test_a_kill_after_a_fall_back_does_not_lose_the_checkpoint_before(tmp_path: Path) -> None:
    lost = []
    for number, kill in enumerate(KILLS):
        folder = tmp_path / str(number)
        folder.mkdir()
        save(folder, 1)
        save(folder, 2)
        flip(folder / CURRENT, 777)
        assert epoch_of(CheckpointStore(folder).load()) == 1
        killed_save(folder, 2, kill)
        found = CheckpointStore(folder).load()
        if found is None or found[1].epoch < 1:
            lost.append(kill)
    assert lost == []


@pytest.mark.parametrize(("at", "name"), [(1, "checkpoint.sha256"), (2, PREVIOUS), (3, CURRENT)])
def test_a_full_disk_while_saving_leaves_a_whole_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, name: str
) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    real, calls = Path.replace, itertools.count(1)

    def full(path: Path, target: Path) -> Path:
        if next(calls) == at:
            raise OSError(28, "No space left on device")
        return real(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        with pytest.raises(TryAgainError) as caught:
            save(tmp_path, 3)
    path = tmp_path / name
    assert str(caught.value) == (
        f"cannot write {path}: No space left on device; what was logged is whole, the same command goes on from there"
    )
    assert epoch_of(CheckpointStore(tmp_path).load()) == 2


def test_finish_keeps_the_last_one_and_its_hash(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        save(tmp_path, epoch)
    digest = CheckpointStore(tmp_path).finish()
    assert digest == hashlib.sha256((tmp_path / CURRENT).read_bytes()).hexdigest()
    assert names(tmp_path) == [CURRENT, "checkpoint.sha256"]
    assert (tmp_path / "checkpoint.sha256").read_text() == digest + "\n"
    assert epoch_of(CheckpointStore(tmp_path).load()) == 3
    assert CheckpointStore(tmp_path).finish() == digest
