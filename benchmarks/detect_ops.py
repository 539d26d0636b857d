"""RoIAlign and suppression against onnxruntime's operators; YOLO-n against the same network in plain PyTorch; memory.

    python -m benchmarks.detect_ops                 # all chapters, each back end in a process of its own
    python -m benchmarks.detect_ops yolo memory     # some: operators, yolo, memory

Times are the shortest of several rounds taken in turn within one process; a ratio above 1 means faster than the peer.
Each chapter replaces its own part of benchmarks/results/detect_ops.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.timing import markdown, publish_section
from convscope.backend.selection import backend_name, load_keras
from convscope.backend.tensors import compiled, to_numpy

keras = load_keras()
ops = keras.ops

ROIS, SIDE, CHANNELS = 512, 50, 256
BOXES = 1000


def shortest(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Wall and CPU milliseconds of each function; rounds alternate, so that a busy machine hurts all alike."""
    best: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for function in functions.values():
        function()
        function()
    for _ in range(rounds):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            best[name].append((1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)))
    return {name: (min(w for w, _ in t), min(c for _, c in t)) for name, t in best.items()}


def accelerated(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiled as training compiles it: TensorFlow with XLA, JAX jitted, PyTorch as it is."""
    if backend_name() != "tensorflow":
        return compiled(function)
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)


def session(node: Any, inputs: dict[str, np.ndarray], kind: int) -> Callable[[], np.ndarray]:
    import onnx
    import onnxruntime

    given = [onnx.helper.make_tensor_value_info(k, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), list(v.shape))
             for k, v in inputs.items()]  # fmt: skip
    graph = onnx.helper.make_graph([node], "one", given, [onnx.helper.make_tensor_value_info("out", kind, None)])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 16)], ir_version=9)
    runner = onnxruntime.InferenceSession(model.SerializeToString())
    return lambda: runner.run(None, inputs)[0]


def some_boxes(rng: np.random.Generator, count: int, side: float) -> np.ndarray:
    low = rng.uniform(0, side * 0.9, (count, 2))
    return np.concatenate([low, np.minimum(low + rng.uniform(2, side / 2, (count, 2)), side)], -1).astype("float32")


def roi_align_row(rounds: int) -> dict[str, Any]:
    import onnx

    from convscope.layers.roi_align import roi_align

    rng = np.random.default_rng(0)
    features, boxes = rng.uniform(size=(1, SIDE, SIDE, CHANNELS)).astype("float32"), some_boxes(rng, ROIS, SIDE)
    node = onnx.helper.make_node("RoiAlign", ["x", "boxes", "picture"], ["out"], output_height=7, output_width=7,
                                 sampling_ratio=2, coordinate_transformation_mode="half_pixel")  # fmt: skip
    inputs = {"x": features.transpose(0, 3, 1, 2).copy(), "boxes": boxes, "picture": np.zeros(ROIS, np.int64)}
    theirs = session(node, inputs, onnx.TensorProto.FLOAT)
    ours = accelerated(lambda x, b: roi_align(x, b, scale_yx=(1.0, 1.0)))
    x, b = ops.convert_to_tensor(features), ops.convert_to_tensor(boxes[None])
    difference = np.abs(to_numpy(ours(x, b))[0] - theirs().transpose(0, 2, 3, 1)).max()
    times = shortest({"onnxruntime": theirs, "ours": lambda: to_numpy(ours(x, b))}, rounds)
    return row(f"RoIAlign, {ROIS} boxes, {SIDE}x{SIDE}x{CHANNELS}", times, difference)


def suppression_row(rounds: int) -> dict[str, Any]:
    import onnx

    from convscope.layers.nms import suppress

    rng = np.random.default_rng(1)
    boxes, scores = some_boxes(rng, BOXES, 640), rng.uniform(size=BOXES).astype("float32")
    node = onnx.helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou", "least"], ["out"])
    inputs = {"boxes": boxes[None][..., [1, 0, 3, 2]].copy(), "scores": scores[None, None],
              "most": np.array([300], np.int64), "iou": np.array([0.5], np.float32),
              "least": np.array([0.05], np.float32)}  # fmt: skip
    theirs = session(node, inputs, onnx.TensorProto.INT64)
    ours = accelerated(lambda b, s: suppress(b, s, most=300, iou_threshold=0.5, score_threshold=0.05))
    b, s = ops.convert_to_tensor(boxes[None]), ops.convert_to_tensor(scores[None])
    kept = ours(b, s)
    same = np.array_equal(to_numpy(kept.index)[0][to_numpy(kept.valid)[0]], theirs()[:, 2])
    times = shortest({"onnxruntime": theirs, "ours": lambda: to_numpy(ours(b, s).index)}, rounds)
    return row(f"suppression as a layer, {BOXES} boxes, at most 300 kept", times, 0.0 if same else float("nan"))


def decoding_row(rounds: int) -> dict[str, Any]:
    """The suppression that `decode_outputs` uses, in NumPy."""
    import onnx

    from convscope.arrays.nms import suppress

    rng = np.random.default_rng(1)
    boxes, scores = some_boxes(rng, BOXES, 640), rng.uniform(size=BOXES).astype("float32")
    node = onnx.helper.make_node("NonMaxSuppression", ["boxes", "scores", "most", "iou"], ["out"])
    inputs = {"boxes": boxes[None][..., [1, 0, 3, 2]].copy(), "scores": scores[None, None],
              "most": np.array([300], np.int64), "iou": np.array([0.5], np.float32)}  # fmt: skip
    theirs = session(node, inputs, onnx.TensorProto.INT64)
    same = np.array_equal(suppress(boxes, scores, most=300).kept, theirs()[:, 2])
    times = shortest({"onnxruntime": theirs, "ours": lambda: suppress(boxes, scores, most=300)}, rounds)
    found = row(f"suppression when decoding, {BOXES} boxes, at most 300 kept", times, 0.0 if same else float("nan"))
    return {**found, "back_end": "NumPy"}


def row(what: str, times: dict[str, tuple[float, float]], difference: float) -> dict[str, Any]:
    (peer, (wall, cpu)), (_, (our_wall, our_cpu)) = times.items()
    return {
        "what": what,
        "back_end": backend_name(),
        "peer": peer,
        "difference": float(difference),
        "ms": round(our_wall, 2),
        "peer_ms": round(wall, 2),
        "times_as_fast": round(wall / our_wall, 2),
        "times_as_fast_cpu": round(cpu / our_cpu, 2),
    }


def torch_twin(model: Any) -> Callable[[Any], dict[str, Any]]:
    """The same graph in plain PyTorch, channels first, weights copied; batch norm folded by PyTorch itself."""
    import torch
    from torch.nn import functional as f

    def array(w: Any) -> Any:
        return torch.from_numpy(np.array(to_numpy(w.value)))  # its own copy: others may not be written to

    def conv(layer: Any) -> Callable[..., Any]:
        kernel = array(layer.kernel).permute(3, 2, 0, 1).contiguous()
        bias = array(layer.bias) if layer.use_bias else None
        stride, size = layer.strides[0], layer.kernel_size[0]

        def run(x: Any) -> Any:
            need = max((-(-x.shape[2] // stride) - 1) * stride + size - x.shape[2], 0)
            x = f.pad(x, (need // 2, need - need // 2) * 2) if need % 2 else x
            return f.conv2d(x, kernel, bias, stride, 0 if need % 2 else need // 2)

        return run

    def norm(layer: Any) -> Callable[..., Any]:
        mean, variance, gamma, beta = (
            array(w) for w in (layer.moving_mean, layer.moving_variance, layer.gamma, layer.beta)
        )
        return lambda x: f.batch_norm(x, mean, variance, gamma, beta, eps=layer.epsilon)

    plain: dict[str, Callable[[Any], Callable[..., Any]]] = {
        "Conv2D": conv,
        "BatchNormalization": norm,
        "Activation": lambda layer: f.silu if layer.activation.__name__ == "silu" else torch.sigmoid,
        "Rescaling": lambda layer: lambda x: x * layer.scale,
        "Add": lambda layer: lambda xs: xs[0] + xs[1],
        "Concatenate": lambda layer: lambda xs: torch.cat(xs, 1),  # channels, or points: both are axis 1 here
        "MaxPooling2D": lambda layer: lambda x: f.max_pool2d(x, 5, 1, 2),
        "UpSampling2D": lambda layer: lambda x: f.interpolate(x, scale_factor=2, mode="nearest"),
        "Reshape": lambda layer: lambda x: x.flatten(2).transpose(1, 2),
    }
    steps = []
    for layer in model.layers[1:]:
        kind = type(layer).__name__
        if kind == "PointBoxes":
            continue
        given = layer.input if isinstance(layer.input, list) else [layer.input]
        sources = [t._keras_history.operation.name for t in given]
        steps.append((layer.name, sources, isinstance(layer.input, list), plain[kind](layer)))
    first = model.layers[0].name

    def run(x: Any) -> dict[str, Any]:
        with torch.inference_mode():
            known = {first: x}
            for name, sources, many, step in steps:
                known[name] = step([known[s] for s in sources]) if many else step(known[sources[0]])
            return {"distances": known["distances"], "scores": known["scores"]}

    return run


def yolo_row(rounds: int, side: int = 640) -> dict[str, Any]:
    """YOLO-n's forward pass on this back end against the same network in plain PyTorch, one picture."""
    import torch

    from convscope.models.detectors import build_detector

    model = build_detector("yolo-n", 80, frame_hw=(side, side)).model
    x = np.random.default_rng(0).uniform(0, 255, (1, side, side, 3)).astype("float32")
    twin, given = torch_twin(model), torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    ours, tensor = accelerated(lambda t: model(t, training=False)), ops.convert_to_tensor(x)
    difference = np.abs(to_numpy(ours(tensor)["scores"]) - twin(given)["scores"].numpy()).max()
    times = shortest({"plain PyTorch": lambda: twin(given), "ours": lambda: to_numpy(ours(tensor)["scores"])}, rounds)
    return row(f"YOLO-n, one picture of {side}x{side}", times, difference)


def processor_seconds(action: Callable[[], object]) -> float:
    before = time.process_time()
    action()
    return time.process_time() - before


def memory_row(rounds: int = 1, side: int = 512, batch: int = 2) -> dict[str, Any]:
    """The most memory that training Faster R-CNN-ResNet50 ever held, and the share of RoIAlign in a step."""
    from convscope.models.detector import DetectorOptions
    from convscope.models.detectors import build_detector

    options = DetectorOptions(pyramid_channels=256, head_units=1024)
    detector = build_detector("faster-rcnn+resnet50", 20, frame_hw=(side, side), weights="none", options=options)
    model = detector.training_model
    model.compile(keras.optimizers.SGD(1e-3), jit_compile=backend_name() == "jax")
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 255, (batch, side, side, 3)).astype("float32")
    y = {
        "boxes": np.stack([some_boxes(rng, 20, side) for _ in range(batch)]),
        "labels": rng.integers(0, 20, (batch, 20)),
    }
    model.train_on_batch(x, y)
    step = min(processor_seconds(lambda: model.train_on_batch(x, y)) for _ in range(3))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    share = roi_align_seconds(side, batch, options.pyramid_channels) / step
    return {
        "what": f"training Faster R-CNN-ResNet50 at {side}, batch {batch}",
        "back_end": backend_name(),
        "peak_gib": round(peak, 2),
        "step_cpu_s": round(step, 2),
        "roi_align_share": round(share, 3),
    }


def roi_align_seconds(side: int, batch: int, channels: int) -> float:
    """CPU seconds of RoIAlign, forward and backward, on 128 boxes a picture as in a training step."""
    from convscope.backend.gradients import compile_tapped
    from convscope.layers.roi_align import pyramid_roi_align

    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(batch, side // s, side // s, channels)).astype("float32") for s in (8, 16, 32)]
    boxes = np.stack([some_boxes(rng, 128, side) for _ in range(batch)])

    def total(tap: Any, values: Any, given: Any) -> Any:
        marked = [tap(str(k), m) for k, m in enumerate(given[1:])]
        pooled = pyramid_roi_align(marked, given[0], frame_hw=(side, side))
        return ops.sum(ops.square(pooled)), ops.sum(pooled)

    given = [ops.convert_to_tensor(x) for x in (boxes, *maps)]
    run = compile_tapped(total, [], given, differentiate=True)

    def once() -> None:
        to_numpy(run(given)[1]["0"])

    once()
    return min(processor_seconds(once) for _ in range(3))


def child(chapter: str, backend: str, rounds: int) -> list[dict[str, Any]]:
    """The rows of one chapter on one back end, measured in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.detect_ops", chapter, "--rows", "--rounds", str(rounds)]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def timed(rows: list[dict[str, Any]]) -> str:
    """Their table."""
    header = ("", "on", "ms", "peer", "peer's ms", "times as fast", "by processor time", "largest difference")
    return markdown(header, [
        (r["what"], r["back_end"], f"{r['ms']:g}", r["peer"], f"{r['peer_ms']:g}", f"{r['times_as_fast']:g}",
         f"{r['times_as_fast_cpu']:g}", f"{r['difference']:.1e}") for r in rows
    ])  # fmt: skip


def held(rows: list[dict[str, Any]]) -> str:
    """The memory's table."""
    header = ("", "on", "most memory of the process", "a step, processor time", "share of RoIAlign")
    return markdown(header, [(r["what"], r["back_end"], f"{r['peak_gib']:g} GiB", f"{r['step_cpu_s']:g} s",
                              f"{r['roi_align_share']:.1%}") for r in rows])  # fmt: skip


# chapter: its title, its back ends, what makes its rows in a child, and its table
CHAPTERS: dict[str, tuple[str, tuple[str, ...], tuple[Callable[[int], dict[str, Any]], ...], Callable[..., str]]] = {
    "operators": ("RoIAlign and suppression against onnxruntime", ("tensorflow", "jax", "torch"),
                  (roi_align_row, suppression_row), timed),
    "decoding": ("Suppression when a detector's outputs are decoded", ("tensorflow",), (decoding_row,), timed),
    "yolo": ("YOLO-n against plain PyTorch", ("tensorflow", "jax", "torch"), (yolo_row,), timed),
    "memory": ("Training the large one", ("tensorflow",), (memory_row,), held),
}  # fmt: skip


def main() -> None:
    """The chapters that are asked for; with --rows one of them, here and now, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("chapters", nargs="*", choices=[*CHAPTERS, []], help="default all")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--rows", action="store_true", help="measure here, on the back end of this process")
    asked = parser.parse_args()
    for chapter in asked.chapters or CHAPTERS:
        title, back_ends, makers, table = CHAPTERS[chapter]
        if asked.rows:
            for make in makers:
                print(json.dumps(make(asked.rounds)), flush=True)
        else:
            rows = [row for name in back_ends for row in child(chapter, name, asked.rounds)]
            publish_section("detect_ops", "Detectors' operators", title, table(rows))


if __name__ == "__main__":
    main()
