"""What is on images, by VOC's XML files or COCO's JSON, and the labels of a detection network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree

from bnfold.aliases import PathLike
from bnfold.checks.images.sources import Sample
from bnfold.errors import BnfoldError
from bnfold.prototxt import PrototxtError, parse
from bnfold.whole import read_whole

Box = tuple[float, float, float, float]
"""Left, top, width, height."""

WidthHeight = tuple[int, int]
_BACKGROUND = ("background", "__background__", "none_of_the_above")


@dataclass(frozen=True)
class Thing:
    """An annotated object.

    Attributes:
        category: a number for its class.
        box: in pixels.
        area: in square pixels.
        ignored: whether it neither counts nor harms: a crowd of COCO's, VOC's difficult.
    """

    category: int
    box: Box
    area: float
    ignored: bool = False


@dataclass(frozen=True)
class Label:
    """A label of the network: its number, and the names that annotations may use for it."""

    number: int
    names: tuple[str, ...]


class Truth(Protocol):
    """The annotations of a set of images."""

    def of(self, sample: Sample, size: WidthHeight) -> tuple[WidthHeight, Sequence[Thing]]:
        """The size (height, width) that an image's boxes are measured in, and what is on it.

        Raises:
            BnfoldError: there is no annotation of it, or one that cannot be read.
        """
        ...

    def category(self, label: int) -> int:
        """The category that a label of the network stands for."""
        ...


def open_truth(annotations: PathLike | None, labelmap: PathLike | None) -> Truth:
    """Open annotations.

    Args:
        annotations: a folder of VOC's XML files, named as the images are, or COCO's JSON file;
            None where the list of images names an XML file for each.
        labelmap: the names of the labels; needed for VOC. COCO's category ids are taken for the
            labels without one.

    Raises:
        BnfoldError: a file cannot be read, or is of another form.
    """
    labels = None if labelmap is None else read_labelmap(Path(labelmap))
    path = None if annotations is None else Path(annotations)
    if path is not None and not path.is_dir():
        return CocoTruth(path, labels)
    if labels is None:
        what = "a detection network" if path is None else f"{path}: VOC's XML files"
        raise BnfoldError(
            f"{what}: which label has which name is needed; give --annotations and --labelmap"
        )
    return VocTruth(path, labels)


def read_labelmap(path: Path) -> list[Label]:
    """Read the names of a network's labels.

    Args:
        path: SSD's labelmap (`item { name: "n02" label: 1 display_name: "cat" }`), or a text file
            with one name a line. There the first name has label 1, or 0 if it is "background".

    Raises:
        BnfoldError: it is neither, or a name or label stands twice.
    """
    try:
        text = read_whole(path).decode("utf-8-sig")
    except OSError as error:
        raise BnfoldError(f"{path}: {error.strerror}; check the path of the labelmap") from None
    except UnicodeDecodeError:
        raise BnfoldError(f"{path}: not UTF-8; give a labelmap") from None
    if "{" in text:
        try:
            labels = _read_items(path, text)
        except PrototxtError as error:
            raise BnfoldError(str(error)) from None
    else:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        first = 0 if lines and lines[0].lower() in _BACKGROUND else 1
        labels = [Label(number, (name,)) for number, name in enumerate(lines, first)]
    if not labels:
        raise BnfoldError(f"{path}: there are no labels in it")
    numbers: set[int] = set()
    for label in labels:
        if label.number in numbers:
            raise BnfoldError(f"{path}: label {label.number} stands twice; keep one")
        numbers.add(label.number)
    _by_name(path, labels)
    return labels


def _read_items(path: Path, text: str) -> list[Label]:
    labels = []
    for item in parse(text, str(path)).root.all("item"):
        message = item.message()
        names = [message.get("name"), message.get("display_name")]
        number = message.get("label")
        if number is None:
            raise item.error("it has no label; add `label: N`")
        labels.append(Label(number.integer(), tuple(n.string() for n in names if n is not None)))
    return labels


def _by_name(path: Path, labels: Sequence[Label]) -> dict[str, int]:
    """Labels by their names; several labels may share a display name, which then names none."""
    found: dict[str, int] = {}
    for label in labels:
        if label.names and found.setdefault(label.names[0], label.number) != label.number:
            raise BnfoldError(f"{path}: the name '{label.names[0]}' stands twice; keep one")
    for label in labels:
        for name in label.names[1:]:
            found.setdefault(name, label.number)
    return found


class VocTruth:
    """One XML file for each image, of the image's name.

    Boxes are taken as SSD's tools take them: xmin to xmax, without a pixel added.
    """

    def __init__(self, folder: Path | None, labels: Sequence[Label]) -> None:
        self._folder = folder
        self._labels = _by_name(folder or Path(), labels)

    def category(self, label: int) -> int:
        """The label itself."""
        return label

    def of(self, sample: Sample, size: WidthHeight) -> tuple[WidthHeight, Sequence[Thing]]:
        """See Truth."""
        path = sample.annotation
        if path is None:
            if self._folder is None:
                raise BnfoldError(f"{sample.name}: no annotation is named; give --annotations")
            path = self._folder / f"{Path(sample.name).stem}.xml"
        try:
            root = ElementTree.fromstring(read_whole(path))
            size = self._size(root) or size
            return size, [self._thing(thing) for thing in root.iterfind("object")]
        except OSError as error:
            raise BnfoldError(
                f"{path}: {error.strerror}; the image {sample.name} has no annotation"
            ) from None
        except (ElementTree.ParseError, ValueError, OverflowError) as error:
            raise BnfoldError(f"{path}: not an annotation of VOC's kind: {error}") from None

    def _size(self, root: ElementTree.Element) -> WidthHeight | None:
        sides = [int(root.findtext(f"size/{name}") or 0) for name in ("height", "width")]
        return (sides[0], sides[1]) if min(sides) > 0 else None

    def _thing(self, element: ElementTree.Element) -> Thing:
        name = (element.findtext("name") or "").strip()
        if name not in self._labels:
            raise ValueError(f"its class '{name}' is not in the labelmap")
        sides = [element.findtext(f"bndbox/{s}") for s in ("xmin", "ymin", "xmax", "ymax")]
        if None in sides:
            raise ValueError(f"the box of '{name}' lacks a side")
        left, top, right, bottom = (float(side or "") for side in sides)
        box = (left, top, right - left, bottom - top)
        difficult = int(element.findtext("difficult") or 0) != 0
        return Thing(self._labels[name], box, box[2] * box[3], difficult)


class CocoTruth:
    """COCO's JSON file; images are found by their path in it, or by its last part."""

    def __init__(self, path: Path, labels: Sequence[Label] | None) -> None:
        self._path = path
        try:
            data = json.loads(read_whole(path))
            categories = {str(c["name"]): int(c["id"]) for c in data["categories"]}
            self._images = {str(i["file_name"]): _coco_image(i) for i in data["images"]}
            self._things: dict[Any, list[Thing]] = {}
            for entry in data["annotations"]:
                self._things.setdefault(entry["image_id"], []).append(_coco_thing(entry))
        except OSError as error:
            raise BnfoldError(f"{path}: {error.strerror}; check the annotations' path") from None
        except KeyError as error:
            raise BnfoldError(f"{path}: not COCO's JSON: the key {error} is missing") from None
        except RecursionError:
            raise BnfoldError(f"{path}: not COCO's JSON: nested too deeply") from None
        except (ValueError, TypeError, AttributeError, OverflowError) as error:
            raise BnfoldError(f"{path}: not COCO's JSON: {error}") from None
        self._last_parts: dict[str, Any] = {}
        for name, image in self._images.items():
            self._last_parts[Path(name).name] = image
        self._categories = None if labels is None else _match(path, labels, categories)

    def category(self, label: int) -> int:
        """The category id of a label."""
        if self._categories is None:
            return label
        if label not in self._categories:
            raise BnfoldError(
                f"{self._path}: label {label} of the network has no category; complete the labelmap"
            )
        return self._categories[label]

    def of(self, sample: Sample, size: WidthHeight) -> tuple[WidthHeight, Sequence[Thing]]:
        """See Truth."""
        image = self._images.get(sample.name) or self._last_parts.get(Path(sample.name).name)
        if image is None:
            raise BnfoldError(f"{self._path}: the image {sample.name} is not in it")
        key, its_size = image
        return its_size or size, self._things.get(key, [])


def _coco_image(entry: Any) -> tuple[Any, WidthHeight | None]:
    """The id of an image, and its size where it is told."""
    key, height, width = entry["id"], entry.get("height"), entry.get("width")
    hash(key)
    return key, (int(height), int(width)) if height and width else None


def _coco_thing(entry: Any) -> Thing:
    left, top, width, height = (float(side) for side in entry["bbox"])
    area = float(entry.get("area") or width * height)
    box = (left, top, width, height)
    return Thing(int(entry["category_id"]), box, area, bool(entry.get("iscrowd")))


def _match(path: Path, labels: Sequence[Label], categories: dict[str, int]) -> dict[int, int]:
    """Category ids by labels: a name of a label is a category's name, or its id (as in SSD's)."""
    ids = {str(number): number for number in categories.values()}
    found = {}
    for label in labels:
        for name in reversed(label.names):  # the display name is the one for people, as COCO's are
            number = categories.get(name, ids.get(name))
            if number is not None:
                found[label.number] = number
                break
    if not found:
        raise BnfoldError(f"{path}: none of its categories is in the labelmap")
    return found
