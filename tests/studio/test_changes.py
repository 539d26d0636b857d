"""What the page changes for a moment: kernels, weights, epochs. The answers follow; what is saved stays as it was."""

import hashlib

import numpy as np
import pytest

pytest.importorskip("fastapi")

from convscope.studio.packing import unpack
from convscope.studio.variant import parse_variant
from studio.made import HOST, TOKEN, client_of

pytestmark = pytest.mark.backend
OWN = {"x-convscope": "1", "content-type": "application/json"}


@pytest.fixture(scope="module")
def studio(trained):
    """(client, run id, data id, run folder)."""
    from convscope.studio.app import build_app
    from convscope.studio.places import Places

    run, data = trained
    places = Places([run, data], run.parent)
    ids = {p.kind: p.id for p in places.all()}
    return client_of(build_app(places, token=TOKEN, hosts=[HOST])), ids["run"], ids["data"], run


def get(studio, path, **params):
    answer = studio[0].get(f"/api/{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer


def kept_picture(studio):
    from convscope.actions.keepsakes import kept

    return kept(studio[3]).images[0][None].astype(np.float32)


def digest(folder):
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_changed_kernel_moves_value_maps_and_prediction_as_set_weights_does(studio):
    from convscope.actions.opening import open_any

    picture, edits = f"{studio[1]}.0", "block1_conv1~2~4~0.75;block1_conv1~2~26~-1.5"
    changed = f"{studio[1]}!{edits}"
    before = digest(studio[3])
    got = unpack(get(studio, "maps", model=changed, picture=picture, layer="block2_relu1").content)[1]["maps"]
    number = get(studio, "number", model=changed, picture=picture, layer="block1_conv1", channel=2, at="5,5").json()
    says = get(studio, "says", model=changed, picture=picture).json()
    # the same by Keras alone: weights are set on a model that this test opens for itself
    opened = open_any(studio[3])
    layer = opened.model.get_layer("block1_conv1")
    weights = layer.get_weights()
    weights[0].reshape(27, -1)[[4, 26], 2] = [0.75, -1.5]
    layer.set_weights(weights)
    import keras

    inner = keras.Model(opened.model.input, opened.model.get_layer("block2_relu1").output)
    own = np.moveaxis(np.asarray(inner.predict_on_batch(kept_picture(studio)))[0], -1, 0)
    np.testing.assert_allclose(got, own, atol=1e-4)
    assert number["worked"]["editable"] and number["worked"]["agrees"]
    assert np.array(number["worked"]["kernel"]).ravel()[[4, 26]].tolist() == [0.75, -1.5]
    outputs = np.asarray(opened.model.predict_on_batch(kept_picture(studio)))[0]
    temperature = opened.card.temperature
    shares = np.exp(np.log(outputs) / temperature)
    by_name = {r["name"]: r["value"] for r in says["rows"]}
    np.testing.assert_allclose([by_name[c] for c in opened.card.classes], shares / shares.sum(), atol=1e-3)
    # and without the changes all is as before, in memory and on disk
    plain = unpack(get(studio, "maps", model=studio[1], picture=picture, layer="block2_relu1").content)[1]["maps"]
    again = unpack(
        get(studio, "maps", model=f"{studio[1]}!block1_conv1~2~4~9", picture=picture, layer="block2_relu1").content
    )
    assert np.abs(plain - got).max() > 1e-3 and np.abs(again[1]["maps"] - got).max() > 1e-3
    assert digest(studio[3]) == before


def test_an_epoch_is_opened_with_its_own_weights(studio):
    from convscope.actions.epochs import model_of_epoch

    epochs = get(studio, "epochs", model=studio[1]).json()["kept"]
    assert 6 in epochs and len(epochs) >= 2
    picture = f"{studio[1]}.0"
    maps = {
        n: unpack(get(studio, "maps", model=f"{studio[1]}@{n}", picture=picture, layer="block1_conv1").content)[1][
            "maps"
        ]
        for n in (epochs[0], epochs[-1])
    }
    assert np.abs(maps[epochs[0]] - maps[epochs[-1]]).max() > 1e-4
    kernel = model_of_epoch(studio[3], epochs[0]).model.get_layer("block1_conv1").get_weights()[0]
    shown = unpack(get(studio, "kernels", model=f"{studio[1]}@{epochs[0]}", layer="block1_conv1").content)[1]["kernels"]
    np.testing.assert_array_equal(shown, np.moveaxis(kernel, -1, 0))


def test_weights_that_are_too_small_make_values_and_gradients_die_out(studio):
    picture = f"{studio[1]}.0"
    ratio = {}
    for init in ("small", "he_normal"):
        rows = get(studio, "activity", model=f"{studio[1]}*{init}", picture=picture).json()
        gradients = [r["gradient"] for r in rows.values() if "gradient" in r]
        assert len(gradients) >= 2 and all(np.isfinite(gradients))
        ratio[init] = rows["global_pool"]["mean"] if "global_pool" in rows else gradients[0]
    assert ratio["small"] < ratio["he_normal"]


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        ("!block1_conv1~99~0~1", "filter of block1_conv1 from 0 to 7"),
        ("!block1_conv1~0~27~1", "place from 0 to 26"),
        ("!block1_conv1~0~0~inf", "finite"),
        ("!block1_conv1~0~0", "LAYER~FILTER~CELL~VALUE"),
        ("!block1_con~0~0~1", "did you mean"),
        ("!block1_relu1~0~0~1", "convolution or dense layer"),
        ("*he_norml", "did you mean"),
        ("@999", "epoch whose checkpoint is kept"),
        ("!" + "block1_conv1~0~0~1;" * 601, "at most 600"),
        ("!" + "x" * 13_000, "at most 600"),
    ],
)
def test_changes_that_can_not_be_made_say_so(studio, tail, words):
    answer = studio[0].get("/api/maps", params={"model": studio[1] + tail, "picture": f"{studio[1]}.0",
                                                "layer": "block1_conv1"})  # fmt: skip
    assert answer.status_code == 400 and words in answer.json()["error"], answer.text


def test_a_variant_is_read_as_it_is_written():
    found = parse_variant("0123456789abcdef@3*he_normal!a%2Fb%7Ec~1~2~-0.5")
    assert (found.place, found.epoch, found.drawn) == ("0123456789abcdef", 3, "he_normal")
    assert found.edits[0].layer == "a/b~c" and found.edits[0].value == -0.5 and found.is_changed
    assert not parse_variant("0123456789abcdef@3").is_changed


def test_every_kind_of_kernel_and_bias_is_edited_where_the_arithmetic_has_it():
    import keras

    from convscope.actions.changed import KernelValue, change_kernels
    from convscope.actions.look import Scope

    keras.utils.set_random_seed(3)
    layers = keras.layers
    pixels = keras.Input((6, 6, 2))
    deep = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="deep")(pixels)
    grouped = layers.Conv2D(4, 3, groups=2, padding="same", name="grouped")(deep)
    wide = layers.Conv2DTranspose(3, 3, strides=2, padding="same", name="wide")(grouped)
    apart = layers.SeparableConv2D(5, 3, depth_multiplier=2, padding="same", name="apart")(wide)
    model = keras.Model(pixels, layers.Dense(3, name="out")(layers.Flatten()(apart)))
    image = np.random.default_rng(0).normal(size=(1, 6, 6, 2)).astype(np.float32)
    reached = worked_places(model, image, (5, 4))[2]
    asked = {"deep": (3, 5, (2, 2)), "grouped": (3, 7, (2, 2)), "wide": (1, reached, (5, 4)), "out": (1, 40, ())}
    for layer, (channel, cell, at) in asked.items():
        change_kernels(model, [KernelValue(layer, channel, cell, 2.5), KernelValue(layer, channel, 0, -0.5, "bias")])
        worked = Scope(model).arithmetic(image, layer, at=at, channel=channel)
        assert worked.agrees and worked.bias == -0.5
        assert worked.kernel[worked.places == cell].tolist() == [2.5]
        assert (worked.kernel == 2.5).sum() == 1
    # stride 2: a place of the map is reached by a part of the filter only, elsewhere by another one
    assert 0 < len(worked_places(model, image, (5, 4))) < 9 * 4
    assert not set(worked_places(model, image, (5, 4))) & set(worked_places(model, image, (4, 5)))
    # separable: windows that all filters share, and the weight of each in each filter; channels are input x multiplier
    change_kernels(model, [KernelValue("apart", 3, 4, 2.0, "depthwise"), KernelValue("apart", 1, 3, 0.25, "pointwise")])
    worked = Scope(model).arithmetic(image, "apart", at=(2, 2), channel=1)
    assert worked.agrees and worked.kernel[1, 1, 1, 1] == pytest.approx(0.5)
    assert Scope(model).arithmetic(image, "apart", at=(2, 2), channel=0).agrees


def worked_places(model, image, at):
    from convscope.actions.look import Scope

    return Scope(model).arithmetic(image, "wide", at=at, channel=0).places.ravel().tolist()


@pytest.mark.parametrize(
    ("part", "words"), [("bias", "kernel of flat"), ("depthwise", "kernel or bias of apt"), ("kernel", "place from 0")]
)
def test_a_part_that_a_layer_has_not_is_refused_by_name(part, words):
    import keras

    from convscope.actions.changed import KernelValue, change_kernels
    from convscope.errors import ModelError

    pixels = keras.Input((4,))
    flat = keras.layers.Dense(2, use_bias=False, name="flat")(pixels)
    model = keras.Model(pixels, keras.layers.Dense(2, name="apt")(flat))
    with pytest.raises(ModelError, match=words):
        change_kernels(model, [KernelValue("apt" if part == "depthwise" else "flat", 0, 9, 1.0, part)])


def test_a_bias_and_the_kernels_of_a_separable_layer_are_typed_over_on_the_page(tmp_path):
    import keras

    from convscope.bundle.saving import save_bundle
    from convscope.records.card import Card
    from convscope.records.geometry import Preprocess
    from convscope.studio.app import build_app
    from convscope.studio.places import Places
    from studio.made import make_pictures

    keras.utils.set_random_seed(1)
    pixels = keras.Input((16, 16, 3))
    apart = keras.layers.SeparableConv2D(4, 3, depth_multiplier=2, padding="same", activation="relu", name="apart")(
        pixels
    )
    pooled = keras.layers.GlobalAveragePooling2D()(apart)
    model = keras.Model(pixels, keras.layers.Dense(2, activation="softmax", name="outputs")(pooled))
    card = Card("classify", ("a", "b"), Preprocess(16, 16, 3, scale=1 / 255), "separable")
    save_bundle(tmp_path / "model.cvs", model, card)
    data = make_pictures(tmp_path / "pictures", each=2)
    places = Places([tmp_path / "model.cvs", data], tmp_path / "runs")
    ids = {p.kind: p.id for p in places.all()}
    client = client_of(build_app(places, token=TOKEN, hosts=[HOST]))

    def worked(edits=""):
        asked = {"model": ids["model"] + edits, "picture": f"{ids['data']}.0", "layer": "apart", "channel": 1}
        answer = client.get("/api/number", params={**asked, "at": "5,5"})
        assert answer.status_code == 200, answer.text
        return answer.json()["worked"]

    before = worked()
    assert before["editable"] and before["bias_editable"] and before["multiplier"] == 2
    assert before["shape"] == [3, 3, 6] and len(before["pointwise"]) == 6
    windows, weights = np.array(before["depthwise"]), np.array(before["pointwise"])
    np.testing.assert_allclose(np.array(before["kernel"]).reshape(9, 6), windows * weights, rtol=1e-6)
    after = worked("!apart~3~4~2~depthwise;apart~1~3~0.25~pointwise;apart~1~0~0.5~bias")
    assert after["agrees"] and after["bias"] == 0.5 and np.array(after["kernel"])[1, 1, 3] == pytest.approx(0.5)
    assert after["total"] != pytest.approx(before["total"])


def test_a_changed_copy_is_written_by_the_command_and_says_what_it_is(studio, tmp_path, capsys):
    from convscope.actions.opening import open_any
    from convscope.cli.app import run

    edits = "block1_conv1~2~4~0.75;block1_conv1~2~26~-1.5"
    out, before = tmp_path / "changed.cvs", digest(studio[3])
    in_the_address = edits.replace("~", "%7E").replace(";", "%3B")  # as a browser quotes them
    assert run(["change", str(studio[3]), str(out), "--set", in_the_address]) == 0
    assert str(out) in capsys.readouterr().out
    opened = open_any(out)
    kernel = opened.model.get_layer("block1_conv1").get_weights()[0].reshape(27, -1)
    assert kernel[[4, 26], 2].tolist() == [0.75, -1.5]
    assert opened.card.network == "simple-cnn, 2 numbers changed by hand" and opened.card.scores == {}
    # the same as the page shows of the same words
    picture = f"{studio[1]}.0"
    got = unpack(get(studio, "maps", model=f"{studio[1]}!{edits}", picture=picture, layer="block2_relu1").content)[1]
    import keras

    inner = keras.Model(opened.model.input, opened.model.get_layer("block2_relu1").output)
    own = np.moveaxis(np.asarray(inner.predict_on_batch(kept_picture(studio)))[0], -1, 0)
    np.testing.assert_allclose(got["maps"], own, atol=1e-4)
    assert digest(studio[3]) == before
    for told, words in (([], "something to change"), (["--set", edits], "that is there"), (["--set", "a~1"], "~bias")):
        target = out if told == ["--set", edits] else tmp_path / "other.cvs"
        assert run(["change", str(studio[3]), str(target), *told]) == 2
        assert words in capsys.readouterr().err
