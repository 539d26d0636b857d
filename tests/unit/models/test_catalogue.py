from __future__ import annotations

import subprocess
import sys

import pytest

from convscope.errors import UnknownNameError
from convscope.models.catalogue import MODELS


def test_a_name_may_be_written_as_keras_writes_it() -> None:
    for name in ("EfficientNetB0", "efficientnet_b0", "efficientnet-b0", "Efficientnet B0"):
        assert MODELS.get(name).name == "efficientnet-b0"
    assert MODELS.get("ResNet50V2").name == "resnet50-v2"


def test_an_unknown_name_says_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean .*resnet50"):
        MODELS.get("resnet5")


def test_squeezed_names_are_unique() -> None:
    squeezed = ["".join(c for c in n if c.isalnum()) for n in MODELS.names()]
    assert len(set(squeezed)) == len(squeezed) == 42


def test_looking_names_up_imports_no_keras() -> None:
    code = (
        "import sys; from convscope.models.catalogue import MODELS; from convscope.models.weights import weights_here;"
        "MODELS.get('vgg16'); [weights_here(n) for n in MODELS.names()]; assert 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_table_holds_every_family_and_what_keras_states() -> None:
    """Constructors, files and digests against the source of the installed Keras."""
    import inspect

    keras_applications = pytest.importorskip("keras.applications")
    from convscope.models.backbones import BACKBONES

    skipped = {"MobileNetV3", "ResNeXt50", "ResNeXt101"}
    constructors = {
        n for n, v in vars(keras_applications).items() if inspect.isfunction(v) and n[0].isupper() and n not in skipped
    }
    assert {b.constructor for b in BACKBONES.values()} == constructors
    for name, backbone in BACKBONES.items():
        module = sys.modules[getattr(keras_applications, backbone.constructor).__module__]
        base = sys.modules["keras.src.applications.resnet"]
        source = inspect.getsource(module) + inspect.getsource(base)
        assert not backbone.weights.digest or backbone.weights.digest in source, name
        assert backbone.weights.url.rsplit("/", 1)[0].split("applications/")[-1].split("/")[0] in source, name
