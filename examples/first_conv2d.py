"""A first network with Conv2D in plain Keras, trained, looked at, reported and saved by convscope.

Run it:

    python examples/first_conv2d.py

The model is the listing that most people begin with; convscope takes it as it is, compiled as it is.
"""

from pathlib import Path

import numpy as np
from keras.layers import Conv2D, Dense, Flatten, MaxPooling2D
from keras.models import Sequential

import convscope


def pictures_of_bars(number: int, side: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Grey pictures (number, side, side, 1) in 0..1 with a bright bar that lies (0), stands (1) or slants (2)."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 3, number)
    x = rng.normal(0.2, 0.08, (number, side, side, 1))
    rows, columns = np.mgrid[:side, :side]
    for picture, kind in zip(x, kinds, strict=True):
        place = rng.integers(4, side - 4)
        distance = {0: rows - place, 1: columns - place, 2: (rows - columns) / np.sqrt(2) + (side / 2 - place) / 2}
        picture[np.abs(distance[int(kind)]) < 1.5] += 0.6
    return x.clip(0, 1).astype("float32"), kinds


def build(height: int, width: int, channels: int, classes: int) -> Sequential:
    """The listing: two convolutions with pooling, one hidden layer, a softmax."""
    model = Sequential(
        [
            Conv2D(32, (3, 3), activation="relu", input_shape=(height, width, channels)),
            MaxPooling2D(pool_size=(2, 2)),
            Conv2D(64, (3, 3), activation="relu"),
            MaxPooling2D(pool_size=(2, 2)),
            Flatten(),
            Dense(64, activation="relu"),
            Dense(classes, activation="softmax"),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def main(folder: str = "runs/first-conv2d", pictures: int = 600, epochs: int = 4) -> convscope.Run:
    """Train, look inside, report."""
    x, y = pictures_of_bars(pictures)
    model = build(*x.shape[1:], classes=3)
    plan = convscope.Plan(epochs=epochs, batch_size=32, test_share=0.2)
    run = convscope.train((x, y), model=model, plan=plan, out=Path(folder))
    scope = run.scope()
    maps = scope.feature_maps(x[:4], layers="conv2d*")
    print(f"{len(maps)} layers with feature maps; the first holds {maps[0].maps.shape[-1]} maps a picture")
    print(f"accuracy on {run.evaluate().n} unseen pictures: {run.evaluate().values['accuracy'].value:.3f}")
    print(f"report: {run.report()}")
    return run


if __name__ == "__main__":
    main()
