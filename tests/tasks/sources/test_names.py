"""The uids that paths get: for the layouts of known data sets, for odd names, and when objects are added."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.artifacts.tables import check_uid
from tasks.sources.names import name_objects, plain_uid

LAYOUTS = {
    "ShapeNet": {
        "03001627/1006be65e7bc937e9141f9b58470d646/models/model_normalized.obj": "1006be65e7bc937e9141f9b58470d646",
        "03001627/1007e20d5e811b308351982a6e40cf41/models/model_normalized.obj": "1007e20d5e811b308351982a6e40cf41",
    },
    "OmniObject3D": {
        "anise/anise_001/Scan/Scan.obj": "anise_001",
        "anise/anise_002/Scan/Scan.obj": "anise_002",
    },
    "3D-FUTURE": {
        "0a1b/raw_model.obj": "0a1b",
        "2c3d/normalized_model.obj": "2c3d",
    },
    "GSO": {"Alarm_Clock/meshes/model.obj": "Alarm_Clock", "Shoe/meshes/model.obj": "Shoe"},
    "ABO": {"3dmodels/original/A/B01N2PLWIA.glb": "B01N2PLWIA", "3dmodels/original/L/B01N2PLWIL.glb": "B01N2PLWIL"},
    "Objaverse": {
        "glbs/000-000/000074a334c541878360457c672b6c2e.glb": "000074a334c541878360457c672b6c2e",
        "glbs/000-001/8476c4170df24cf5bbe6967222d1a42d.glb": "8476c4170df24cf5bbe6967222d1a42d",
    },
    "Sketchfab": {
        "red_mug/scene.gltf": "red_mug",
        "old car/source/car v2.obj": "car_v2",
        "hut/source/model.obj": "hut",
    },
    "YCB": {
        "002_master_chef_can/google_16k/textured.obj": "002_master_chef_can",
        "003_cracker_box/poisson/textured.obj": "003_cracker_box",
    },
    "Pix3D": {"model/bed/IKEA_HEMNES/model.obj": "IKEA_HEMNES", "model/sofa/IKEA_EKTORP/model_raw.obj": "IKEA_EKTORP"},
    "Kubric": {"Mug/visual_geometry.obj": "Mug", "Pan/visual_geometry.obj": "Pan"},
    "DTC": {"Basket_1/3d-asset.glb": "Basket_1", "Basket_2/3d-asset.glb": "Basket_2"},
    "Meshroom": {"shoe/texturedMesh.obj": "shoe", "hat/odm_texturing/odm_textured_model_geo.obj": "hat"},
    "plain": {"chair one.glb": "chair_one", "deep/er/lamp.OBJ": "lamp", "Café 1.glb": "Caf_1", "-a.glb": "-a"},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_name_layout_of_a_data_set_is_named_after_what_tells_its_objects_apart(layout: str) -> None:
    assert name_objects(LAYOUTS[layout]) == LAYOUTS[layout]
    for path, uid in LAYOUTS[layout].items():
        assert name_objects([path]) == {path: uid}, "alone it has the same uid"


def test_name_that_two_paths_share_goes_to_neither() -> None:
    uids = name_objects(["a/chair.glb", "b/chair.obj", "lamp.glb", "my chair (1).glb", "my chair [1].glb"])
    assert uids["lamp.glb"] == "lamp"
    assert len(set(uids.values())) == 5
    assert uids["a/chair.glb"].startswith("chair-")
    assert uids["b/chair.obj"].startswith("chair-")
    assert uids["my chair (1).glb"].startswith("my_chair_1_-")
    assert name_objects(["c/chair.glb", *uids]).items() >= uids.items(), "a third changes neither"


def test_name_given_before_stays_and_the_newcomer_gives_way() -> None:
    assert name_objects(["a/chair.glb", "chair.glb"], known={"a/chair.glb": "chair"}) == {
        "a/chair.glb": "chair",
        "chair.glb": name_objects(["chair.glb", "x/chair.glb"])["chair.glb"],
    }


@pytest.mark.parametrize(
    "name", ["椅子", "стул", "의자", "🪑", "צ'אייר", "chair 🪑", "الكرسي", "_", "()", "x" * 138, "椅" * 85, "é" * 100]
)
def test_name_of_which_little_would_be_left_ends_in_a_hash_of_itself(name: str) -> None:
    uid = plain_uid(name)
    check_uid(uid)
    assert uid[-9] == "-"
    assert uid != plain_uid(name + "1")
    assert name_objects([f"{name}.glb"]) == {f"{name}.glb": uid}


@pytest.mark.parametrize("name", ["Café", "Ångström 3", "의자"])
def test_name_is_the_same_composed_and_decomposed(name: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, f"{name}.glb") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert [*name_objects([composed]).values()] == [*name_objects([decomposed]).values()]
    assert len({*name_objects([composed, decomposed]).values()}) == 2


PATHS = st.lists(st.text("ab(/) .é椅-_", min_size=1, max_size=12), min_size=1, max_size=3).map("/".join)


@given(st.lists(PATHS, unique=True, max_size=20), PATHS)
def test_names_are_unique_and_fit_for_files_whatever_the_paths(paths: list[str], another: str) -> None:
    uids = name_objects(paths)
    assert len(set(uids.values())) == len(paths)
    for uid in uids.values():
        check_uid(uid)
    more = name_objects([*uids, another] if another not in uids else uids, known=uids)
    assert more.items() >= uids.items()
    assert len(set(more.values())) == len(more)
