"""What bootstrap decides; the installing itself is what every `make test` begins with."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.setup import bootstrap
from infra.setup.bootstrap import NotReadyError

ROOT = Path(__file__).parents[3]


def test_requirements_are_exact_pins_without_addresses() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin) for pin in pins)
    assert "://" not in "".join(lines)
    names = [pin.split("==")[0].lower() for pin in pins]
    assert sorted(set(names)) == sorted(names)
    assert "torch==2.13.0" in pins
    assert {name for name in names if name.startswith(("nvidia", "triton"))} == {"nvidia-ml-py"}, "what torch brings"


def test_requirements_pin_every_direct_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pins = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines() if line[:1] != "#")
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_pip_settings_of_pip_reach_uv() -> None:
    listing = "\n".join(
        [
            "global.extra-index-url='https://one.example/simple\\nhttps://two.example/simple'",
            "global.find-links='/old'",
            "install.find-links='/wheels /more'",
            ":env:.index-url='https://mirror.example/simple'",
            "global.trusted-host='mirror.example'",
            "global.timeout='60'",
        ]
    )
    assert bootstrap.uv_environment(bootstrap.pip_settings(listing), {"HOME": "/home/me"}) == {
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": "https://one.example/simple https://two.example/simple",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "mirror.example",
        "HOME": "/home/me",
    }


def test_pip_settings_environment_beats_files_whatever_comes_first() -> None:
    listing = ":env:.find-links='/from-env'\nglobal.find-links='/from-file'\ninstall.find-links='/from-section'"
    assert bootstrap.pip_settings(listing) == {"find-links": "/from-env"}


def test_uv_environment_keeps_what_the_user_set() -> None:
    assert bootstrap.uv_environment({"find-links": "/pip"}, {"UV_FIND_LINKS": "/mine"}) == {"UV_FIND_LINKS": "/mine"}


def test_missing_library_gives_the_one_apt_line() -> None:
    missing = bootstrap.missing_libraries(lambda library: library not in {"libGL.so.1", "libSM.so.6"})
    assert missing == ["libSM.so.6", "libGL.so.1"]
    assert bootstrap.apt_command(missing) == ["apt-get", "install", "-y", "--no-install-recommends", "libsm6", "libgl1"]


def test_can_load_tells_a_library_from_a_name() -> None:
    assert not bootstrap.can_load("libthere-is-no-such.so.9")


def test_another_python_is_refused_with_the_version_that_is_needed() -> None:
    with pytest.raises(NotReadyError, match=r"3\.13.*3\.11"):
        bootstrap.require_python((3, 13))


def test_folder_outside_git_is_refused_with_git_init(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="git init"):
        bootstrap.require_git(tmp_path)
    (tmp_path / ".git").mkdir()
    bootstrap.require_git(tmp_path)
    bootstrap.require_git(tmp_path / "folder")


def test_bootstrap_with_a_current_stamp_installs_nothing(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".venv").mkdir()
    (tmp_path / "requirements.txt").write_text("six==1.17.0\n")
    (tmp_path / ".venv" / bootstrap.STAMP).write_text(bootstrap.stamp_of(tmp_path / "requirements.txt"))
    bootstrap.bootstrap(tmp_path, {})
    assert not (tmp_path / ".venv" / "bin").exists()


def test_stamp_changes_with_a_pin(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text("six==1.17.0\n")
    before = bootstrap.stamp_of(pins)
    pins.write_text("six==1.16.0\n")
    assert bootstrap.stamp_of(pins) != before


def test_run_failing_command_is_named() -> None:
    with pytest.raises(NotReadyError, match="ended with code 3"):
        bootstrap.run([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.slow
def test_create_venv_half_made_is_repaired(tmp_path: Path) -> None:
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    python = bootstrap.create_venv(tmp_path / ".venv")
    subprocess.run([python, "-m", "pip", "--version"], check=True, timeout=600, capture_output=True)


def test_make_alone_lists_every_documented_target() -> None:
    out = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=True).stdout
    listed = {line.split()[1] for line in out.splitlines()}
    assert {"bootstrap", "demo", "test", "check", "ui", "plan", "doctor", "ci", "clean"} <= listed
