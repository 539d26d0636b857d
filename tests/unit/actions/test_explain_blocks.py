"""Heat of blocks of slices, slice by slice: which block speaks for a slice, and what its values mean there."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from convscope.actions import explain_blocks
from convscope.actions.explain_blocks import Blocks, check_methods, find_blocks, on_slices
from convscope.actions.regions import RegionAim, Regions
from convscope.errors import DataError, PlanError
from convscope.records.attribution import Attribution
from convscope.records.features import TargetName
from convscope.records.provenance import Provenance

H = W = 4


class Held:
    """What `find_blocks` reads of blocks: their members."""

    def __init__(self, members):
        self.members = members


def asked_of(masks):
    n, depth = len(masks), masks.shape[-1]
    images = np.arange(n * depth, dtype=np.float32).reshape(n, 1, 1, depth) * np.ones((1, H, W, 1), np.float32)
    return Regions(images, masks, np.arange(n) + 1, tuple("abc"[:n]), tuple(range(n)), tuple(range(n)))


def found(monkeypatch, masks, members, count):
    monkeypatch.setattr(explain_blocks, "BlocksSource", Held)
    monkeypatch.setattr(explain_blocks, "blocks_of", lambda samples, depth: SimpleNamespace(pictures=Held(members)))
    monkeypatch.setattr(explain_blocks, "find_regions", lambda *a, **k: asked_of(masks))
    samples = SimpleNamespace(pictures=SimpleNamespace(keys=[f"slice {i}" for i in range(count)]))
    return find_blocks(None, samples, RegionAim(1), masks.shape[-1], progress=None)


def test_a_slice_is_read_from_the_block_in_whose_middle_it_lies(monkeypatch):
    """Six slices in two blocks of four that share two: 2 lies nearer the first one's middle, 3 the second's."""
    blocks = found(monkeypatch, np.ones((2, H, W, 4), bool), [(0, 1, 2, 3), (2, 3, 4, 5)], 6)
    assert blocks.slices.indices == (0, 1, 2, 3, 4, 5)
    assert blocks.at.tolist() == [[0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [1, 3]]
    assert blocks.slices.images[:, 0, 0, 0].tolist() == [0, 1, 2, 5, 6, 7]
    assert blocks.slices.labels.tolist() == [1, 1, 1, 2, 2, 2]


def test_a_region_in_the_black_around_a_short_volume_belongs_to_no_slice(monkeypatch):
    """Two slices in the middle of a block of four: places 1 and 2."""
    masks = np.zeros((1, H, W, 4), bool)
    masks[..., (0, 2)] = True
    blocks = found(monkeypatch, masks, [(0, 1)], 2)
    assert blocks.slices.indices == (1,) and blocks.at.tolist() == [[0, 2]]
    masks[..., 2] = False
    with pytest.raises(DataError, match="beside the volume only"):
        found(monkeypatch, masks, [(0, 1)], 2)


def made(method, values, *, signed=False):
    n = len(values)
    target = TargetName("mask", 1, "ball", "logit")
    facts = {"gap": np.arange(n) + 0.5, "source": "s"}
    return Attribution(method, np.zeros((n, H, W), np.float32), signed, (target,) * n, np.arange(n, dtype=np.float32),
                       (), "", tuple("ab"[:n]), Provenance(), facts, values)  # fmt: skip


@pytest.mark.parametrize(
    ("method", "signed", "expected"),
    [("saliency", False, [2, 3]), ("grad-cam", False, [0, 3]), ("integrated-gradients", True, [-2, 3])],
)
def test_values_become_heat_as_the_engine_joins_channels(method, signed, expected):
    """Saliency counts sizes, a CAM cuts what is against, signed methods keep it."""
    values = np.ones((2, H, W, 2), np.float32) * np.array([-2, 3], np.float32)
    masks = np.ones((2, H, W, 2), bool)
    at = np.array([[1, 0], [0, 1]])
    one = on_slices(made(method, values, signed=signed), Blocks(asked_of(masks), asked_of(masks[..., 0]), at))
    assert one.heat.shape == (2, H, W) and one.heat[:, 0, 0].tolist() == expected
    assert one.scores.tolist() == [1, 0] and one.facts["gap"].tolist() == [1.5, 0.5] and one.facts["source"] == "s"


def test_maps_of_a_layer_are_enlarged_along_all_three_axes():
    values = np.zeros((1, 2, 2, 2), np.float32)
    values[0, 0, 0, 0] = 1
    masks = np.ones((1, H, W, 4), bool)
    blocks = Blocks(asked_of(masks), asked_of(masks[..., 0]), np.array([[0, 0]]))
    heat = on_slices(made("grad-cam", values), blocks).heat
    assert heat.shape == (1, H, W) and heat[0].argmax() == 0 and heat[0, -1, -1] == 0
    whole = replace(made("occlusion", values), values=None)
    with pytest.raises(PlanError, match="tells the slices of a block apart"):
        on_slices(whole, blocks)
    layered = replace(made("grad-cam", values), layers=("bottom",), layer_reason="chosen by name")
    assert on_slices(layered, blocks).layer_reason == "chosen by name, its 2×2×2 enlarged to the block"


def test_what_hides_all_slices_together_is_refused_before_anything_is_run():
    check_methods(["grad-cam", "score-cam", "saliency", "flip-disagreement"])
    with pytest.raises(PlanError, match="rise does not"):
        check_methods(["grad-cam", "rise"])
