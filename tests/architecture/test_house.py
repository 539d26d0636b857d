"""The rules of the house that a linter can't hold: sizes, lazy names, what may be imported without Keras."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "convscope"
MODULES = sorted(SOURCE.rglob("*.py"))

MOST_LINES = 400
MOST_FUNCTION_LINES = 40
MOST_PARAMETERS = 6
# A function over the limit needs a line here with a reason.
LONG_FUNCTIONS: dict[str, str] = {}
MANY_PARAMETERS: dict[str, str] = {}


def functions(path: Path) -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [(f"{path.relative_to(SOURCE).as_posix()}:{n.name}", n) for n in ast.walk(tree) if isinstance(n, kinds)]


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without the docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_modules_stop_at_400_lines() -> None:
    long = {p.relative_to(SOURCE).as_posix(): n for p in MODULES if (n := len(p.read_text().splitlines())) > MOST_LINES}
    assert long == {}


def test_functions_are_short() -> None:
    long = {name: code_lines(node) for path in MODULES for name, node in functions(path)}
    assert {n: k for n, k in long.items() if k > MOST_FUNCTION_LINES and n not in LONG_FUNCTIONS} == {}


def test_functions_take_few_parameters() -> None:
    many = {}
    for path in MODULES:
        for name, node in functions(path):
            positional = [a.arg for a in node.args.posonlyargs + node.args.args if a.arg not in ("self", "cls")]
            if len(positional) > MOST_PARAMETERS and name not in MANY_PARAMETERS:
                many[name] = positional
    assert many == {}


def test_no_forbidden_names() -> None:
    bad = {"utils", "helpers", "common", "manager", "core", "misc"}
    assert [p for p in MODULES if p.stem in bad or p.parent.name in bad] == []


def test_importing_convscope_loads_almost_nothing() -> None:
    code = "import sys, convscope; print(sorted(m for m in sys.modules if m.split('.')[0] in {deny}))"
    deny = "{'keras', 'tensorflow', 'jax', 'torch', 'numpy', 'PIL', 'pydantic', 'cyclopts', 'rich', 'scipy', 'jinja2'}"
    done = subprocess.run(
        [sys.executable, "-c", code.replace("{deny}", deny)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_help_loads_no_back_end() -> None:
    code = (
        "import sys\nfrom convscope.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print('LOADED', sorted(m for m in ('keras', 'tensorflow', 'jax', 'torch', 'numpy') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "LOADED []"


KERAS_FREE = ("errors", "registry", "files", "records", "arrays", "data", "metrics", "draw", "reporting")


def test_pictures_numbers_and_drawings_work_without_keras() -> None:
    """Every module of the Keras-free packages imports where no framework can be imported."""
    names = [
        "convscope." + p.relative_to(SOURCE).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for p in MODULES
        if p.relative_to(SOURCE).parts[0].removesuffix(".py") in KERAS_FREE
    ]
    code = (
        "import sys, importlib, importlib.abc\n"
        "class Refuse(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('keras', 'jax', 'tensorflow', 'torch'):\n"
        "            raise ImportError(name + ' is not for this package')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        f"for n in {names!r}: importlib.import_module(n)\n"
        "import numpy as np\n"
        "from convscope.records.geometry import Preprocess\n"
        "from convscope.records.prediction import Predictions\n"
        "from convscope.metrics.score import score_predictions\n"
        "scores = np.array([[.9, .1], [.2, .8]], np.float32)\n"
        "p = Predictions(('a', 'b'), scores, 'classify', ('x', 'y'), np.array([0, 1]))\n"
        "assert score_predictions(p).values['accuracy'].value == 1\n"
        "print('fine', len(sys.argv))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.backend
def test_public_names_stay_callable_after_every_submodule_is_imported() -> None:
    """A lazy name that is also a package would turn into the module on its second use."""
    import importlib

    import convscope

    for info in pkgutil.walk_packages(convscope.__path__, "convscope."):
        if not info.name.endswith("__main__"):
            importlib.import_module(info.name)
    for name in set(convscope.__all__) - {"__version__", "callbacks"}:
        assert callable(getattr(convscope, name)), name
        assert callable(getattr(convscope, name)), name
