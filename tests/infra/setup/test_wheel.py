"""The project as a package: a wheel, installed into an environment that holds nothing of the checkout."""

import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from tests.project_copy import ROOT

CODE = ("flows", "infra", "models", "render", "tasks")
IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    assert "site-packages" in importlib.import_module(name).__file__, name
"""


def run(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run([*map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it, and the third-party packages of the one that runs this test."""
    folder = tmp_path_factory.mktemp("wheel")
    source, venv = folder / "source", folder / "venv"
    source.mkdir()
    tracked = run("git", "ls-files", "-z", *CODE, "pyproject.toml", "README.md", "LICENSE", cwd=ROOT).split("\0")
    for name in filter(None, tracked):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source, cwd=folder)
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    run(*pip, "--python", venv / "bin" / "python", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    (site_packages,) = venv.glob("lib/python*/site-packages")
    (site_packages / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return venv


@pytest.mark.slow
def test_wheel_imports_every_module_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    files = [path.relative_to(ROOT).with_suffix("") for name in CODE for path in (ROOT / name).rglob("*.py")]
    modules = sorted(".".join(file.parts).removesuffix(".__init__") for file in files if file.name != "__main__")
    assert len(modules) > 150
    run(installed / "bin" / "python", "-c", IMPORT_ALL, *modules, cwd=tmp_path)


@pytest.mark.slow
def test_wheel_gives_the_command_its_profiles_and_its_types(installed: Path, tmp_path: Path) -> None:
    assert "results" in run(installed / "bin" / "mvdiffusion-pp", "--help", cwd=tmp_path)
    assert "results" in run(installed / "bin" / "python", "-m", "flows", "--help", cwd=tmp_path)
    load = "from infra.profile import load_profile; print(load_profile('cluster'))"
    assert "pool" in run(installed / "bin" / "python", "-c", load, cwd=tmp_path)
    (site_packages,) = installed.glob("lib/python*/site-packages")
    assert all((site_packages / name / "py.typed").exists() for name in CODE)
    templates = [path.relative_to(ROOT) for path in (ROOT / "tasks" / "report" / "templates").iterdir()]
    assert templates
    assert all((site_packages / path).is_file() for path in templates)


@pytest.mark.slow
@pytest.mark.nightly
def test_make_wheel_leaves_a_wheel_of_the_version_that_pyproject_states(tmp_path: Path) -> None:
    """From a copy, so that the build leaves nothing in the checkout."""
    names = run("git", "ls-files", "-z", *CODE, "pyproject.toml", "README.md", "LICENSE", "Makefile", cwd=ROOT).split(
        "\0"
    )
    for name in filter(None, names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    run("make", "wheel", "--assume-old=bootstrap", "PYTHON=true", cwd=tmp_path)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert [path.name for path in (tmp_path / "dist").iterdir()] == [f"mvdiffusion_pp-{version}-py3-none-any.whl"]


def test_version_is_the_same_wherever_it_stands() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## [{version}] - " in (ROOT / "CHANGELOG.md").read_text()
