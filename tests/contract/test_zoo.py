"""Every function of the scope on every small tricky model, on the back end of this process."""

from __future__ import annotations

import hashlib
from typing import Any

import keras
import numpy as np
import pytest

from contract.zoo import ZOO, Specimen
from convscope.backend.tensors import to_numpy
from convscope.errors import ModelError
from convscope.explaining.cam import grad_cam
from convscope.scope.filters import filters, kernel_array
from convscope.scope.front import Scope
from convscope.scope.tap import Probe

pytestmark = [
    pytest.mark.backend,
    # Keras says this of the layer that is never called, as in a plain first call of that model
    pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer:UserWarning"),
    # Keras on PyTorch, reading a weights file with NumPy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"),
]

HERE = [s for s in ZOO if keras.backend.backend() in s.on]


def snapshot(model: keras.Model) -> dict[str, Any]:
    """All that must not change: values of all variables, flags and attributes of every layer, the optimizer."""
    facts: dict[str, Any] = {"trainable": model.trainable, "built": model.built}
    variables = [*model.variables, *(model.optimizer.variables if model.optimizer else ())]
    digest = hashlib.sha256()
    for variable in variables:
        digest.update(to_numpy(variable.value).tobytes())
    facts["variables"] = digest.hexdigest(), len(variables)
    for i, layer in enumerate(model._flatten_layers()):
        facts[f"{i} {layer.name}"] = {k: id(v) for k, v in layer.__dict__.items() if k not in ("_called", "_losses")}
        facts[f"{i} {layer.name} flags"] = (layer.trainable, layer.dtype_policy.name, getattr(layer, "training", None))
    facts["random"] = np.random.get_state()[1].tobytes()
    if keras.backend.backend() == "torch":
        import torch

        facts["torch"] = bytes(torch.get_rng_state().numpy())
    return facts


def inference(model: keras.Model, images: Any) -> list[np.ndarray]:
    """What the model itself says, its own state kept."""
    before = [to_numpy(v.value).copy() for v in model.variables]
    outputs = model(images, training=False) if model._call_has_training_arg else model(images)
    arrays = [to_numpy(t).copy() for t in keras.tree.flatten(outputs)]
    for variable, value in zip(model.variables, before):
        variable.assign(value)
    return arrays


def heard(model: keras.Model, layer: Any, images: Any) -> list[np.ndarray]:
    """Slow twin: run the model eagerly with a listener on one layer."""
    kept: list[np.ndarray] = []
    original = layer.call

    def listen(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        kept.append([to_numpy(t).copy() for t in keras.tree.flatten(result)])
        return result

    layer.__dict__["call"] = listen
    try:
        inference(model, images)
    finally:
        del layer.__dict__["call"]
    return kept


def nudged(model: Any, item: Specimen, images: Any, aim: Any, direction: np.ndarray) -> np.ndarray:
    """Scores with `direction` added to the layer's output: an independent way to the gradient."""
    probe = Probe(model, batch_size=len(direction))
    call = probe.call(item.layer, images)
    place = probe.place(item.layer)
    part, total = place.part, sum(c.steps for c in probe.calls() if c.layer is call.layer)
    original, count = call.layer.call, [0]

    def push(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        raw = count[0] % total  # PyTorch calls it anew in every run
        count[0] += 1
        if not call.first_raw <= raw < call.first_raw + call.steps:
            return result
        step = direction[:, raw - call.first_raw] if call.steps > 1 else direction
        flat = keras.tree.flatten(result)
        flat[part] = flat[part] + keras.ops.convert_to_tensor(step.astype("float32"))
        return keras.tree.pack_sequence_as(result, flat)

    call.layer.__dict__["call"] = push
    try:
        return probe.see(images, (place,), aim).scores
    finally:
        del call.layer.__dict__["call"]


@pytest.fixture(params=HERE, ids=lambda s: s.name)
def item(request: pytest.FixtureRequest) -> Specimen:
    keras.utils.set_random_seed(11)
    return request.param


def built(item: Specimen, images: Any) -> keras.Model:
    model = item.build()
    model.compile(optimizer="adam", loss="mse")
    if model.built:
        model.optimizer.build(model.trainable_variables)
    return model


def test_every_function_leaves_the_model_and_agrees_with_the_eager_run(item: Specimen) -> None:
    n = 2 if item.name == "fixed_batch" else 3
    images = item.images(n)
    model = built(item, images)
    probe = Probe(model, batch_size=2)
    calls = probe.calls(images)  # builds an unbuilt model
    before = snapshot(model)

    names = [name for name in probe.select("**", images)]
    shown = probe.activations(images, names)
    low = "bfloat16" in item.name or "mixed" in item.name
    for call in calls:
        if low or len(call.output_shapes) > 1:
            continue
        assert shown[call.name].shape == (n, *call.output_shapes[0])
    layer = probe.call(item.layer, images)
    target = item.target
    seen = probe.gradients(images, target, item.layer)
    place = probe.place(item.layer)
    tapped = (seen.values[place], seen.gradients[place])
    assert tapped[0].shape == tapped[1].shape
    assert np.abs(tapped[1]).max() > 0
    assert before == snapshot(model)

    for mine, theirs in zip(probe.outputs(images), inference(model, images)):
        np.testing.assert_allclose(mine, theirs, atol=2e-2 if low else 1e-5)
    # an eager run hides what is inside a loop or a recomputed block, and changes state
    if not low and item.name not in ("inside_an_lstm", "state_changes_in_every_call", "rematerialised"):
        raws = heard(model, layer.layer, images)[layer.first_raw : layer.first_raw + layer.steps]
        eager = [r[place.part] for r in raws]
        eager_values = eager[0] if layer.steps == 1 else np.stack(eager, axis=1)
        np.testing.assert_allclose(shown[item.layer], eager_values, atol=1e-5)

    if n == 3:
        direction = np.random.default_rng(2).normal(size=tapped[1].shape)
        size = 3e-4
        aim = item.target or seen.chosen  # the classes of the undisturbed run
        up = nudged(model, item, images, aim, size * direction)
        axes = tuple(range(1, tapped[1].ndim))
        slope = (tapped[1] * direction).sum(axis=axes)
        np.testing.assert_allclose((up - seen.scores) / size, slope, atol=1e-2, rtol=0.05)
    assert before == snapshot(model)


def test_front_and_cam(item: Specimen) -> None:
    n = 2
    images = item.images(n)
    model = item.build()
    scope = Scope(model)
    table = scope.layers(images)
    assert any(row[0] == item.layer.split(":")[0] for row in table.rows) and item.layer.split(":")[0] in str(table)
    sets = scope.feature_maps(images, item.layer, target=item.target)
    first = sets[0]
    assert first.layer == item.layer and first.maps.shape[0] == n
    assert sorted(first.order[0]) == list(range(first.maps.shape[-1]))
    assert len(first.targets) == n
    ranked = np.take_along_axis(first.importance, first.order, axis=1)
    assert (np.diff(ranked, axis=1) <= 0).all()
    path = scope.probe.call(item.layer).path
    layer = scope.probe.by_path[path]
    if kernel_array(layer) is None:
        with pytest.raises(ModelError, match="kernels"):
            filters(model, path)
    else:
        found = filters(model, path)
        np.testing.assert_allclose((found.norms**2).sum(), (kernel_array(layer) ** 2).sum(), rtol=1e-4)
    heat = grad_cam(scope.probe, images, item.target, item.layer, signed=True)
    assert heat.heat.shape == first.maps.shape[:3]
    assert np.isfinite(heat.heat).all()


def test_maps_and_scores_do_not_depend_on_the_batch_they_came_in() -> None:
    item = next(s for s in ZOO if s.name == "functional_batch_normalised")
    model, images = item.build(), item.images(5)
    whole = Probe(model, batch_size=8).gradients(images, None, "conv")
    parts = Probe(model, batch_size=2).gradients(images, None, "conv")
    place = Probe(model).place("conv")
    np.testing.assert_allclose(whole.gradients[place], parts.gradients[place], atol=1e-6)
    np.testing.assert_allclose(whole.scores, parts.scores, atol=1e-6)
