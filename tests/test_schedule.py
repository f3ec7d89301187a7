"""Learning rates against values worked out by hand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bamgate.config import TrainingConfig
from bamgate.engines.schedule import learning_rate

COS_1_8, COS_3_8 = 0.9238795325112867, 0.38268343236508984  # cos(pi/8), cos(3 pi/8)


def rates(steps_per_epoch: int, **fields: Any) -> list[float]:
    config = TrainingConfig(**fields)
    return [learning_rate(config, step, steps_per_epoch) for step in range(config.epochs * steps_per_epoch)]


def test_constant_never_changes() -> None:
    assert rates(3, schedule="constant", epochs=2, lr=0.3) == [0.3] * 6


def test_constant_with_warm_up_rises_in_a_straight_line() -> None:
    # 2 epochs of 2 steps: quarters of the peak, then the peak.
    expected = [0.2, 0.4, 0.6, 0.8, 0.8, 0.8]
    assert rates(2, schedule="constant", epochs=3, lr=0.8, warmup_epochs=2) == pytest.approx(expected, rel=1e-12)


def test_a_warm_up_that_ends_within_an_epoch_counts_in_steps() -> None:
    # Half an epoch of 5 steps is 2.5 steps: 1/2.5, 2/2.5, then the peak.
    expected = [0.4, 0.8, 1.0, 1.0, 1.0]
    assert rates(5, schedule="constant", epochs=1, lr=1.0, warmup_epochs=0.5) == pytest.approx(expected, rel=1e-12)


def test_a_warm_up_of_less_than_a_step_is_none() -> None:
    assert rates(4, schedule="constant", epochs=1, lr=1.0, warmup_epochs=0.2) == [1.0] * 4


def test_step_drops_at_the_first_step_of_a_milestone() -> None:
    found = rates(3, schedule="step", epochs=5, lr=1.0, milestones=(2, 4), gamma=0.2)
    # Epochs 0 and 1 at the peak, 2 and 3 after one drop, 4 after two; an epoch has 3 steps.
    assert found == pytest.approx([1.0] * 6 + [0.2] * 6 + [0.04] * 3, rel=1e-12)


def test_step_with_warm_up_rises_first_and_then_drops() -> None:
    found = rates(2, schedule="step", epochs=4, lr=0.4, milestones=(3,), gamma=0.5, warmup_epochs=1)
    assert found == pytest.approx([0.2, 0.4, 0.4, 0.4, 0.4, 0.4, 0.2, 0.2], rel=1e-12)


def test_the_cifar_recipe_drops_at_60_120_and_160() -> None:
    config = TrainingConfig(schedule="step", milestones=(60, 120, 160))
    steps = 390
    places = {0: 0.1, 59: 0.1, 60: 0.02, 119: 0.02, 120: 0.004, 159: 0.004, 160: 0.0008, 199: 0.0008}
    for epoch, expected in places.items():
        assert learning_rate(config, epoch * steps, steps) == pytest.approx(expected, rel=1e-12)
        assert learning_rate(config, epoch * steps + steps - 1, steps) == pytest.approx(expected, rel=1e-12)


def test_cosine_is_half_a_cosine_that_would_reach_0_after_the_last_step() -> None:
    found = rates(2, schedule="cosine", epochs=2, lr=2.0)
    # lr/2 (1 + cos(pi k/4)) for k = 0, 1, 2, 3
    assert found == pytest.approx([2.0, 1 + 0.7071067811865476, 1.0, 1 - 0.7071067811865476], rel=1e-12)


def test_cosine_with_warm_up_starts_falling_after_the_warm_up() -> None:
    found = rates(4, schedule="cosine", epochs=3, lr=1.0, warmup_epochs=1)
    falling = [1, 1 + COS_1_8, 1 + 0.7071067811865476, 1 + COS_3_8, 1, 1 - COS_3_8, 1 - 0.7071067811865476, 1 - COS_1_8]
    expected = [0.25, 0.5, 0.75, 1.0, 1.0, *(value / 2 for value in falling[1:])]
    assert found == pytest.approx(expected, rel=1e-12)


def test_one_cycle_is_a_rising_and_a_falling_line() -> None:
    found = rates(4, schedule="one-cycle", epochs=2, lr=0.8, warmup_epochs=1)
    assert found == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.6, 0.4, 0.2], rel=1e-12)


def test_one_cycle_of_the_quick_recipe_ends_just_above_0() -> None:
    # 4 epochs of 60 steps, 60 of them rising: 180 falling steps, the last one at 1/180 of the peak.
    config = TrainingConfig(epochs=4, lr=0.2, schedule="one-cycle", warmup_epochs=1)
    assert learning_rate(config, 0, 60) == pytest.approx(0.2 / 60, rel=1e-12)
    assert learning_rate(config, 59, 60) == 0.2
    assert learning_rate(config, 60, 60) == 0.2
    assert learning_rate(config, 150, 60) == pytest.approx(0.1, rel=1e-12)
    assert learning_rate(config, 239, 60) == pytest.approx(0.2 / 180, rel=1e-12)


@given(
    schedule=st.sampled_from(["constant", "step", "cosine", "one-cycle"]),
    epochs=st.integers(2, 12),
    share=st.floats(0.01, 0.99),
    steps=st.integers(1, 9),
)
def test_no_step_of_any_schedule_leaves_the_range_from_0_to_the_peak(
    schedule: str, epochs: int, share: float, steps: int
) -> None:
    milestones = (1, epochs - 1)[: epochs - 1] if schedule == "step" else ()
    milestones = tuple(sorted(set(milestones)))
    found = rates(steps, schedule=schedule, epochs=epochs, lr=0.5, warmup_epochs=share * epochs, milestones=milestones)
    assert all(0 < rate <= 0.5 for rate in found)
    rising = [rate for step, rate in enumerate(found) if step + 1 < share * epochs * steps]
    assert rising == sorted(rising)
    falling = found[len(rising) :]
    assert falling == sorted(falling, reverse=True)
