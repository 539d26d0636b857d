"""`convscope models` and `convscope doctor`: what can be trained here, and how fast."""

from __future__ import annotations

from dataclasses import asdict

from convscope.cli.screen import number, progress, prose, say, say_json, table


def doctor(*, json: bool = False) -> None:
    """Measure the installed back ends and recommend one.

    Args:
        json: print JSON instead of a table.
    """
    from convscope.actions.doctor import examine

    with progress() as report:
        health = examine(progress=report)
    if json:
        say_json(asdict(health))
        return
    say(f"Python {health.python}, {health.cpus} CPU cores\n")
    rows = [
        (
            b.name, b.version, b.state.replace("not installed", "absent"), ", ".join(b.devices),
            *map(number, (b.import_s, b.predict_per_s, b.train_per_s, b.depthwise_per_s)),
        )
        for b in health.backends
    ]  # fmt: skip
    columns = ("back end", "version", "state", "devices", "import", "predicts", "trains", "depthwise")
    table("Back ends", columns, rows, right=(4, 5, 6, 7))
    for backend in health.backends:
        if backend.note:
            say(f"{backend.name}: {backend.note}")
    prose(
        "Seconds to import, and pictures per second of a small network: three blocks, 64x64 pixels, batch 32; "
        "depthwise: training one whose blocks are depthwise, as in EfficientNet and MobileNet."
    )
    if health.has_bfloat16:
        say("This processor multiplies bfloat16 itself: try --mixed-precision bfloat16.")
    say()
    for name, present in health.extras.items():
        say(f"{name}: {'here' if present else 'not installed'}")
    say(health.advice, bold=True)


def models(*, json: bool = False) -> None:
    """List the networks that can be trained, and which ImageNet weights are on this machine.

    Args:
        json: print JSON instead of a table.
    """
    from convscope.actions.catalogue import list_models

    entries = list_models()
    if json:
        say_json([asdict(e) for e in entries])
        return
    rows = [(e.name, e.family, f"{e.height}×{e.width}", e.weights.partition(" (")[0]) for e in entries]
    table("Networks", ("name", "family", "input px", "ImageNet weights"), rows, right=(2,))
    say()
    say("Train one: convscope train pictures/ --model NAME --weights imagenet|none|FILE")
    say("Boxes and masks on another backbone: --model yolo+resnet50, unet+densenet121")
    say("Absent weights: add --download (by Keras, checksummed), or give --weights FILE.")
    say("The files they are in: convscope models --json")
