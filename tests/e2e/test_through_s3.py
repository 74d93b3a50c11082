"""How results of two projects are compared."""

import hashlib
from pathlib import Path

import yaml

from tests.e2e.through_s3 import differences


def project(root: Path, **files: str) -> Path:
    """A checkout whose only stage has made these files."""
    (root / "data" / "views").mkdir(parents=True)
    for name, content in files.items():
        (root / "data" / "views" / name).write_text(content)
    made = {"path": "data/views", "md5": hashlib.md5(repr(sorted(files.items())).encode()).hexdigest()}
    (root / "dvc.lock").write_text(yaml.safe_dump({"stages": {"render": {"outs": [made]}}}))
    return root


def test_differences_name_each_file_that_is_another_or_missing_and_its_stage(tmp_path: Path) -> None:
    one = project(tmp_path / "one", same="a", other="b", here="c")
    two = project(tmp_path / "two", same="a", other="x", there="c")
    assert differences(one, two) == [f"data/views/{name} (render)" for name in ("here", "other", "there")]
    assert differences(one, project(tmp_path / "three", same="a", other="b", here="c")) == []
