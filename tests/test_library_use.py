"""What people do with a network that holds our attention: trace it, cut features out of it, load it, evaluate it."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from folder_samples import make_folder
from helpers import bamgate
from torchvision.models import resnet18, swin_t
from torchvision.models.feature_extraction import create_feature_extractor
from weight_samples import described, filled

import bamgate as library
from bamgate import AttentionConfig
from bamgate.attention import BAM
from bamgate.errors import UsageError
from bamgate.weights import write_safetensors


@pytest.mark.parametrize(
    "attention",
    [AttentionConfig(gate="tanh"), AttentionConfig(name="cbam", gate="learned-depth"), AttentionConfig(name="se")],
    ids=lambda attention: attention.name,
)
def test_a_network_with_attention_is_traced_by_torch_fx(attention: AttentionConfig) -> None:
    net = resnet18(num_classes=10).eval()
    library.insert_attention(net, ["layer1", "layer2", "layer3.0.bn2"], attention)
    x = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.fx.symbolic_trace(net)(x), net(x))
    seen: list[torch.Tensor] = []
    net.layer2.register_forward_hook(lambda m, i, o: seen.append(o))
    net(x)
    assert torch.equal(create_feature_extractor(net, ["layer2"])(x)["layer2"], seen[0])


def test_a_gate_by_name_where_a_part_is_wanted_says_what_to_write() -> None:
    with pytest.raises(
        UsageError, match=r"^gate must make a module, got 'tanh'; for a gate by name: load_gate\('tanh'"
    ):
        BAM(64, gate="tanh")  # type: ignore[arg-type]
    net = resnet18()
    with pytest.raises(
        UsageError, match=r"^attention must be an AttentionConfig or a function from channels to a module, got 'bam'$"
    ):
        library.insert_attention(net, "stages", "bam")  # type: ignore[arg-type]


def test_a_network_that_was_compiled_before_sees_the_new_attention() -> None:
    net = resnet18(num_classes=10).eval()
    net.compile(backend="eager")
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = net(x)
        library.insert_attention(net, ["layer1.0", "layer2.0"], AttentionConfig(gate="tanh"))
        assert not torch.allclose(net(x), plain)
        library.remove_attention(net)
        assert torch.equal(net(x), plain)


def test_maps_with_channels_last_are_refused() -> None:
    net = swin_t(num_classes=10)
    before = list(net.state_dict())
    with pytest.raises(
        UsageError,
        match=r"^the output of site 'features\.1' is 1x56x56x96, and the 56 are not its channels, as in B, H, W",
    ):
        library.insert_attention(net, ["features.1"], AttentionConfig(gate="tanh"))
    assert list(net.state_dict()) == before


def test_no_sites_are_refused_whatever_holds_them() -> None:
    for sites in ([], "", (name for name in ())):
        with pytest.raises(UsageError, match=r'^no sites are named \(allowed: names of modules, or "stages"\)$'):
            library.insert_attention(resnet18(), sites, AttentionConfig())


def test_weights_are_loaded_in_python(tmp_path: Path) -> None:
    network = described(AttentionConfig(gate="tanh"))
    net = filled(network)
    write_safetensors(tmp_path / "x.safetensors", network, net.state_dict())
    told, loaded = library.load_model(tmp_path / "x.safetensors")
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert told == network
    assert torch.equal(loaded(x), net(x))


def test_every_public_name_is_there() -> None:
    for name in library.__all__:
        assert getattr(library, name) is not None
        assert name in dir(library)
    with pytest.raises(AttributeError, match="module 'bamgate' has no attribute 'nothing'"):
        library.nothing  # noqa: B018


@pytest.mark.slow
def test_a_reader_that_has_left_is_no_error() -> None:
    command = f"{sys.executable} -m bamgate gates list | head -1; echo ${{PIPESTATUS[0]}}"
    finished = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert finished.stdout.splitlines()[-1] == "0"
    assert "Error" not in finished.stderr


@pytest.mark.slow
def test_a_folder_with_other_classes_is_refused_and_names_the_first(tmp_path: Path) -> None:
    make_folder(tmp_path / "mine")
    make_folder(tmp_path / "other")
    for split in ("train", "val"):
        (tmp_path / "other" / split / "class-1").rename(tmp_path / "other" / split / "class-9")
    data = ["--data-dir", str(tmp_path)]
    options = ["--image-size", "32", "--model", "resnet8", "--epochs", "1", "--batch-size", "8", "--workers", "0", "-q"]
    trained = bamgate("run", "--dataset", "folder:mine", *data, *options, "--out", str(tmp_path / "run"))
    assert trained.returncode == 0, trained.stderr
    weights = tmp_path / "x.safetensors"
    converted = bamgate("convert", str(tmp_path / "run"), str(weights))
    assert converted.stderr.strip() == f"Next: bamgate evaluate {weights} --data-dir DIR"
    own = bamgate("evaluate", str(weights), *data, "--per-class")
    assert own.returncode == 0, own.stderr
    assert f"Next: bamgate evaluate {weights} --data-dir {tmp_path} --off each --hold each" in own.stderr
    assert [line.split()[0] for line in own.stdout.splitlines() if line.startswith("class-")] == [
        "class-0",
        "class-1",
        "class-2",
    ]
    (tmp_path / "mine" / "val" / "class-0" / "000.jpg").unlink()
    mixed = bamgate(
        "run", "--dataset", "folder:mine", *data, *options, "--gate", "tanh", "--out", str(tmp_path / "run")
    )
    assert mixed.returncode == 2
    assert "was trained on other image files" in mixed.stderr
    for source in (tmp_path / "run", weights):
        finished = bamgate("evaluate", str(source), *data, "--dataset", "folder:other")
        assert finished.returncode == 2
        assert finished.stderr == (
            "bamgate: folder:other has other classes than the network: "
            "its class 1 is 'class-2', the network was trained with 'class-1'\n"
        )
