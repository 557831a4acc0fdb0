"""What Caffe's last words say.

Caffe checks with glog: a check that fails logs a line that begins with F, prints a stack trace and
aborts the process. Before that, protobuf may have logged what it could not parse, and Caffe, where
it was built with its INFO log, which layer it was busy with (BVLC caffe, src/caffe/net.cpp,
`Net::Init`; glog, the "Log Line Prefix" of its manual).
"""

from __future__ import annotations

import re
from typing import NamedTuple

_LINE = re.compile(r"^[IWEF]\d{4,8} [\d:.]+ +\d+ ([^:\s]+:\d+)\] ?(.*)$")
_CHECK = re.compile(r"^Check failed: (.*)$", re.DOTALL)
_VALUES = re.compile(r"^(.*? \([^()]* vs\. [^()]*\)) *(.*)$", re.DOTALL)
_NAMED = re.compile(r"layer '([^']+)'|\(layer '([^']+)'|for layer (\S+?)\.?$")
_BUSY = re.compile(r"^(?:Creating Layer|Setting up) (\S+)$")
_PROTOBUF = re.compile(r"^\[libprotobuf ERROR [^\]]*\] (.*)$")
_KNOWN_TYPES = re.compile(r" \(known types: .*")
_COUNT = re.compile(r"^count_ == proto\.(?:double_)?data_size\(\) \((\d+) vs\. (\d+)\)")
_READ = re.compile(r"^ReadProtoFrom(?:Text|Binary)File\(.*?\) (Failed to parse .*)$")


class LastWords(NamedTuple):
    """Why Caffe aborted.

    Attributes:
        reason: in one line; None if the log does not tell.
        layer: the layer that Caffe named or was busy with, if any.
        is_unparsed: whether it could not even parse a file, so that no layer is to blame.
    """

    reason: str | None
    layer: str | None
    is_unparsed: bool = False


def last_words(log: str) -> LastWords:
    """Find in a log why the process aborted; a reason of None if it does not tell.

    >>> last_words("F1122 01:02:03.4 99 a.hpp:81] Check failed: n == 1 (0 vs. 1) No such thing")
    LastWords(reason='No such thing', layer=None, is_unparsed=False)
    """
    reason = busy = parse_error = None
    for text in log.splitlines():
        if match := _PROTOBUF.match(text):
            parse_error = match[1]
        if not (match := _LINE.match(text)):
            continue
        place, said = match[1], match[2].strip()
        if match := _BUSY.match(said):
            busy = match[1]
        elif said.startswith("Network initialization done"):
            busy = None
        if text.startswith("F"):
            reason = _sentence(said, place)
    if reason is None:
        return LastWords(None, busy)
    if reason.startswith("Failed to parse"):
        details = f" ({parse_error.strip()})" if parse_error else ""
        return LastWords(reason + details, None, is_unparsed=True)
    named = _NAMED.search(reason)
    layer = next(filter(None, named.groups()), None) if named else busy
    return LastWords(reason, layer)


def _sentence(said: str, place: str) -> str:
    """The words for people in a failed check, or the check itself with its place in the source."""
    said = _KNOWN_TYPES.sub("", said)
    # Caffe's advice for fine-tuning does not help here.
    said = said.split(". To learn this layer's")[0]
    check = _CHECK.match(said)
    if not check:
        return said
    if read := _READ.match(check[1]):
        return read[1]
    if count := _COUNT.match(check[1]):
        return (
            f"a blob takes {count[1]} values, and the file has {count[2]} in the forms that this "
            "Caffe reads (float16 is not one of them)"
        )
    values = _VALUES.match(check[1])
    if values and values[2]:
        return values[2]
    # A condition without values may have words after it, but nothing marks where they begin.
    return f"the check at {place} failed: {check[1]}"
