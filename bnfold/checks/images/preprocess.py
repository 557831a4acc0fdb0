"""From pixels to what a network is fed, as Caffe does it.

    x = (pixel * raw_scale / 255 - mean) * scale

- The image is resized as 8-bit pixels with OpenCV's bilinear filter (BVLC caffe, src/caffe/util/
  io.cpp, `ReadImageToCVMat`), then cropped in the middle, at `(size - crop) / 2` rounded down,
  and a mean image is cropped at the same place (src/caffe/data_transformer.cpp, `Transform` in
  TEST).
- `scale` comes after the mean there; so does `input_scale` in python/caffe/io.py,
  `Transformer.preprocess`, which has a `raw_scale` before the mean. pycaffe loads images as 0..1,
  where a `raw_scale` of 255 stands for pixels as they are; so it does here, and it is the default.
- The mean is in the order of the network's channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bnfold.aliases import ArrayShape, Floats
from bnfold.checks.images.pixels import Pixels, fit_channels, need_cv2
from bnfold.deploying.phases import read_net
from bnfold.deploying.preprocessing import layer_options
from bnfold.errors import BnfoldError
from bnfold.mean_image import read_mean
from bnfold.preprocess_options import PreprocessOptions, Size
from bnfold.prototxt import load


def model_options(model: Path) -> PreprocessOptions:
    """What the `transform_param`s of a prototxt's TEST phase say, or TRAIN where it has only that.

    A mean file is looked for in the working folder, as Caffe does, and then beside the model.
    `mirror` is left aside: it is an augmentation.

    Raises:
        PrototxtError: the prototxt is malformed.
        BnfoldError: two layers say different things.
    """
    found = [
        layer_options(layer, model)
        for layer in read_net(load(model))[0].layers
        if layer.text.get("transform_param")
    ]
    if any(options != found[0] for options in found):
        raise BnfoldError(
            f"{model}: its layers have different transform_params; keep the one to be used"
        )
    return found[0] if found else PreprocessOptions()


@dataclass(frozen=True, eq=False)
class Preprocess:
    """Preprocessing with nothing left open. Call it with an image.

    Attributes:
        channels: of the network's input.
        resize: (height, width), (side,) for the shorter side, or None to leave the size alone.
        crop: (height, width) of the middle, or None.
        rgb: whether channels are turned from BGR to RGB.
        raw_scale, scale: see the formula at the top of this module.
        mean: float32, (channels, 1, 1) or (channels, height, width); None for no mean.
    """

    channels: int
    resize: Size | None = None
    crop: Size | None = None
    rgb: bool = False
    raw_scale: float = 255.0
    scale: float = 1.0
    mean: Floats | None = None

    @classmethod
    def of(
        cls, options: PreprocessOptions, shape: ArrayShape, model: Path | None = None
    ) -> Preprocess:
        """The preprocessing for an input of a network.

        Without a size in the options, images are resized to the input's height and width; those
        that are resized to something else are cropped to it; with a crop alone they are not
        resized.

        Args:
            options: what the user asks for.
            shape: the input's shape, (images, channels, height, width); () if the file has none.
            model: the prototxt, whose `transform_param` is the default; None for no such default.

        Raises:
            BnfoldError: the input takes no images, the options do not fit it, or a mean file
                cannot be read.
        """
        if shape and len(shape) != 4:
            size = "x".join(map(str, shape))
            raise BnfoldError(f"the network's input is {size}, not images (N x C x H x W)")
        if model is not None:
            options = options.completed_by(model_options(model))
        channels = shape[1] if shape else 1 if options.gray else 3
        if options.gray is not None and options.gray != (channels == 1):
            got = "gray images have 1 channel" if options.gray else "color images have 3"
            raise BnfoldError(f"the network takes {channels} channels, and {got}")
        rgb = options.channel_order == "rgb"
        if options.channel_order and channels not in (1, 3):
            raise BnfoldError(f"the network takes {channels} channels; bgr and rgb are for 3")
        resize, crop = options.resize, _full(options.crop)
        if shape:
            resize, crop = _fit(resize, crop, shape[2:])
        return cls(
            channels,
            resize,
            crop,
            rgb,
            255.0 if options.raw_scale is None else options.raw_scale,
            1.0 if options.scale is None else options.scale,
            _mean(options, channels),
        )

    def __call__(self, pixels: Pixels) -> Floats:
        """Preprocess one image.

        Args:
            pixels: height x width x channels, uint8 or float32, gray, BGR or BGR with alpha.

        Returns:
            float32, channels x height x width, contiguous.

        Raises:
            BadImageError: it has a number of channels that the network cannot take.
            BnfoldError: it is smaller than the crop, or the mean image is of another size.
        """
        pixels = self._resized(fit_channels(pixels, self.channels))
        whole = pixels.shape[:2]
        top, left = 0, 0
        if self.crop is not None:
            top, left = (whole[0] - self.crop[0]) // 2, (whole[1] - self.crop[1]) // 2
            if top < 0 or left < 0:
                raise BnfoldError(
                    f"the image is {_words(whole)} and the crop {_words(self.crop)}; resize images "
                    "to at least the crop's size"
                )
            pixels = pixels[top : top + self.crop[0], left : left + self.crop[1]]
        if self.rgb and self.channels == 3:
            pixels = pixels[:, :, ::-1]
        values = np.array(pixels.transpose(2, 0, 1), np.float32, order="C")
        if self.raw_scale != 255:
            values *= np.float32(self.raw_scale / 255)
        if self.mean is not None:
            values -= self._mean_at(whole, values.shape[1:], top, left)
        if self.scale != 1:
            values *= np.float32(self.scale)
        return values

    def _resized(self, pixels: Pixels) -> Pixels:
        if self.resize is None:
            return pixels
        height, width = pixels.shape[:2]
        size = self.resize
        if len(size) == 1:
            short = min(height, width)
            # The longer side, to the nearest pixel.
            size = tuple((2 * side * size[0] + short) // (2 * short) for side in (height, width))
        if size == (height, width):
            return pixels
        cv2 = need_cv2()
        resized: Pixels = cv2.resize(np.ascontiguousarray(pixels), (size[1], size[0]))
        return resized.reshape(*size, -1)

    def _mean_at(self, whole: Size, size: Size, top: int, left: int) -> Floats:
        assert self.mean is not None
        shape = self.mean.shape[1:]
        if shape in ((1, 1), size):
            return self.mean
        if shape == whole:
            return self.mean[:, top : top + size[0], left : left + size[1]]
        raise BnfoldError(
            f"the mean image is {_words(shape)}, and the image {_words(whole)}, cropped to "
            f"{_words(size)}; resize images to the size of the mean, and crop them"
        )


def _full(crop: Size | None) -> Size | None:
    return crop * 2 if crop is not None and len(crop) == 1 else crop


def _fit(resize: Size | None, crop: Size | None, wanted: Size) -> tuple[Size | None, Size | None]:
    """The resize and crop that end in the input's size."""
    if resize is None and crop is None:
        return wanted, None
    if crop is None and resize != wanted:
        crop = wanted
    result = crop or resize
    if result != wanted:
        assert result is not None
        raise BnfoldError(
            f"the preprocessing gives images of {_words(result)}, and the network takes "
            f"{_words(wanted)}; crop or resize them to that"
        )
    return resize, crop


def _mean(options: PreprocessOptions, channels: int) -> Floats | None:
    if options.mean_file is not None:
        mean = read_mean(options.mean_file)
        if mean.shape[0] != channels:
            raise BnfoldError(
                f"{options.mean_file}: the mean has {mean.shape[0]} channels, and the network "
                f"takes {channels}; give the mean of its own training set"
            )
        return mean
    if options.mean_value is None:
        return None
    if len(options.mean_value) not in (1, channels):
        raise BnfoldError(
            f"{len(options.mean_value)} mean values for {channels} channels; give one for all or "
            "one for each"
        )
    values = np.asarray(options.mean_value, np.float32).reshape(-1, 1, 1)
    return np.broadcast_to(values, (channels, 1, 1))


def _words(size: Size) -> str:
    return "x".join(map(str, size))
