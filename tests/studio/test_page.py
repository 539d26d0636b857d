"""The page's own tests (Vitest) and its lock file."""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"


def building():
    """hatch_build.py, which finds node."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.timeout(300)
def test_the_pages_own_logic():
    if not (WEB / "node_modules" / "vitest").is_dir():
        pytest.skip("the page's packages are not installed: make studio")
    building().run_npm(["test"], WEB)  # raises when one fails


def test_the_build_hook_puts_the_page_into_wheels_and_leaves_editable_installs_alone(monkeypatch):
    module, built = building(), []
    monkeypatch.setattr(module, "build_page", lambda root: built.append(root) or root / "web" / "dist")
    monkeypatch.delenv("CONVSCOPE_WITHOUT_STUDIO", raising=False)

    class Hook(module.CustomBuildHook):
        root, target_name = str(ROOT), "wheel"

        def __init__(self):
            pass

    data = {"force_include": {}}
    Hook().initialize("editable", data)
    assert built == [] and data == {"force_include": {}}
    monkeypatch.setattr("sys.argv", ["hatchling", "build_editable"])
    assert Hook().dependencies() == []
    Hook().initialize("standard", data)
    assert built == [ROOT] and data["force_include"] == {str(WEB / "dist"): "convscope/studio/page"}
    monkeypatch.setenv("CONVSCOPE_WITHOUT_STUDIO", "1")
    Hook().initialize("standard", bare := {"force_include": {}})
    assert bare == {"force_include": {}}


def test_the_lock_file_names_no_registry():
    lock = json.loads((WEB / "package-lock.json").read_text(encoding="utf-8"))
    assert len(lock["packages"]) > 40
    assert [name for name, one in lock["packages"].items() if "resolved" in one] == []
    assert all("integrity" in one for name, one in lock["packages"].items() if name)


def test_the_packages_of_the_page_are_in_the_docs():
    package = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    assert [name for name in package["devDependencies"] if name not in page] == []
