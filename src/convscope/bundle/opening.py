"""Open a bundle: hashes first, then the architecture against the allow-list, then shapes, then values."""

from __future__ import annotations

from pathlib import Path

from convscope.bundle.architecture import check_architecture
from convscope.bundle.building import build, expected_shapes
from convscope.bundle.card_file import card_from_dict
from convscope.bundle.saving import ARCHITECTURE, CARD, KIND, WEIGHTS
from convscope.bundle.strict_json import read_json
from convscope.bundle.tensors import read_tensors
from convscope.errors import BundleError
from convscope.files.manifest import MANIFEST, check_manifest
from convscope.models.variables import named_variables
from convscope.records.card import Opened


def open_bundle(folder: Path) -> Opened:
    """Open what `save_bundle` wrote, on whatever back end runs now.

    Raises:
        BundleError: damaged, incomplete, changed, or naming anything but Keras' own layers; says which file and why.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BundleError(f"{folder}: expected the folder of a bundle, found {'a file' if folder.exists() else 'none'}")
    _check_files(folder)
    architecture = check_architecture(
        read_json((folder / ARCHITECTURE).read_bytes(), str(folder / ARCHITECTURE)), str(folder / ARCHITECTURE)
    )
    card = card_from_dict(read_json((folder / CARD).read_bytes(), str(folder / CARD)), str(folder / CARD))
    expected = expected_shapes(architecture, str(folder / ARCHITECTURE))
    tensors = read_tensors(folder / WEIGHTS, expected)
    model = build(architecture, str(folder / ARCHITECTURE))
    for name, variable in named_variables(model).items():
        variable.assign(tensors[name])
    return Opened(model, card, str(folder))


def _check_files(folder: Path) -> None:
    found = {p.name for p in folder.iterdir()}
    wanted = {ARCHITECTURE, WEIGHTS, CARD, MANIFEST}
    if found != wanted:
        odd = sorted(found ^ wanted)[0]
        raise BundleError(f"{folder / odd}: {'missing from' if odd in wanted else 'not part of'} a bundle (rule R2)")
    try:
        check_manifest(folder, KIND)
        listed = set(read_json((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))["files"])
    except (KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{folder / MANIFEST}: expected sizes and SHA-256 of each file, can't read them") from error
    if listed != wanted - {MANIFEST}:
        raise BundleError(f"{folder / MANIFEST}: expected it to list {', '.join(sorted(wanted - {MANIFEST}))}")
