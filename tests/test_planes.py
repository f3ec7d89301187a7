"""Channel vectors and spatial planes of a network trained for a few steps, against the branches called by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from model_samples import build
from observe_samples import hooks
from torch import Tensor

from bamgate.config import AttentionConfig, TrainingConfig
from bamgate.data import DATASETS, ImageLoader
from bamgate.engines import Position, Trainer
from bamgate.errors import UsageError
from bamgate.observe.planes import planes_of


def trained(attention: AttentionConfig) -> tuple[Any, Tensor]:
    """A network after a few steps on digits, in training mode, and the images that it is probed on."""
    train, test = (split.first(96) for split in DATASETS.get("digits").load(Path()))
    loader = ImageLoader(train, test, batch_size=16, augment="none", padding=4, channels_last=True, seed=0)
    run = Trainer(build("resnet8", attention, in_channels=1), loader, TrainingConfig(epochs=1, batch_size=16))
    run.train_epoch(Position(), lambda where: where.step == 3)
    return run.model, loader.probe_batch(5)[0]


def expected(bam: Any, features: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """The branches called one image at a time."""
    channel = spatial = None
    if bam.channel is not None:
        channel = torch.stack([bam.channel(one[None])[0, :, 0, 0] for one in features])
    if bam.spatial is not None and bam.spatial.final.out_channels == 1:
        spatial = torch.stack([bam.spatial(one[None])[0].sum(0) for one in features])
        spatial /= 1 if bam.spatial.final_norm is None else bam.spatial.final_norm.num_features
    return channel, spatial


@pytest.mark.parametrize(
    "ways",
    [
        {},
        {"combine": "product"},
        {"layout": "counted"},
        {"layout": "released"},
        {"branches": "channel"},
        {"branches": "spatial"},
        {"branches": "full"},
    ],
    ids=str,
)
@torch.no_grad()
def test_planes_of_a_trained_network(ways: dict[str, str]) -> None:
    with torch.enable_grad():
        model, x = trained(AttentionConfig(**ways))  # type: ignore[arg-type]
    found = planes_of(model, x)
    assert model.training
    assert hooks(model) == 0
    features = model.eval().stem(x)
    assert list(found) == ["layer1", "layer2"]
    for stage in found:
        features = model.stages[stage](features)
        channel, spatial = expected(model.sites[stage], features)
        for tensor, by_hand in ((found[stage].channel, channel), (found[stage].spatial, spatial)):
            assert (tensor is None) == (by_hand is None)
            if tensor is not None:
                assert (tensor.dtype, tensor.device.type) == (torch.float32, "cpu")
                assert tensor.untyped_storage().nbytes() == 4 * tensor.numel()  # no map behind it
                torch.testing.assert_close(tensor, by_hand, rtol=1e-4, atol=1e-5)
        if channel is not None:
            assert channel.shape == (5, features.shape[1])
        if spatial is not None:
            assert spatial.shape == (5, *features.shape[2:])
            assert spatial.std(dim=0).max() > 1e-4  # images differ
        features = model.sites[stage](features)


def test_of_other_modules_each_site_has_the_one_or_the_other() -> None:
    model, x = trained(AttentionConfig(name="cbam", placement="bottleneck"))
    kinds = {site: (planes.channel is None, planes.spatial is None) for site, planes in planes_of(model, x).items()}
    assert kinds == {
        f"layer{i}.{part}": (part == "spatial", part == "channel") for i in (1, 2) for part in ("channel", "spatial")
    }
    assert planes_of(build("resnet8", AttentionConfig(name="none", gate="none"), in_channels=1), x) == {}


def test_under_autocast_they_are_float32_too() -> None:
    model, x = trained(AttentionConfig())
    whole = planes_of(model, x)
    rounded = planes_of(model, x, torch.autocast("cpu", dtype=torch.bfloat16))
    for site, planes in rounded.items():
        for tensor, exact in ((planes.channel, whole[site].channel), (planes.spatial, whole[site].spatial)):
            assert tensor is not None
            assert exact is not None
            assert tensor.dtype == torch.float32
            assert torch.equal(tensor, tensor.bfloat16().float())
            assert 0 < (tensor - exact).abs().max() < 0.1 * exact.abs().max() + 0.05


def test_images_that_the_network_cannot_take() -> None:
    model, _ = trained(AttentionConfig())
    with pytest.raises(RuntimeError):
        planes_of(model, torch.zeros(2, 3, 8, 8))
    assert model.training
    assert hooks(model) == 0
    with pytest.raises(UsageError, match="never passed"):
        planes_of(_with_a_site_passed_by(model), torch.zeros(2, 1, 8, 8))


def _with_a_site_passed_by(model: Any) -> Any:
    model.sites["layer1"].forward = lambda x: x
    return model


@pytest.mark.gpu
def test_from_a_gpu_they_come_to_the_cpu(cuda: torch.device) -> None:
    model, x = trained(AttentionConfig())
    before, state = planes_of(model, x), torch.cuda.get_rng_state(cuda)
    after = planes_of(model.to(cuda), x.to(cuda))
    assert torch.equal(torch.cuda.get_rng_state(cuda), state)
    for site, planes in after.items():
        torch.testing.assert_close(planes.channel, before[site].channel, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(planes.spatial, before[site].spatial, rtol=1e-3, atol=1e-3)
