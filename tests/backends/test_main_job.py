"""The whole way on every back end: a folder of pictures, a run folder, scores, predictions, a report, a look inside."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convscope
from backends.pictures import bars
from convscope.actions.look import look
from convscope.actions.opening import open_any
from convscope.cli.app import run as command
from convscope.errors import DataError, PlanError, RunError
from convscope.files.journal import read_journal

pytestmark = pytest.mark.backend

PLAN = convscope.Plan(
    model="simple-cnn",
    image_size=32,
    filters=(8, 16),
    epochs=14,
    batch_size=8,
    patience=0,
    learning_rate=5e-3,
    schedule="cosine",
    test_share=0.25,
    augment=convscope.Augmentation(flip_horizontal=True, brightness=0.1),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bars(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def finished(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> convscope.Run:
    return convscope.train(folder, plan=PLAN, out=tmp_path_factory.mktemp("runs") / "bars")


def test_it_learns_and_says_how_sure_it_is(finished: convscope.Run) -> None:
    scores = finished.scores
    assert scores.n == 12
    assert scores.values["accuracy"].value >= 0.9
    low, high = scores.values["balanced_accuracy"].low, scores.values["balanced_accuracy"].high
    assert low is not None
    assert high is not None
    assert low < scores.values["balanced_accuracy"].value <= high


def test_the_run_folder_is_the_state(finished: convscope.Run) -> None:
    names = {p.name for p in finished.path.iterdir()}
    assert {"plan.toml", "journal.jsonl", "split.json", "checkpoints", "model.cvs", "model.keras", "evaluation.json",
            "predictions.csv", "audit.json", "pictures.npz"} <= names  # fmt: skip
    assert not [n for n in names if n.startswith(".tmp")]
    kinds = [e["event"] for e in read_journal(finished.path)]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert kinds.count("epoch") == len(finished.history.epochs) == 14
    parts = json.loads((finished.path / "split.json").read_text())
    assert [len(parts[n]) for n in ("train", "val", "test")] == [28, 8, 12]


def test_reopened_it_says_the_same(finished: convscope.Run, folder: Path) -> None:
    again = convscope.open_run(finished.path)
    pictures = sorted((folder / "standing").iterdir())[:5]
    first = finished.predict(pictures)
    second = again.predict(pictures)
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_allclose(first.scores.sum(axis=1), 1, atol=1e-6)
    for name, scored in again.evaluate().values.items():
        assert scored.value == pytest.approx(finished.scores.values[name].value, abs=1e-5)


def test_plain_keras_opens_it_too(finished: convscope.Run, folder: Path) -> None:
    import keras

    from convscope.backend.tensors import to_numpy

    model = keras.saving.load_model(finished.path / "model.keras")
    pixels = np.asarray(Image.open(folder / "lying" / "000.png"), np.float32)[None]
    mine = to_numpy(open_any(finished.path).model(pixels, training=False))
    np.testing.assert_allclose(to_numpy(model(pixels, training=False)), mine, rtol=1e-6)


def test_the_report_is_one_file_that_asks_for_nothing(finished: convscope.Run) -> None:
    page = finished.report().read_text(encoding="utf-8")
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page) == []
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    for words in ("Grad-CAM", "conv", "Confusion", "validation"):
        assert words in page
    assert len(page) < 6_000_000


def test_pictures_at_their_own_size(finished: convscope.Run, tmp_path: Path) -> None:
    """A network that ends in global pooling takes any size; the frame of training is only the default."""
    bars(tmp_path / "large", per_class=3, side=48, seed=9)
    files = sorted((tmp_path / "large").rglob("*.png"))
    native = finished.predict(files, native_size=True)
    fitted = finished.predict(files)
    assert native.scores.shape == fitted.scores.shape == (6, 2)
    assert not np.allclose(native.scores, fitted.scores)
    assert (native.scores.argmax(axis=1) == [0, 0, 0, 1, 1, 1]).mean() >= 0.8


def test_look_writes_a_page_and_ranks_maps(finished: convscope.Run, folder: Path, tmp_path: Path) -> None:
    found = look(finished.path, [folder / "lying" / "000.png"], out=tmp_path / "look.html")
    assert found.page.stat().st_size > 10_000
    assert next(m.layer for m in found.maps).startswith("block1")
    for maps in found.maps:
        assert (np.diff(maps.importance[0][maps.order[0]]) <= 0).all()  # signed: what speaks for the answer first


def test_commands_on_the_run(
    finished: convscope.Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(finished.path)
    assert command(["evaluate", run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 12
    assert command(["evaluate", run, str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 48
    picture = str(folder / "lying" / "001.png")
    assert command(["predict", run, picture, "--out", str(tmp_path / "answers"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows[0]["says"] == "lying"
    assert (tmp_path / "answers" / "predictions.csv").read_text().startswith("picture,says,probability,unsure,")
    assert command(["report", run, "--out", str(tmp_path / "r.html")]) == 0
    assert "Report: " in capsys.readouterr().out
    assert command(["look", run, picture, "--out", str(tmp_path / "l.html")]) == 0
    assert "block1" in capsys.readouterr().out


def test_scope_commands_on_the_run(
    finished: convscope.Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, picture = str(finished.path), str(folder / "lying" / "001.png")

    def said(*argv: str) -> str:
        assert command(list(argv)) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    assert "block1_conv1" in said("layers", run)
    sums = said("arithmetic", run, picture, "block1_conv1", "--at", "5", "7", "--channel", "2")
    assert "block1_conv1" in sums
    assert "27" in sums or "×" in sums
    assert "3" in said("field", run, "block1_conv1")
    assert "filters" in said("units", run, str(folder), "block1_conv1")
    assert "channel 1" in said("units", run, str(folder), "block1_conv1", "--channel", "1")
    stored = tmp_path / "maps.zarr"
    said("store", run, str(folder), str(stored), "--layers", "block1_conv1")
    import zarr

    arrays = dict(zarr.open_group(stored, mode="r").arrays())
    assert any(a.shape[0] == 48 and a.shape[-1] == 8 for a in arrays.values())
    assert "block2_conv1" in said("compare", run, run, picture)
    page = said("explain", run, picture, "--method", "grad-cam,saliency", "--out", str(tmp_path / "explained"))
    assert "grad-cam" in page
    assert list((tmp_path / "explained").rglob("*.png"))
    assert list((tmp_path / "explained").rglob("*.html"))


def test_pages_of_the_scope(
    finished: convscope.Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from convscope.training.checkpoint import checkpoints

    run, picture = str(finished.path), str(folder / "lying" / "001.png")
    kept = sorted(int(p.name.split("-")[1]) for p in checkpoints(finished.path) if "batch" not in p.name)

    def page(name: str, *argv: str) -> str:
        assert command([*argv, "--out", str(tmp_path / name)]) == 0, capsys.readouterr().err
        return (tmp_path / name).read_text(encoding="utf-8")

    epochs = (str(kept[0]), str(kept[-1]))
    compared = page("c.html", "compare", run, picture, "--epochs", *epochs)
    assert "CKA" in compared and "block2_conv1" in compared and "<svg" in compared
    assert command(["compare", run, picture, "--epochs", "999", "1"]) == 2
    assert f"({', '.join(map(str, kept))}), got 999" in " ".join(capsys.readouterr().err.split())
    assert "as a layer sees them" in page("e.html", "embed", run, str(folder), "block2_conv1")
    assert "Effective receptive field" in page("f.html", "field", run, "block2_conv1", picture)


def test_a_finished_run_goes_on_with_more_epochs(folder: Path, tmp_path: Path) -> None:
    short = PLAN.with_changes({"epochs": 1})
    convscope.train(folder, plan=short, out=tmp_path / "a")
    with pytest.raises(RunError, match="finished; give it more epochs"):
        convscope.resume(tmp_path / "a")
    run = convscope.resume(tmp_path / "a", changes={"epochs": 2})
    assert [row["epoch"] for row in run.history.epochs] == [1, 2]
    assert run.plan.epochs == 2
    with pytest.raises(PlanError, match="learning_rate"):
        convscope.resume(tmp_path / "a", changes={"epochs": 3, "learning_rate": 1.0})
    (folder / "lying" / "new.png").write_bytes((folder / "lying" / "000.png").read_bytes())
    try:
        with pytest.raises(RunError, match=r"new 'lying/new\.png'"):
            convscope.resume(tmp_path / "a", changes={"epochs": 3})
    finally:
        (folder / "lying" / "new.png").unlink()


def test_new_data_continues_from_old_weights(finished: convscope.Run, tmp_path: Path) -> None:
    other = bars(tmp_path / "more", per_class=12, seed=5)
    plan = PLAN.with_changes({"epochs": 1, "learning_rate": 1e-6})
    run = convscope.train(other, plan=plan, out=tmp_path / "b", continue_from=finished.path)
    assert run.evaluate(other).values["accuracy"].value >= 0.8


def test_bad_pictures_are_set_aside_by_name(tmp_path: Path) -> None:
    root = bars(tmp_path / "pictures", per_class=12)
    (root / "lying" / "broken.png").write_bytes((root / "lying" / "000.png").read_bytes()[:200])
    (root / "lying" / "text.jpg").write_text("not a picture")
    plan = PLAN.with_changes({"epochs": 1, "filters": (4,)})
    run = convscope.train(root, plan=plan, out=tmp_path / "run")
    page = json.dumps(read_journal(run.path)) + (run.path / "audit.json").read_text()
    assert "lying/broken.png" in page
    with pytest.raises(DataError, match=r"(broken\.png|text\.jpg)"):
        convscope.train(root, plan=plan.with_changes({"strict": True}), out=tmp_path / "strict")


def test_a_run_folder_is_never_overwritten(finished: convscope.Run, folder: Path) -> None:
    with pytest.raises(RunError, match="a run is already there"):
        convscope.train(folder, plan=PLAN, out=finished.path)


def test_the_first_conv2d_example_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The listing that everybody begins with, compiled as it is: optimizer, loss and metrics are kept."""
    path = Path(__file__).resolve().parents[2] / "examples" / "first_conv2d.py"
    spec = importlib.util.spec_from_file_location("first_conv2d", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    run = example.main(folder=str(tmp_path / "run"), pictures=240, epochs=3)
    out = capsys.readouterr().out
    assert "layers with feature maps; the first holds 32 maps" in out
    assert run.scores.values["accuracy"].value > 0.7
    assert "accuracy" in run.history.epochs[0]
    assert run.model.count_params() == example.build(20, 20, 1, 3).count_params()


def test_the_report_says_which_explanations_can_be_believed(
    finished: convscope.Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Judged on kept-back pictures by an option; what `judge` found on the run later on is shown in its place."""
    assert command(["report", str(finished.path), "--judge", "4"]) == 0
    kept = json.loads((finished.path / "judged.json").read_text(encoding="utf-8"))
    assert kept["pictures"] == "4 pictures kept back from training" and "guided-backprop" in kept["sanity"]
    page = (finished.path / "report.html").read_text(encoding="utf-8")
    assert "Can the explanations be believed?" in page and "Does the heat depend on what was learned?" in page
    assert kept["words"][0] in page and "random map" in page
    picture = next(folder.rglob("*.png"))
    convscope.judge(finished, [picture], ["grad-cam"], sanity=False)
    finished.report()
    page = (finished.path / "report.html").read_text(encoding="utf-8")
    assert "1 picture given to `convscope judge`" in page and "Does the heat depend" not in page
    with pytest.raises(PlanError, match="at least 1 picture"):
        finished.report(judge=-1)
