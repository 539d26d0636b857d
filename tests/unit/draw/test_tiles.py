"""Sheets: every tile labelled, values drawn in whole factors, zero maps counted."""

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from convscope.draw.colour import diverging, viridis
from convscope.draw.tiles import filter_sheet, filter_tiles, map_factor, map_sheet, map_tiles, picture_tile
from convscope.errors import DataError
from convscope.records.features import FeatureMaps, Filters, TargetName
from convscope.records.provenance import Provenance


def features(shape=(14, 14), channels=6, signed=False, rank_by="relevance"):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, *shape, channels)).astype(np.float32)
    maps = maps if signed else np.abs(maps)
    maps[:, :, :, 2] = 0
    importance = np.array([[0.1, -0.9, 0, 0.5, 0.2, -0.3][:channels]] * 2, np.float32)
    order = np.argsort(-np.abs(importance), axis=1)
    targets, labels = (TargetName("out", 1, "crack", "logit"),) * 2, ("a.png", "b.png")
    return FeatureMaps("block/relu", "ReLU", maps, order, importance, rank_by, targets, labels, Provenance(seed=7))


def image(tile):
    return np.asarray(Image.open(io.BytesIO(tile.image)).convert("RGB"))


def test_tiles_in_rank_order_with_channel_sign_and_range():
    f = features()
    sheet = map_tiles(f, 1)
    assert [t.head.replace("\u00a0", " ") for t in sheet.tiles] == ["ch 1", "ch 3", "ch 5", "ch 4", "ch 0"]
    assert [t.rank for t in sheet.tiles] == list("12345")
    assert [(t.note, t.tone) for t in sheet.tiles[:2]] == [("−0.900", "against"), ("+0.500", "for")]
    assert "1 map is 0 everywhere" in sheet.note and "crack" in sheet.note
    assert "seed 7" in sheet.caption and "relevance" in sheet.caption
    expected = f.maps[1, :, :, 1]
    np.testing.assert_array_equal(image(sheet.tiles[0]), viridis(expected, expected.min(), expected.max()))
    assert (sheet.tiles[0].width_px, sheet.tiles[0].is_pixelated) == (14 * 8, True)


def test_layer_scale_uses_one_range_and_negative_values_a_diverging_one():
    f = features(signed=True)
    limit = np.abs(f.maps[0]).max()
    sheet = map_tiles(f, 0, scale="layer")
    np.testing.assert_array_equal(image(sheet.tiles[0]), diverging(f.maps[0, :, :, 1], limit))
    assert sheet.scale.kind == "diverging" and sheet.scale.low.startswith("−")


def test_top_limits_and_says_so():
    sheet = map_tiles(features(), 0, top=3)
    assert len(sheet.tiles) == 3 and "3 of 5 maps" in sheet.caption


@pytest.mark.parametrize(("size", "factor"), [(1, 112), (7, 16), (56, 2), (112, 1), (113, -2), (224, -2), (300, -3)])
def test_factors_are_whole(size, factor):
    assert map_factor(size, size) == factor


def test_refusals():
    with pytest.raises(DataError, match="picture number 0 to 1"):
        map_tiles(features(), 2)
    with pytest.raises(DataError, match="scale"):
        map_tiles(features(), 0, scale="log")
    broken = features()
    broken.maps[0, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match="block/relu"):
        map_tiles(broken, 0)


def test_sheet_is_well_formed_svg_with_all_words_and_an_alternative():
    figure = map_sheet(features(), 0, columns=3)
    root = ElementTree.fromstring(figure.data)
    words = " ".join(root.itertext()).replace("\u00a0", " ")
    assert "ch 1" in words and "−0.900" in words
    assert len(root.findall(".//{*}image")) == 5
    assert root.get("aria-label") == figure.alt and "block/relu" in figure.alt
    assert all(i.get("style") == "image-rendering:pixelated" for i in root.findall(".//{*}image"))


def test_all_zero_layer_draws_words_instead():
    f = features()
    f.maps[:] = 0
    assert b"all maps are 0 everywhere" in map_sheet(f, 0).data


def test_first_layer_filters_in_colour_with_grey_at_zero():
    kernels = np.zeros((2, 3, 3, 3), np.float32)
    kernels[0, 0, 0] = (2.0, 0, -2.0)
    filters = Filters("stem", "Conv2D", kernels, np.array([0.5, 0]), np.array([2.8, 0.0]), Provenance())
    sheet = filter_tiles(filters)
    np.testing.assert_array_equal(image(sheet.tiles[0])[0, 0], (255, 128, 0))
    np.testing.assert_array_equal(image(sheet.tiles[1])[1, 1], (128, 128, 128))
    assert sheet.tiles[0].lines == ("norm 2.80", "bias +0.500")
    ElementTree.fromstring(filter_sheet(filters).data)


def test_deeper_filters_as_signed_means():
    kernels = np.random.default_rng(0).normal(size=(3, 3, 3, 16)).astype(np.float32)
    norms = np.sqrt((kernels**2).sum(axis=(1, 2, 3)))
    sheet = filter_tiles(Filters("mid", "Conv2D", kernels, None, norms, Provenance()))
    best = int(np.argmax(norms))
    means = kernels.astype(np.float64).mean(axis=3)
    np.testing.assert_array_equal(image(sheet.tiles[0]), diverging(means[best], np.abs(means).max()))
    assert "mean over 16" in sheet.note


def test_picture_tile_keeps_the_aspect():
    tile = picture_tile(np.zeros((300, 600, 3), np.uint8), "a", longest_px=112)
    assert (tile.width_px, tile.height_px) == (112, 56)
    assert image(tile).shape == (112, 224, 3)
