"""Distances of surfaces, a sliding window and a DICOM series, beside MONAI and a loop of pydicom and NumPy.

    python -m benchmarks segment_surface

All contenders take turns in one process; processor time is quoted, which others on the machine disturb least, and the
ratios are medians over the rounds. MONAI needs PyTorch (`pip install --no-deps monai`); its rows are left out without.
The table goes to benchmarks/results/segment_surface.md too.
"""

from __future__ import annotations

import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

from benchmarks.timing import RESULTS, alternate, machine, markdown, rows_against
from convscope.arrays.surface import mean_surface_distance, percentile_hausdorff, surface_distances
from convscope.arrays.window import Sliding, blend_windows
from convscope.data.dicom_series import read_series

ROUNDS = 3
SPACING = (0.85, 1.2, 0.9)
OURS, MONAI = "convscope", "MONAI 1.6"


def cpu(action: Callable[[], object]) -> Callable[[], float]:
    def timed() -> float:
        began = time.process_time()
        action()
        return time.process_time() - began

    return timed


def ball(radius: float, centre: tuple[int, int, int]) -> np.ndarray:
    grid = np.indices((99, 99, 99))
    return sum((g * s - c) ** 2 for g, s, c in zip(grid, SPACING, centre)) <= radius**2


def blobs(seed: int) -> np.ndarray:
    """Ragged regions all over a volume of the size of a brain's."""
    noise = np.random.default_rng(seed).normal(size=(181, 217, 181)).astype("f4")
    return ndimage.gaussian_filter(noise, 4) > 0.02


def surfaces(found: np.ndarray, truth: np.ndarray) -> dict[str, Callable[[], float]]:
    def ours() -> tuple[float, float]:
        distances = surface_distances(found, truth, spacing=SPACING)
        return percentile_hausdorff(distances), mean_surface_distance(distances)

    contenders = {OURS: cpu(ours)}
    try:
        import torch
        from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
    except ImportError:
        return contenders
    tensors = [torch.from_numpy(m)[None, None] for m in (found, truth)]

    def theirs() -> tuple[float, float]:
        how = {"spacing": list(SPACING), "include_background": True}
        mean = compute_average_surface_distance(*tensors, symmetric=True, **how)
        return float(compute_hausdorff_distance(*tensors, percentile=95, **how)), float(mean)

    np.testing.assert_allclose(ours(), theirs(), rtol=1e-5)
    return contenders | {MONAI: cpu(theirs)}


def windows() -> dict[str, Callable[[], float]]:
    """A window of 96 cubed, overlap 0.5, Gaussian, over 181 x 217 x 181; the network repeats its input."""
    image = np.random.default_rng(0).normal(size=(181, 217, 181, 1)).astype("f4")

    def ours() -> np.ndarray:
        sliding = Sliding((96, 96, 96), budget_bytes=1 << 30)
        return blend_windows(lambda x: np.broadcast_to(x, (*x.shape[:-1], 2)), image, sliding, outputs=2)

    contenders = {OURS: cpu(ours)}
    try:
        import torch
        from monai.inferers import sliding_window_inference
    except ImportError:
        return contenders
    tensor = torch.from_numpy(image[..., 0])[None, None]

    def theirs() -> np.ndarray:
        size = (96, 96, 96)
        return sliding_window_inference(
            tensor, size, 4, lambda x: x.repeat(1, 2, 1, 1, 1), overlap=0.5, mode="gaussian"
        )

    np.testing.assert_allclose(np.moveaxis(theirs()[0].numpy(), 0, -1), ours(), atol=1e-4)
    return contenders | {MONAI: cpu(theirs)}


def series(folder: Path) -> tuple[dict[str, Callable[[], float]], float]:
    """384 slices of 384 x 274, 16 bits; the loop sorts by position and rescales, as a volume needs."""
    import pydicom

    paths = [_slice(folder / f"{k:04d}.dcm", k) for k in range(384)]
    tracemalloc.start()
    volume = read_series(paths, "study")
    peak = tracemalloc.get_traced_memory()[1] / volume.values.nbytes
    tracemalloc.stop()

    def sorted_loop() -> np.ndarray:
        found = [pydicom.dcmread(p) for p in paths]
        found.sort(key=lambda d: float(d.ImagePositionPatient[2]))
        return np.stack([d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in found])

    def bare_loop() -> np.ndarray:
        return np.stack([pydicom.dcmread(p).pixel_array for p in paths])

    np.testing.assert_array_equal(volume.values.transpose(2, 1, 0), sorted_loop())
    return {
        "pydicom + NumPy loop (sorted, rescaled)": cpu(sorted_loop),
        "pydicom + NumPy loop (pixels only, in the order of names)": cpu(bare_loop),
        OURS: cpu(lambda: read_series(paths, "study")),
    }, peak


def _slice(path: Path, k: int) -> Path:
    import pydicom

    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", f"1.2.3.{k}"
    made = pydicom.dataset.FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.PatientID, made.SeriesInstanceUID, made.Modality, made.InstanceNumber = "p", "1.2.9", "MR", k + 1
    made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 0.7 * k]
    made.PixelSpacing, made.RescaleSlope, made.RescaleIntercept = [0.67, 0.67], 1, 0
    made.Rows, made.Columns, made.BitsAllocated, made.BitsStored, made.HighBit = 384, 274, 16, 16, 15
    made.PixelRepresentation, made.SamplesPerPixel, made.PhotometricInterpretation = 0, 1, "MONOCHROME2"
    made.PixelData = np.random.default_rng(k).integers(0, 4096, (384, 274)).astype("<u2").tobytes()
    made.save_as(path, enforce_file_format=True)
    return path


def main() -> None:
    warnings.simplefilter("ignore")
    text = ["# Surfaces, sliding window, DICOM series", "", f"{machine()}; processor time in seconds.", ""]
    balls = ball(33, (42, 45, 52)), ball(30, (43, 45, 52))
    questions = {
        "HD95 and mean surface distance, two balls in 99x99x99": surfaces(*balls),
        "the same, ragged regions in 181x217x181": surfaces(blobs(0), blobs(1)),
        "sliding window 96x96x96 over 181x217x181, without a network": windows(),
    }
    with tempfile.TemporaryDirectory() as folder:
        questions["a DICOM series of 384 slices"], peak = series(Path(folder))
        for title, contenders in questions.items():
            text += [
                f"## {title}",
                "",
                markdown(*rows_against(alternate(contenders, rounds=ROUNDS), OURS, unit="s")),
                "",
            ]
    text.append(
        f"Reading the series takes at most {peak:.1f} times the memory of the volume that comes out (16 bits a voxel)."
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "segment_surface.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))


if __name__ == "__main__":
    main()
