"""Which back end runs, and why; each case in a process of its own, since Keras fixes its back end at import."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from convscope.backend.quiet import diverted, without_chatter
from convscope.backend.selection import BACKENDS, installed, set_backend
from convscope.errors import BackendError

ASK = "from convscope.backend.selection import load_keras, backend_name, backend_rule\n"
TELL = "load_keras()\nimport os\nprint(backend_name(), '|', backend_rule(), '|', os.environ.get('KERAS_BACKEND'))\n"


def answer(code: str, **environment: str) -> tuple[list[str], str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL")}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return [part.strip() for part in done.stdout.strip().splitlines()[-1].split("|")], done.stderr


def test_asking_wins_over_the_environment() -> None:
    other = next(b for b in BACKENDS if b != installed()[0])
    code = f"from convscope.backend.selection import set_backend\nset_backend({installed()[0]!r})\n" + ASK + TELL
    assert answer(code, KERAS_BACKEND=other)[0] == [installed()[0], "asked for", other]


def test_first_installed_without_a_word_and_the_environment_stays_clean() -> None:
    found, errors = answer(ASK + TELL)
    assert found == [installed()[0], "first installed", "None"]
    assert errors == ""  # no start-up chatter


def test_keras_json_is_ignored(tmp_path: object) -> None:
    other = next(b for b in BACKENDS if b != installed()[0])
    home = os.path.join(str(tmp_path), "keras")
    os.makedirs(home)
    with open(os.path.join(home, "keras.json"), "w") as file:
        file.write(f'{{"backend": "{other}"}}')
    assert answer(ASK + TELL, KERAS_HOME=home)[0][0] == installed()[0]


def test_an_imported_keras_is_kept() -> None:
    name = installed()[0]
    found, _ = answer("import keras\n" + ASK + TELL, KERAS_BACKEND=name)
    assert found[:2] == [name, "Keras was already imported"]


def test_a_wrong_name_says_the_nearest() -> None:
    with pytest.raises(BackendError, match="did you mean torch"):
        set_backend("torhc")


def test_other_lines_of_start_up_are_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with without_chatter():
        os.write(2, b"oneDNN custom operations are on. You may see\nsomething real\n")
    assert capfd.readouterr().err == "something real\n"


def test_standard_output_is_diverted_and_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyError), diverted(1, to=2):
        os.write(1, b"from C++\n")
        raise KeyError
    os.write(1, b"the answer\n")
    said = capfd.readouterr()
    assert (said.out, said.err) == ("the answer\n", "from C++\n")
