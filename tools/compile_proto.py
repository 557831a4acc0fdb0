"""Compile proto/caffe_subset.proto into the file descriptor that bnfold ships.

Run `python tools/compile_proto.py` after editing the schema; it needs grpcio-tools. With `--check`
nothing is written: the exit code is 1 if the shipped file is out of date.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto" / "caffe_subset.proto"
BINPB = ROOT / "bnfold" / "caffemodel" / "schema.binpb"


def compile_proto() -> bytes:
    from google.protobuf import descriptor_pb2
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "schema.binpb"
        arguments = ["protoc", f"-I{PROTO.parent}", f"--descriptor_set_out={target}", PROTO.name]
        if protoc.main(arguments) != 0:
            raise SystemExit(f"protoc could not compile {PROTO}")
        (file,) = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes()).file
    # json_name is what protoc versions disagree about; text and binary need none of it.
    for message in file.message_type:
        for field in message.field:
            field.ClearField("json_name")
    # A file by itself, not a set of one: a pool takes it as it is, and descriptor_pb2, which takes
    # 3 ms to import, is not needed to read it.
    return file.SerializeToString(deterministic=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    options = parser.parse_args()
    compiled = compile_proto()
    if BINPB.exists() and BINPB.read_bytes() == compiled:
        return 0
    if options.check:
        print(f"{BINPB} is out of date: run python tools/compile_proto.py", file=sys.stderr)
        return 1
    BINPB.write_bytes(compiled)
    print(f"wrote {BINPB} ({len(compiled)} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
