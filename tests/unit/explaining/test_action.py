"""`convscope.explain` and `convscope explain` on files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from contract.explained import small_net
from convscope.actions.explain import explain, explain_files, option_value
from convscope.errors import DataError, PlanError, TargetError
from convscope.records.card import Card, Opened
from convscope.records.geometry import Preprocess

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def opened() -> Opened:
    card = Card("classify", ("ant", "bee", "cat", "dog"), Preprocess(16, 16), "simple-cnn", feature_layer="relu")
    return Opened(small_net(), card, "here")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, size in (("wide.png", (20, 40)), ("tall.png", (48, 24))):
        Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(folder / name)
    return folder


def test_files_in_page_and_numbers_out(opened: Opened, files: Path, tmp_path: Path) -> None:
    """Two methods on a folder; an option goes to the method that has it."""
    page, found = explain_files(
        opened, [files], ["grad-cam", "integrated-gradients"], options={"steps": 4}, out=tmp_path / "out"
    )
    text = page.read_text()
    assert "Selvaraju" in text and "Sundararajan" in text
    assert found[0].layer_reason == "named in the saved model as its last spatial layer"
    facts = json.loads((tmp_path / "out" / "integrated-gradients.json").read_text())
    assert len(facts["facts"]["completeness_gap"]) == 2 and facts["pictures"][0]["target"]["label"] in (
        "ant",
        "bee",
        "cat",
        "dog",
    )
    assert (tmp_path / "out" / "grad-cam-wide-png.png").is_file()


def test_heat_returns_to_the_picture(opened: Opened, files: Path) -> None:
    """The letterbox is undone: size of the picture itself, padding left out."""
    found = explain(opened, files, "grad-cam", "bee")
    assert [t.label for t in found.targets] == ["bee", "bee"]
    by_name = dict(zip(found.labels, range(2)))
    assert found.in_picture(by_name["tall.png"]).shape == (48, 24) and found.in_picture(by_name["wide.png"]).shape == (
        20,
        40,
    )
    wide = found.in_picture(by_name["wide.png"])
    assert wide.max() <= found.heat[by_name["wide.png"]].max() + 1e-6 and wide.any()


def test_errors(opened: Opened, files: Path, tmp_path: Path) -> None:
    """Each says what to change."""
    with pytest.raises(TargetError, match="did you mean bee"):
        explain(opened, files, target="beee")
    with pytest.raises(PlanError, match="unknown option 'steps' of grad-cam"):
        explain_files(opened, [files], ["grad-cam"], options={"steps": 4}, out=tmp_path)
    with pytest.raises(PlanError, match="name=value"):
        option_value("steps")
    with pytest.raises(DataError, match="expected pictures from files"):
        explain(opened, np.random.default_rng(0).random((1, 16, 16, 3))).in_picture(0)
    assert option_value("fill=mean") == ("fill", "mean") and option_value("steps=4") == ("steps", 4)
    assert option_value("centred=false") == ("centred", False) and option_value("noise=0.2") == ("noise", 0.2)
