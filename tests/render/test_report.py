from dataclasses import replace

import pytest

from render.enclosure import Enclosure
from render.errors import Unrenderable, importer_reason
from render.report import ObjectReport, check_usable

GOOD = ObjectReport(
    (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 12, 1, 1, (), (), False, 0, "as stored", Enclosure(0.0, 0.0, "", 0.0), None
)


def test_check_object_with_as_many_faces_as_allowed_passes_and_with_one_more_does_not() -> None:
    check_usable(GOOD, max_faces=12, missing_texture="reject", enclosed="keep")
    with pytest.raises(Unrenderable, match="12 faces; at most 11 are allowed"):
        check_usable(GOOD, max_faces=11, missing_texture="reject", enclosed="keep")


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (replace(GOOD, num_meshes=0, num_faces=0), "no faces: the file holds no mesh"),
        (replace(GOOD, num_faces=0), "no faces: the file holds only points or lines"),
        (replace(GOOD, num_faces=13), "13 faces; at most 12 are allowed"),
        (replace(GOOD, maximum=(float("nan"), 1.0, 1.0)), "vertices are not finite"),
        (replace(GOOD, missing_textures=("a", "b", "c", "d")), "4 textures ('a', 'b', 'c', ...) are missing"),
    ],
)
def test_check_bad_object_is_unrenderable_with_a_reason(report: ObjectReport, reason: str) -> None:
    with pytest.raises(Unrenderable) as error:
        check_usable(report, max_faces=12, missing_texture="reject", enclosed="keep")
    assert str(error.value).startswith(reason)


def test_check_missing_texture_is_rejected_or_kept_as_asked_and_hides_no_other_fault() -> None:
    untextured = replace(GOOD, missing_textures=("x.png",))
    with pytest.raises(Unrenderable, match=r"texture 'x.png' is missing"):
        check_usable(untextured, max_faces=12, missing_texture="reject", enclosed="keep")
    check_usable(untextured, max_faces=12, missing_texture="keep", enclosed="keep")
    with pytest.raises(Unrenderable, match="12 faces"):
        check_usable(untextured, max_faces=11, missing_texture="keep", enclosed="keep")


TRACEBACK = """Error: Python: Traceback (most recent call last):
  File "/somewhere/mesh.py", line 196, in do_primitives
    vert_locs = np.concatenate((vert_locs, vs[unique_indices]))
IndexError: index 9 is out of bounds
Location: /somewhere/bpy/__init__.py:109
"""


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            "Error: Missing resource, 'a b.bin'.\n",
            "the buffer 'a b.bin' is missing: put it where the file names it",
        ),
        ("Error: Bad glTF: no version\n", "Blender's importer refused the file: Bad glTF: no version"),
        (TRACEBACK, "Blender's importer refused the file: IndexError: index 9 is out of bounds"),
        (
            "Error: Extension KHR_texture_basisu is not available on this addon version\n",
            "needs the extension KHR_texture_basisu, which Blender's importer does not know; "
            "export the file without it",
        ),
        ("", "Blender's importer refused the file: no reason given"),
        (
            TRACEBACK.replace("IndexError: index 9 is out of bounds", "binascii.Error: Incorrect padding"),
            "Blender's importer refused the file: binascii.Error: Incorrect padding",
        ),
        (
            TRACEBACK.replace("IndexError: index 9 is out of bounds", "struct.error: too few bytes"),
            "Blender's importer refused the file: struct.error: too few bytes",
        ),
        (
            "Error: Parsing errors in Document (see Blender Console)\n",
            "Blender's importer refused the file: Parsing errors in Document",
        ),
        (
            "Error: Could not open USD archive for reading, see console for detail\n",
            "Blender's importer refused the file: Could not open USD archive for reading",
        ),
        ("Error: " + "n" * 5000, f"Blender's importer refused the file: {'n' * 300}..."),
    ],
)
def test_importer_reason_is_one_clear_line(message: str, reason: str) -> None:
    assert importer_reason(message) == reason
