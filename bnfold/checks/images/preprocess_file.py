"""Preprocessing options from a TOML file: the options of the command line, without the dashes.

scale = 0.017
mean-value = [103.94, 116.78, 123.68]
resize = 256
crop = "224x224"
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bnfold.errors import BnfoldError
from bnfold.preprocess_options import ORDERS, PreprocessOptions, Size, parse_size
from bnfold.whole import read_whole

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]


def read_options(path: Path) -> PreprocessOptions:
    """Read a TOML file of preprocessing options.

    The path of a mean file is relative to the TOML file.

    Raises:
        BnfoldError: it cannot be read, or has an unknown key or a value of a wrong kind; the
            message names the line.
    """
    try:
        text = read_whole(path).decode("utf-8")
    except OSError as error:
        raise BnfoldError(f"{path}: {error.strerror}; check the path") from None
    except UnicodeDecodeError:
        raise BnfoldError(f"{path}: not UTF-8; is it a TOML file?") from None
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise BnfoldError(f"{path}: nested too deeply; is it a file of options?") from None
    # Besides its own error, the parser lets through what int() says of a number of 5,000 digits.
    except ValueError as error:
        raise BnfoldError(f"{path}: {error}") from None
    given: dict[str, Any] = {}
    for key, value in table.items():
        where = f"{path}:{_line(text, key)}"
        name = key.replace("_", "-")
        if name not in _READERS:
            raise BnfoldError(f"{where}: unknown key '{key}'; there are {', '.join(_READERS)}")
        reader, wanted = _READERS[name]
        try:
            given[name.replace("-", "_")] = reader(value)
        except (ValueError, TypeError, OverflowError):
            raise BnfoldError(f"{where}: {key}: give {wanted}") from None
    if "mean_file" in given:
        given["mean_file"] = path.parent / given["mean_file"]
    try:
        return PreprocessOptions(**given)
    except BnfoldError as error:
        raise BnfoldError(f"{path}: {error}") from None


def _line(text: str, key: str) -> int:
    """The line on which a key of the top level first stands."""
    pattern = re.compile(rf"\s*\[?\s*['\"]?{re.escape(key)}['\"]?\s*[=.\]]")
    found = (number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line))
    return next(found, 1)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError
    return float(value)


def _numbers(value: Any) -> tuple[float, ...]:
    values = tuple(_number(item) for item in (value if isinstance(value, list) else [value]))
    if not values:
        raise ValueError
    return values


def _size(value: Any) -> Size:
    if isinstance(value, list):
        return parse_size("x".join(str(_whole(item)) for item in value))
    return parse_size(value if isinstance(value, str) else str(_whole(value)))


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _word(value: Any) -> str:
    if value not in ORDERS:
        raise ValueError
    return str(value)


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise TypeError
    return Path(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


_READERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "mean-value": (_numbers, "a number, or a list of one number for each channel"),
    "mean-file": (_path, "the path of a .binaryproto or .npy file"),
    "scale": (_number, "a number"),
    "raw-scale": (_number, "a number"),
    "resize": (_size, '"HEIGHTxWIDTH", or one number for the shorter side'),
    "crop": (_size, '"HEIGHTxWIDTH", or one number for a square'),
    "channel-order": (_word, '"bgr" or "rgb"'),
    "gray": (_truth, "true or false"),
}
