"""The pictures of docs/how_conv2d_works.md, drawn from what the model really computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CELL = 34
GAP = 26


def grid(values: np.ndarray, left: float, top: float, title: str, marked: set[tuple[int, int]], dashed: int = 0) -> str:
    """One array as a table of SVG cells; `dashed` is how many cells of padding lie around it."""
    largest = float(np.abs(values).max()) or 1.0
    parts = [f'<text x="{left}" y="{top - 10}" font-weight="600">{title}</text>']
    rows, columns = values.shape
    for y in range(rows):
        for x in range(columns):
            share = float(values[y, x]) / largest
            colour = "#b2182b" if share > 0 else "#2166ac"
            outside = not (dashed <= y < rows - dashed and dashed <= x < columns - dashed)
            line = 'stroke="#b0117b" stroke-width="2.5"' if (y, x) in marked else 'stroke="#888" stroke-width=".7"'
            dash = ' stroke-dasharray="3 3"' if outside and (y, x) not in marked else ""
            px, py = left + x * CELL, top + y * CELL
            parts.append(
                f'<rect x="{px + 1}" y="{py + 1}" width="{CELL - 2}" height="{CELL - 2}" fill="{colour}" '
                f'fill-opacity="{abs(share) * 0.6:.2f}" {line}{dash}/>'
                f'<text x="{px + CELL / 2}" y="{py + CELL / 2 + 4.5}" text-anchor="middle">'
                f"{values[y, x]:g}</text>".replace(">-", ">−")
            )
    return "".join(parts)


def drawing(picture: np.ndarray, kernel: np.ndarray, result: np.ndarray, at: tuple[int, int], corner: tuple[int, int],
            *, dashed: int = 0) -> str:  # fmt: skip
    """Picture, kernel and result side by side, the patch behind one value marked."""
    rows, columns = kernel.shape
    patch = {(corner[0] + y, corner[1] + x) for y in range(rows) for x in range(columns)}
    width = (picture.shape[1] + columns + result.shape[1]) * CELL + 4 * GAP + 20
    height = max(picture.shape[0], result.shape[0]) * CELL + 50
    x2 = 10 + picture.shape[1] * CELL + GAP
    x3 = x2 + columns * CELL + GAP
    body = [
        grid(picture, 10, 34, "picture", patch, dashed),
        f'<text x="{x2 - GAP / 2}" y="{34 + 1.5 * CELL}" text-anchor="middle" font-size="18">×</text>',
        grid(kernel, x2, 34, "kernel", set()),
        f'<text x="{x3 - GAP / 2}" y="{34 + 1.5 * CELL}" text-anchor="middle" font-size="18">=</text>',
        grid(result, x3, 34, "feature map", {at}),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="13" role="img"><rect width="100%" height="100%" '
        f'fill="#fff"/>{"".join(body)}</svg>\n'
    )


def drawings(maps: dict[str, np.ndarray], picture: np.ndarray, kernel: np.ndarray) -> dict[str, str]:
    """File name -> SVG, from the maps that the page's models computed."""
    padded = np.pad(picture, 1)
    return {
        "conv_valid.svg": drawing(picture, kernel, maps["valid"], (1, 1), (1, 1)),
        "conv_stride.svg": drawing(picture, kernel, maps["stride"], (1, 1), (2, 2)),
        "conv_same.svg": drawing(padded, kernel, maps["same"], (0, 0), (0, 0), dashed=1),
    }


def main() -> None:
    """Write the pictures beside the page."""
    import keras

    picture, kernel = page_arrays()
    maps = {}
    for name, settings in {"valid": {}, "stride": {"strides": 2}, "same": {"padding": "same"}}.items():
        layer = keras.layers.Conv2D(1, 3, use_bias=False, **settings)
        layer.build((None, 5, 5, 1))
        layer.kernel.assign(kernel[..., None, None])
        maps[name] = keras.ops.convert_to_numpy(layer(picture[None, ..., None]))[0, ..., 0]
    folder = Path(__file__).resolve().parents[1] / "docs" / "images"
    folder.mkdir(exist_ok=True)
    for name, text in drawings(maps, picture, kernel).items():
        (folder / name).write_text(text, encoding="utf-8")


def page_arrays() -> tuple[np.ndarray, np.ndarray]:
    """The 5 x 5 picture (a bright left half, one dark spot) and the kernel that answers to vertical edges."""
    picture = np.array(
        [[9, 9, 9, 1, 1], [9, 9, 9, 1, 1], [9, 2, 9, 1, 1], [9, 9, 9, 1, 1], [9, 9, 9, 1, 1]], np.float32
    )
    return picture, np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], np.float32)


if __name__ == "__main__":
    main()
