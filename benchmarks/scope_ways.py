"""The ways of getting feature maps that `scope_maps` compares: each takes a stream of batches and hands arrays over.

Those that need another back end or another environment answer from a child process of their own:
python -m benchmarks.scope_ways WAY BATCH PICTURES reads a line and writes seconds, until its input ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Batches = Iterator[np.ndarray]
Way = Callable[[Batches], None]
HERE = Path(__file__).parent.parent


def batches(pictures: int, batch: int) -> Batches:
    data = np.random.default_rng(0).uniform(0, 255, (batch, 224, 224, 3)).astype("float32")
    return (data for _ in range(pictures // batch))


def rate(run: Way, pictures: int, batch: int) -> float:
    """Pictures per second; the pictures themselves are made before the clock starts."""
    data = iter(list(batches(pictures, batch)))
    began = time.perf_counter()
    run(data)
    return pictures / (time.perf_counter() - began)


def convolutions(model: Any, keras: Any) -> list[str]:
    return [layer.name for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]


def tap(model: Any, names: list[str], batch: int) -> Way:
    from convscope.scope.tap import Probe

    probe = Probe(model, batch_size=batch)
    places = tuple(probe.place(name) for name in names)

    def run(data: Batches) -> None:
        for images in data:
            for seen in probe.stream(images, places):
                assert len(seen.values) == len(names)

    return run


def one_compiled_model(model: Any, names: list[str], batch: int) -> Way:
    import keras

    from convscope.backend.tensors import compiled, to_numpy

    whole = keras.Model(model.inputs[0], [*(model.get_layer(n).output for n in names), model.output])
    call = compiled(lambda x: whole(x, training=False))

    def run(data: Batches) -> None:
        for images in data:
            assert len([to_numpy(t) for t in call(keras.ops.convert_to_tensor(images))]) == len(names) + 1

    return run


def copy_of_each_output(model: Any, names: list[str], batch: int) -> Way:
    import keras

    whole = keras.Model(model.inputs[0], [model.get_layer(n).output for n in names])

    def run(data: Batches) -> None:
        for images in data:
            assert len([np.array(t) for t in whole(images, training=False)]) == len(names)

    return run


def predict(model: Any, names: list[str], batch: int) -> Way:
    import keras

    whole = keras.Model(model.inputs[0], [model.get_layer(n).output for n in names])

    def run(data: Batches) -> None:
        for images in data:
            assert len(whole.predict(images, batch_size=batch, verbose=0)) == len(names)

    return run


def a_model_per_layer(model: Any, names: list[str], batch: int) -> Way:
    import keras

    each = [keras.Model(model.inputs[0], model.get_layer(n).output) for n in names]

    def run(data: Batches) -> None:
        for images in data:
            assert len([np.array(m(images, training=False)) for m in each]) == len(names)

    return run


def torch_hooks(model: Any, names: list[str], batch: int) -> Way:
    import torch

    kept: dict[str, np.ndarray] = {}
    for name in names:
        model.get_layer(name).register_forward_hook(
            lambda layer, given, out, name=name: kept.__setitem__(name, out.detach().cpu().clone().numpy())
        )

    def run(data: Batches) -> None:
        for images in data:
            with torch.no_grad():
                model(torch.from_numpy(images), training=False)
            assert len(kept) == len(names)
            kept.clear()

    return run


def keract(model: Any, names: list[str], batch: int) -> Way:
    import keract as package

    def run(data: Batches) -> None:
        for images in data:
            assert len(package.get_activations(model, images, layer_names=names)) == len(names)

    return run


# way -> what its process needs in its environment
ELSEWHERE = {
    torch_hooks.__name__: {"KERAS_BACKEND": "torch"},
    keract.__name__: {"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "1"},
}


class Elsewhere:
    """A way in a process of its own.

    Args:
        name: function in this module.
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

    def __call__(self) -> float:
        """Pictures per second of one round."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("rate "):
                return float(line.split()[1])
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
    run = globals()[name](model, convolutions(model, keras), batch)
    rate(run, batch, batch)  # compile
    for _ in sys.stdin:
        sys.stdout.write(f"rate {rate(run, pictures, batch)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    answer(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
