"""The feed: right batches, right weights, errors from its thread, no thread left behind."""

import threading

import keras
import numpy as np
import pytest

from convscope.data.arrays import read_arrays
from convscope.data.loader import Loader
from convscope.errors import DataError
from convscope.records.augmentation import Augmentation
from convscope.records.geometry import Preprocess
from convscope.tasks.outputs import Head
from convscope.training.ahead import Ahead
from convscope.training.encoding import Encoder, balanced_weights
from convscope.training.feed import Feed

pytestmark = pytest.mark.backend

HEAD = Head("classify", ("a", "b", "c"), 3, "probabilities", "one-hot")
NONE = Augmentation()


def loader(n=20, batch=6, shuffle=True, augmentation=NONE):
    rng = np.random.default_rng(0)
    samples = read_arrays(rng.integers(0, 255, (n, 5, 5, 3)).astype(np.uint8), np.arange(n) % 3)
    frame = Preprocess(5, 5, 3, "stretch")
    return Loader(samples, frame, batch_size=batch, seed=3, shuffle=shuffle, augmentation=augmentation, workers=1)


def test_a_feed_gives_what_the_loader_gives_epoch_by_epoch():
    source = loader()
    feed = Feed(source, Encoder(HEAD))
    feed[0], feed[1]  # as Keras does to learn the shapes
    for epoch in (0, 1, 2):
        feed.begin_epoch(epoch)
        for i in range(feed.num_batches):
            images, targets = feed[i]
            batch = source.batch(epoch, i)
            np.testing.assert_array_equal(images, batch.images.astype(np.float32))
            np.testing.assert_array_equal(targets.argmax(1), batch.truth)
            assert images.dtype == np.float32
    feed.close()


def test_a_feed_starts_inside_an_epoch_and_the_next_one_is_whole():
    source = loader()
    feed = Feed(source, Encoder(HEAD), epoch=4, start=2)
    assert feed.num_batches == 2
    feed.begin_epoch(4)
    np.testing.assert_array_equal(feed[0][0], source.batch(4, 2).images)
    feed.begin_epoch(5)
    assert feed.num_batches == 4
    np.testing.assert_array_equal(feed[0][0], source.batch(5, 0).images)
    feed.close()


def test_a_fixed_feed_repeats_itself():
    feed = Feed(loader(shuffle=False), Encoder(HEAD), is_fixed=True)
    first = [feed[i][0] for i in range(4)]
    feed.begin_epoch(7)
    for i in range(4):
        np.testing.assert_array_equal(feed[i][0], first[i])
    feed.close()


def test_mixed_truth_follows_the_mixed_pictures():
    source = loader(augmentation=Augmentation(mixup=0.5))
    seen = []

    def apply(images, draws, partners):
        seen.append(draws["mix_keep"])
        return keras.ops.convert_to_tensor(images.astype(np.float32))

    _, targets = Encoder(HEAD, apply)(source.batch(0, 0))
    batch = source.batch(0, 0)
    keep = seen[0][:, None]
    expected = np.eye(3)[batch.truth] * keep + np.eye(3)[batch.partner_truth] * (1 - keep)
    np.testing.assert_allclose(targets, expected, rtol=1e-6)


def test_balanced_weights_are_those_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    truth = np.array([0] * 7 + [1] * 2 + [2])
    weights = balanced_weights(truth, 3)
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(3), y=truth), rtol=1e-6)
    batch = loader().batch(0, 0)
    np.testing.assert_allclose(Encoder(HEAD, None, weights)(batch)[2], weights[batch.truth])
    assert balanced_weights(np.array([0, 0, 2]), 3)[1] == 0


def test_pictures_without_truth_are_refused():
    samples = read_arrays(np.zeros((4, 5, 5, 3), np.uint8))
    bare = Loader(samples, Preprocess(5, 5, 3, "stretch"), batch_size=2, workers=1)
    with pytest.raises(DataError, match="truth"):
        Feed(bare, Encoder(HEAD))[0]


def test_an_error_in_the_thread_is_raised_at_its_place():
    def items():
        yield 1
        raise DataError("here")

    ahead = Ahead(items())
    assert next(ahead) == 1
    with pytest.raises(DataError, match="here"):
        next(ahead)


def test_closing_ends_the_thread():
    feed = Feed(loader(), Encoder(HEAD))
    feed[0]
    assert any(t.name == "convscope-feed" for t in threading.enumerate())
    feed.close()
    assert not any(t.name == "convscope-feed" for t in threading.enumerate())
