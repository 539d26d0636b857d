"""The plan: errors in one line, TOML there and back, a template with every field."""

import subprocess
import sys

import numpy as np
import pytest

from convscope.data.arrays import read_arrays
from convscope.errors import DataNotFoundError, PlanError
from convscope.models.simple_cnn import SimpleCnnOptions
from convscope.records.geometry import Preprocess
from convscope.training.plan import GROUPS, Plan, template
from convscope.training.plan_check import check_crop, check_plan
from convscope.training.plan_text import group_of


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epoch": 1}, "unknown plan field 'epoch'; did you mean epochs"),
        ({"epochs": -1}, "expected plan field epochs to be greater than or equal to 0, got -1"),
        ({"image_size": -3}, "expected image_size between 1 and 16384 pixels, got -3"),
        ({"augment": {"hu": 1}}, "unknown plan field 'augment.hu'; did you mean hue"),
        ({"augment": {"hue": 2}}, "expected augment.hue between 0 and 0.5"),
        ({"schedule": "cos"}, "to be 'constant', 'cosine', 'step', 'one-cycle' or 'plateau', got 'cos'"),
        ({"learning_rate": float("nan")}, "finite"),
        ({"value_range": (1, 0)}, "darkest below brightest"),
        ({"val_share": 0.6, "test_share": 0.6}, "nothing is left to train"),
        ({"filters": ()}, "filters"),
        ({"filters": (8, 0)}, "at least 1"),
    ],
)
def test_what_cannot_work_is_one_line(options, words):
    with pytest.raises(PlanError) as error:
        Plan(**options)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_plan_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Plan().epochs = 3


def test_the_template_reads_as_the_default_plan(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(template())
    assert Plan.from_toml(path) == Plan()


def test_the_template_names_every_field_and_says_what_it_is():
    text = template()
    for name, info in Plan.model_fields.items():
        assert f"{name} =" in text or f"[{name}]" in text
        assert info.description and len(info.description) > 15
        assert name == "augment" or group_of(info) in GROUPS
    for name in Plan().augment.__dataclass_fields__:
        assert f"\n{name} = " in text


def test_fields_stand_in_the_order_of_their_groups():
    groups = [group_of(info) for name, info in Plan.model_fields.items() if name != "augment"]
    assert groups == sorted(groups, key=GROUPS.index) and set(groups) == set(GROUPS)


def test_toml_there_and_back(tmp_path):
    plan = Plan(image_size=(32, 48), channels=1, augment={"hue": 0.1, "rand_augment": 2}, filters=(4,), clipnorm=0.5)
    path = tmp_path / "plan.toml"
    path.write_text(plan.to_toml())
    assert Plan.from_toml(path) == plan


def test_a_command_line_gives_words_for_numbers():
    assert Plan(channels="1").channels == 1
    assert Plan(image_size="96").image_size == 96 and Plan(image_size="96, 128").image_size == (96, 128)
    assert Plan(filters=["8,16", "32"]).filters == (8, 16, 32) and Plan(dense=()).dense == ()
    for size in ("96,128,3", "96,", "wide", "-3"):
        with pytest.raises(PlanError, match="image_size"):
            Plan(image_size=size)
    with pytest.raises(PlanError, match="channels"):
        Plan(channels="2")


def test_a_damaged_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text("epochs = 3\nbatch_size = = 4\n")
    with pytest.raises(PlanError, match=r"plan\.toml.*line 2"):
        Plan.from_toml(path)
    path.write_text("epoks = 3\n")
    with pytest.raises(PlanError, match=r"plan\.toml: unknown plan field 'epoks'; did you mean epochs"):
        Plan.from_toml(path)
    with pytest.raises(DataNotFoundError):
        Plan.from_toml(tmp_path / "none.toml")


def test_the_simple_cnn_options_are_those_of_the_network():
    assert SimpleCnnOptions.from_dict(Plan().simple_cnn_options()) == SimpleCnnOptions()
    assert SimpleCnnOptions.from_dict(Plan(filters=(5,), stride=2, cnn_head="flatten").simple_cnn_options()).stride == 2


def test_the_plan_needs_no_keras():
    code = "import sys, convscope.training.plan; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def samples(n=20, classes=2):
    return read_arrays(np.zeros((n, 8, 8, 3), np.uint8), np.arange(n) % classes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 21}, "at most the 20 training pictures, got 21"),
        ({"batch_size": 4, "epochs": 0, "head_epochs": 0}, "nothing would be trained"),
        ({"batch_size": 4, "folds": 11}, "at most the 10 pictures of class"),
        ({"batch_size": 4, "folds": 1}, "at least 2"),
        ({"batch_size": 4, "loss": "sparse_categorical_crossentropy", "augment": {"mixup": 0.2}}, "MixUp"),
    ],
)
def test_plans_that_do_not_fit_the_data(options, words):
    with pytest.raises(PlanError, match=words):
        check_plan(Plan(**options), samples())


def test_a_plan_that_fits_says_nothing():
    check_plan(Plan(batch_size=20, folds=10, fit="crop", image_size=30), samples())


def test_a_crop_has_to_fit_the_smallest_picture():
    with pytest.raises(PlanError, match=r"31x20 pixels .* side of 30; set image_size to at most 30"):
        check_crop(Preprocess(31, 20, fit="crop"), 30)
    for preprocess in (Preprocess(30, 30, fit="crop"), Preprocess(64, 64), Preprocess(None, None, fit="as-is")):
        check_crop(preprocess, 30)
    check_crop(Preprocess(64, 64, fit="crop"), None)  # sizes that nobody looked at
