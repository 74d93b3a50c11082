"""What a visitor says of where the object is: which mask belongs to which photo, and a box on a photo."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from models.data.grabcut import Box
from tasks.commands.uploads import Upload, named_apart

MASK_ENDINGS = ("_mask", "-mask", ".mask")


def with_hints(photos: Sequence[Upload], masks: Sequence[Upload], boxes: str) -> tuple[list[Upload], list[str]]:
    """Give each photo its mask and its box.

    Args:
        photos: The photos.
        masks: Files of masks, called like their photo or with `_mask` behind; one mask for one photo may have any name.
        boxes: A line for each box: the name of the photo, numbered where several are called so, and X0,Y0,X1,Y1 in
            pixels of the upright photo.

    Returns:
        The photos, those of equal names numbered, and a sentence for each mask and line that fits none.
    """
    mask_of, faults = _masks_by_photo([photo.name for photo in photos], masks)
    masked = named_apart([replace(photo, mask=mask_of.get(photo.name)) for photo in photos])
    box_of, more = _boxes_by_photo([photo.name for photo in masked], boxes)
    return [replace(photo, box=box_of.get(photo.name)) for photo in masked], faults + more


def _masks_by_photo(names: Sequence[str], masks: Sequence[Upload]) -> tuple[Mapping[str, Upload], list[str]]:
    if len(names) == len(masks) == 1:
        return {names[0]: masks[0]}, []
    found: dict[str, Upload] = {}
    faults = []
    for mask in masks:
        stem = Path(mask.name).stem
        stems = {stem, *(stem.removesuffix(ending) for ending in MASK_ENDINGS)}
        mine = [name for name in names if Path(name).stem in stems]
        if len(mine) == 1:
            found[mine[0]] = mask
        else:
            why = "none of the photos" if not mine else f"{len(mine)} of the photos"
            faults.append(f"the mask {mask.name} belongs to {why}: call it like its photo, such as front_mask.png")
    return found, faults


def _boxes_by_photo(names: Sequence[str], lines: str) -> tuple[Mapping[str, Box], list[str]]:
    found: dict[str, Box] = {}
    faults = []
    for line in filter(None, (line.strip() for line in lines.splitlines())):
        name, _, numbers = line.rpartition(" ")
        try:
            left, top, right, bottom = (float(number) for number in numbers.split(","))
        except ValueError:
            faults.append(f"the box {line[:100]!r} is none: write a photo's name, a blank, and X0,Y0,X1,Y1 in pixels")
            continue
        if name.strip() in names:
            found[name.strip()] = (left, top, right, bottom)
    return found, faults
