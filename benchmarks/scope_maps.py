"""Feature maps of all convolutions of ResNet50, streamed and handed over as NumPy arrays, against the usual ways.

    python -m benchmarks.scope_maps [--pictures 256] [--batch 16] [--rounds 3] [--keract FOLDER]

keract needs Keras 2; to have it measured, make a folder for it alone and name it:
    pip install --no-deps --target FOLDER keract tf-keras
PyTorch's forward hooks and keract answer from processes of their own that take turns with the others.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.scope_results import goals, publish_part
from benchmarks.scope_ways import (
    Elsewhere,
    a_model_per_layer,
    convolutions,
    copy_of_each_output,
    one_compiled_model,
    predict,
    rate,
    tap,
)
from benchmarks.timing import alternate, markdown, rows_against
from convscope.backend.selection import backend_name, load_keras

TAP, MODEL = "convscope tap", "compiled multi-output model, same hand-over"
COPY, PREDICT, EACH = "`.numpy()` per output", "`predict` of a multi-output model", "a model per layer"
HOOKS, KERACT = "PyTorch forward hooks that copy", "keract (Keras 2)"
GOALS = {MODEL: 0.95, COPY: 2.0, EACH: 2.0, HOOKS: 2.0, KERACT: 2.0}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keract", default="", help="folder with keract and tf-keras")
    given = parser.parse_args()
    keras = load_keras()
    model = keras.applications.ResNet50(weights=None)
    names = convolutions(model, keras)
    ways = {TAP: tap, MODEL: one_compiled_model, COPY: copy_of_each_output, PREDICT: predict, EACH: a_model_per_layer}
    slow = {EACH, KERACT}  # few pictures: these run the network once per layer, or as slowly
    contenders, missing = {}, []
    for way, make in ways.items():
        run = make(model, names, given.batch)
        rate(run, given.batch, given.batch)  # compile
        pictures = given.batch if way in slow else given.pictures
        contenders[way] = lambda run=run, pictures=pictures: rate(run, pictures, given.batch)
    others = {HOOKS: Elsewhere("torch_hooks", given.pictures, given.batch)}
    if given.keract:
        others[KERACT] = Elsewhere("keract", given.batch, given.batch, given.keract)
    else:
        missing.append(f"{KERACT}: not measured; see --keract")
    for way, other in others.items():
        try:
            other()
            contenders[way] = other
        except RuntimeError as error:
            missing.append(f"{way}: does not run here ({error})")
    found = alternate(contenders, rounds=given.rounds)
    for other in others.values():
        other.close()
    ratios = {way: [a / b for a, b in zip(found[TAP], found[way], strict=True)] for way in found if way in GOALS}
    head = (
        f"## Feature maps of the {len(names)} convolutions of ResNet50\n\n{backend_name()}, {given.pictures} pictures "
        f"of 224x224 in batches of {given.batch}, medians of {given.rounds} rounds in turns; "
        f"{', '.join(sorted(slow))}: {given.batch} pictures a round."
    )
    parts = [head, markdown(*rows_against(found, TAP, unit="pictures/s")), goals(ratios, GOALS, f"{TAP} / ")]
    publish_part("maps", "\n\n".join([*parts, *missing]))


if __name__ == "__main__":
    sys.exit(main())
