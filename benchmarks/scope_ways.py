"""The ways of getting feature maps that `scope_maps` compares: each takes pictures and hands arrays over by batch.

Each answers from a process of its own, with its back end and memory of its own:
python -m benchmarks.scope_ways WAY BATCH PICTURES reads a line, writes pictures and processor seconds, until its input
ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Way = Callable[[np.ndarray], None]
MULTIPLICATIONS = 3.86e9  # of the convolutions of Keras' ResNet50 at 224x224; `convscope layers` counts them
HERE = Path(__file__).parent.parent


@dataclass(frozen=True)
class Rate:
    """Pictures per second of one round, and processor seconds per picture."""

    pictures_s: float
    cpu_s: float


def rate(run: Way, pictures: int) -> Rate:
    """One round; the pictures themselves are made before the clocks start."""
    data = np.random.default_rng(0).uniform(0, 255, (pictures, 224, 224, 3)).astype("float32")
    began, worked = time.perf_counter(), time.process_time()
    run(data)
    return Rate(pictures / (time.perf_counter() - began), (time.process_time() - worked) / pictures)


def in_batches(data: np.ndarray, batch: int) -> Iterator[np.ndarray]:
    return (data[i : i + batch] for i in range(0, len(data), batch))


def convolutions(model: Any, keras: Any) -> list[str]:
    return [layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def forward(model: Any, names: list[str], batch: int) -> Way:
    """No way to get maps: the network alone, which none of the others can outrun."""
    import keras

    from convscope.backend.tensors import compiled, to_numpy

    call = compiled(lambda x: model(x, training=False))

    def run(data: np.ndarray) -> None:
        for images in in_batches(data, batch):
            to_numpy(call(keras.ops.convert_to_tensor(images)))

    return run


def matrix_product(model: Any, names: list[str], batch: int) -> Way:
    """Not even a network: for each batch one product of two matrices, as many multiplications as its convolutions."""
    side = round((batch * MULTIPLICATIONS) ** (1 / 3))
    one, other = (np.random.default_rng(i).normal(size=(side, side)).astype("float32") for i in (0, 1))

    def run(data: np.ndarray) -> None:
        for _ in in_batches(data, batch):
            np.matmul(one, other)

    return run


def tap(model: Any, names: list[str], batch: int) -> Way:
    from convscope.scope.tap import Probe

    probe = Probe(model, batch_size=batch)
    places = tuple(probe.place(name) for name in names)

    def run(data: np.ndarray) -> None:
        for seen in probe.stream(data, places):
            assert len(seen.values) == len(names)
            del seen

    return run


def tap_of_minutes(model: Any, names: list[str], batch: int) -> Way:
    """As the tap does after the first batches of a stream that will last over a minute: weights as constants."""
    from convscope.scope import tap as module

    module.LONG_S = 0.0
    return tap(model, names, batch)


def one_compiled_model(model: Any, names: list[str], batch: int) -> Way:
    import keras

    from convscope.backend.tensors import compiled, to_numpy

    whole = keras.Model(model.inputs[0], [*(model.get_layer(n).output for n in names), model.output])
    call = compiled(lambda x: whole(x, training=False))

    def run(data: np.ndarray) -> None:
        for images in in_batches(data, batch):
            assert len([to_numpy(t) for t in call(keras.ops.convert_to_tensor(images))]) == len(names) + 1

    return run


def copy_of_each_output(model: Any, names: list[str], batch: int) -> Way:
    import keras

    whole = keras.Model(model.inputs[0], [model.get_layer(n).output for n in names])

    def run(data: np.ndarray) -> None:
        for images in in_batches(data, batch):
            assert len([np.array(t) for t in whole(images, training=False)]) == len(names)

    return run


def predict(model: Any, names: list[str], batch: int) -> Way:
    import keras

    whole = keras.Model(model.inputs[0], [model.get_layer(n).output for n in names])

    def run(data: np.ndarray) -> None:
        for images in in_batches(data, batch):
            assert len(whole.predict(images, batch_size=batch, verbose=0)) == len(names)

    return run


def a_model_per_layer(model: Any, names: list[str], batch: int) -> Way:
    import keras

    each = [keras.Model(model.inputs[0], model.get_layer(n).output) for n in names]

    def run(data: np.ndarray) -> None:
        for images in in_batches(data, batch):
            assert len([np.array(m(images, training=False)) for m in each]) == len(names)

    return run


def torch_hooks(model: Any, names: list[str], batch: int) -> Way:
    import torch

    kept: dict[str, np.ndarray] = {}
    for name in names:
        model.get_layer(name).register_forward_hook(
            lambda layer, given, out, name=name: kept.__setitem__(name, out.detach().cpu().clone().numpy())
        )

    def run(data: np.ndarray) -> None:
        for images in in_batches(data, batch):
            with torch.no_grad():
                model(torch.from_numpy(images), training=False)
            assert len(kept) == len(names)
            kept.clear()

    return run


def keract(model: Any, names: list[str], batch: int) -> Way:
    import keract as package

    def run(data: np.ndarray) -> None:
        for images in in_batches(data, batch):
            assert len(package.get_activations(model, images, layer_names=names)) == len(names)

    return run


OLDER = "_as_tensorflow_comes"  # ending of a way without oneDNN, which TensorFlow leaves off on such processors
_TENSORFLOW = {"KERAS_BACKEND": "tensorflow", "TF_ENABLE_ONEDNN_OPTS": "1"}
_ON_TENSORFLOW = (
    tap_of_minutes,
    forward,
    matrix_product,
    tap,
    one_compiled_model,
    copy_of_each_output,
    predict,
    a_model_per_layer,
)
# way -> what its process needs in its environment
ELSEWHERE: dict[str, dict[str, str]] = {
    **{way.__name__: _TENSORFLOW for way in _ON_TENSORFLOW},
    **{way.__name__ + OLDER: {**_TENSORFLOW, "TF_ENABLE_ONEDNN_OPTS": "0"} for way in _ON_TENSORFLOW},
    torch_hooks.__name__: {"KERAS_BACKEND": "torch"},
    keract.__name__: {"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "1"},
}


class Elsewhere:
    """A way in a process of its own.

    Args:
        name: function in this module, perhaps with the ending OLDER.
        pictures, batch: what it runs each time.
        extra: a folder with packages that only this process sees.

    Raises:
        RuntimeError: the process ended before its first answer.
    """

    def __init__(self, name: str, pictures: int, batch: int, extra: str = "") -> None:
        path = os.pathsep.join(p for p in (extra, str(HERE), os.environ.get("PYTHONPATH", "")) if p)
        environment = {**os.environ, **ELSEWHERE[name], "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-m", "benchmarks.scope_ways", name, str(batch), str(pictures)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def wait_until_ready(self) -> None:
        """Return when it has compiled."""
        self._answer("ready")

    def __call__(self) -> Rate:
        """One round."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return Rate(*map(float, self._answer("rate")))

    def _answer(self, word: str) -> list[str]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.split()[:1] == [word]:
                return line.split()[1:]
        errors = self._process.stderr.read() if self._process.stderr else ""
        raise RuntimeError((errors.strip().splitlines() or ["ended without a word"])[-1])

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def answer(name: str, batch: int, pictures: int) -> None:
    if name == "keract":
        import tensorflow

        keras = tensorflow.keras
    else:
        import keras
    model = keras.applications.ResNet50(weights=None)
    run = globals()[name.removesuffix(OLDER)](model, convolutions(model, keras), batch)
    rate(run, 4 * batch if pictures > batch else 2)  # compile, fill the allocator; slow ways compile nothing
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        found = rate(run, pictures)
        sys.stdout.write(f"rate {found.pictures_s} {found.cpu_s}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    answer(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
