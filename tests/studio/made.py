"""A small trained run and its data, and a client that has come through the link."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

TOKEN = "a-token-for-tests-0123456789abcdef"
HOST = "127.0.0.1:8123"


def make_pictures(folder: Path, *, each: int = 14) -> Path:
    """Two classes that a tiny network can tell apart: bright discs left or right, on noise; one file is damaged."""
    rng = np.random.default_rng(5)
    rows, columns = np.mgrid[:48, :48]
    for name, centre in (("left", 14), ("right", 34)):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            values = rng.integers(0, 90, (48, 48, 3))
            disc = (rows - 24 + rng.integers(-6, 7)) ** 2 + (columns - centre) ** 2 < 81
            values[disc] += np.array([140, 100, 40])
            Image.fromarray(values.astype(np.uint8)).save(folder / name / f"{number:02d}.png")
    (folder / "left" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    return folder


def make_run(folder: Path) -> tuple[Path, Path]:
    """(run folder, data folder); a few seconds."""
    import convscope

    data = make_pictures(folder / "pictures")
    plan = convscope.Plan(
        model="simple-cnn", filters=(8, 8), image_size=32, epochs=6, batch_size=8, learning_rate=1e-2, patience=0,
        val_share=0.25, test_share=0.25,
    )  # fmt: skip
    run = convscope.train(data, plan=plan, out=folder / "runs" / "discs")
    return run.path.resolve(), data


def client_of(app, *, enter=True):
    """A test client; with `enter` it has exchanged the token for the cookie."""
    from starlette.testclient import TestClient

    client = TestClient(app, base_url=f"http://{HOST}", follow_redirects=False)
    if enter:
        assert client.get(f"/?token={TOKEN}").status_code == 303
    return client
