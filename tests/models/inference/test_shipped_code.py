"""A saved folder brings its code along: it loads, draws the same bits and is saved again without this project."""

import ast
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline

import models.inference.pipeline
from models.inference.bundling import bundle
from models.inference.pipeline import MVDiffusionPipeline
from models.network.multiview_unet import MultiViewUNet
from models.network.noise import build_scheduler
from tasks.training.model_card import USE
from tests.models.inference.hub import served
from tests.models.toy_models import NOISE, largest_difference, picture, toy_pipeline

ALLOWED = {"PIL", "diffusers", "numpy", "torch", "transformers"}
FILES = ("pipeline.py", "unet/multiview_unet.py")


@pytest.fixture(scope="module")
def pipeline() -> MVDiffusionPipeline:
    return toy_pipeline(build_scheduler(NOISE, "ddpm"))


@pytest.fixture(scope="module")
def folder(pipeline: MVDiffusionPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    pipeline.save_pretrained(folder)
    return folder


def drawn(pipeline: Any) -> torch.Tensor:
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    latents: torch.Tensor = pipeline(picture(0), num_inference_steps=2, generator=generator).latents
    return latents


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def packages_without(left_out: tuple[str, ...], folder: Path) -> Path:
    """Link the installed packages into a folder, without the named ones and without the path to this project."""
    folder.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.suffix != ".pth" and not path.name.lower().startswith(("__editable__", "mvdiffusion", *left_out)):
            (folder / path.name).symlink_to(path)
    return folder


FROM_HUB = """
import importlib.util
for custom in ({"custom_pipeline": "owner/name"}, {}):
    found = DiffusionPipeline.from_pretrained("owner/name", trust_remote_code=True, **custom)
    again = found(
        ["photo.png"], object_share=0.5, num_inference_steps=2, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(again.latents, views.latents)
assert not any(importlib.util.find_spec(name) for name in ("models", "tasks", "scipy", "pydantic"))
"""


@pytest.mark.slow
def test_model_card_loads_the_folder_and_the_hubs_where_only_diffusers_is_installed(
    pipeline: MVDiffusionPipeline, folder: Path, tmp_path: Path
) -> None:
    home = tmp_path / "elsewhere"
    (home / "path" / "to" / "this").mkdir(parents=True)
    (home / "path" / "to" / "this" / "folder").symlink_to(folder)
    picture(0).save(home / "photo.png")
    card = USE.format(most=3).split("```python\n")[1].split("```")[0]
    assert card.count("object_share=0.5") == 1
    program = card.replace("object_share=0.5", "object_share=0.5, num_inference_steps=2")
    program += "torch.save(views.latents, 'latents.pt')\npipeline.save_pretrained('again')\n" + FROM_HUB
    packages = packages_without(("scipy", "pydantic"), tmp_path / "packages")
    with served(folder) as address:
        done = subprocess.run(
            [sys.executable, "-S", "-P", "-c", program],
            cwd=home,
            env={
                "PYTHONPATH": str(packages),
                "HF_HOME": str(tmp_path / "cache"),
                "HF_ENDPOINT": address,
                "OMP_NUM_THREADS": str(torch.get_num_threads()),
                "PATH": os.environ["PATH"],
            }
            # Kernels for other processors round otherwise.
            | {name: os.environ[name] for name in ("ATEN_CPU_CAPABILITY",) if name in os.environ},
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )
    assert done.returncode == 0, done.stderr
    warned = [line for line in done.stderr.splitlines() if "Expected types" in line or "packages" in line]
    assert all(line.endswith("Run `pip install scipy`") for line in warned), warned
    generator = torch.Generator().manual_seed(0)
    wanted = pipeline([home / "photo.png"], object_share=0.5, num_inference_steps=2, generator=generator)
    assert torch.equal(torch.load(home / "latents.pt"), wanted.latents)
    assert (home / "view.png").exists()
    assert contents(home / "again") == contents(folder)


@pytest.mark.slow(seconds=1)
@pytest.mark.usefixtures("own_cache")
def test_folder_that_names_its_own_class_needs_no_custom_pipeline(
    pipeline: MVDiffusionPipeline, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    assert (index["_class_name"], index["unet"]) == (
        ["pipeline", "MVDiffusionPipeline"],
        ["multiview_unet", "MultiViewUNet"],
    )
    loaded = DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)
    assert type(loaded) is not MVDiffusionPipeline
    assert "Expected types" not in caplog.text
    assert torch.equal(drawn(loaded), drawn(pipeline))
    assert loaded.from_pipe(loaded).unet is loaded.unet
    half = loaded.to(torch.float16)
    half.save_pretrained(tmp_path / "half", variant="fp16")
    again = DiffusionPipeline.from_pretrained(
        tmp_path / "half", custom_pipeline=str(tmp_path / "half"), trust_remote_code=True, variant="fp16"
    )
    assert largest_difference(drawn(again), drawn(pipeline)) < 0.05
    ours = MVDiffusionPipeline.from_pretrained(tmp_path / "half", variant="fp16")
    assert (type(ours), type(ours.unet)) == (MVDiffusionPipeline, MultiViewUNet)


@pytest.mark.parametrize("place", ["models.network.multiview_unet", "models.multiview_unet"])
@pytest.mark.usefixtures("own_cache")
@pytest.mark.slow(seconds=2)
def test_folder_saved_by_earlier_versions_loads_where_the_project_is(
    pipeline: MVDiffusionPipeline, tmp_path: Path, place: str
) -> None:
    pipeline.save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    index |= {"_class_name": "MVDiffusionPipeline", "unet": [place, "MultiViewUNet"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    (tmp_path / "unet" / "multiview_unet.py").unlink()
    home = "models.pipeline" if place == "models.multiview_unet" else "models.inference.pipeline"
    (tmp_path / "pipeline.py").write_text(f"from {home} import MVDiffusionPipeline as MVDiffusionPipeline\n")
    through_diffusers = DiffusionPipeline.from_pretrained(
        tmp_path, custom_pipeline=str(tmp_path), trust_remote_code=True
    )
    for loaded in (through_diffusers, MVDiffusionPipeline.from_pretrained(tmp_path)):
        assert type(loaded) is MVDiffusionPipeline
        assert torch.equal(drawn(loaded), drawn(pipeline))


def test_code_in_the_folder_is_the_projects_own(folder: Path) -> None:
    kinds = (MVDiffusionPipeline, MultiViewUNet)
    for file, kind in zip(FILES, kinds, strict=True):
        text = (folder / file).read_text()
        assert text == bundle(kind)
        compile(text, file, "exec")
        defined = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)}
        assert kind.__name__ in defined
    source = Path(models.inference.pipeline.__file__).read_text()
    body = source[source.index("class MVDiffusionPipeline") :].split("\n\n\ndef ")[0].split("  # noqa")[0]
    assert body in (folder / "pipeline.py").read_text()


def test_code_in_the_folder_imports_what_a_user_of_diffusers_has(folder: Path) -> None:
    for file in FILES:
        tree = ast.parse((folder / file).read_text())
        found = {node.module.split(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom) and node.module}
        found |= {
            alias.name.split(".")[0] for node in tree.body if isinstance(node, ast.Import) for alias in node.names
        }
        assert found - set(sys.stdlib_module_names) <= ALLOWED
        assert not any(
            line.strip().startswith(("from models", "import models")) for line in ast.unparse(tree).splitlines()
        )


def write_package(folder: Path, files: dict[str, str]) -> None:
    (folder / "made").mkdir()
    for name, text in ({"__init__": ""} | files).items():
        (folder / "made" / f"{name}.py").write_text(text)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "made"]:
        del sys.modules[name]


def bundled(module: str) -> str:
    imported = __import__(f"made.{module}", fromlist=["Root"])
    return bundle(imported.Root)


def test_bundle_takes_what_is_reachable_and_nothing_else(made: Path) -> None:
    write_package(
        made,
        {
            "tools": "import json\nimport scipy.ndimage\n\n# of an inch\nLIMIT, OTHER = 3, 4\n'''Inches.'''\n\n\n"
            "def used(x: int) -> int:\n    return x + LIMIT\n\n\ndef unused() -> str:\n    return json.dumps(1)\n",
            "root": "# Shapes: B one\n\nimport math\n\nfrom made.tools import unused, used\n\n\n"
            "def decorate(kind: type) -> type:\n    return kind\n\n\n"
            "@decorate\nclass Root:\n    def __call__(self) -> float:\n        return math.sqrt(used(1))\n",
        },
    )
    text = bundled("root")
    assert [word in text for word in ("# of an inch", "Inches.", "# Shapes: B one", "@decorate", "import math")] == [
        True
    ] * 5
    assert [word in text for word in ("unused", "json", "scipy", "from made")] == [False] * 4
    (made / "alone.py").write_text(text)
    alone = __import__("alone")
    assert alone.Root()() == 2
    assert text == alone.CODE


@pytest.mark.parametrize(
    ("root", "sentence"),
    [
        (
            "from made.tools import LIMIT\nfrom made.more import thing\n\nROOT = LIMIT\n",
            "LIMIT is defined in made.tools and in made.more",
        ),
        ("from made import tools\n\nthing, ROOT = 1, tools\n", "made.root uses tools, a module or a renamed import"),
        (
            "from made.tools import LIMIT as MOST\n\nthing, ROOT = 1, MOST\n",
            "made.root uses MOST, a module or a renamed import",
        ),
    ],
)
def test_bundle_of_what_one_file_cannot_hold_is_refused(made: Path, root: str, sentence: str) -> None:
    write_package(
        made,
        {
            "tools": "LIMIT = 3\n",
            "more": "LIMIT = 4\n\n\ndef thing() -> int:\n    return LIMIT\n",
            "root": root + "\n\nclass Root:\n    limit = (thing, ROOT)\n",
        },
    )
    with pytest.raises(ValueError, match=sentence):
        bundled("root")
