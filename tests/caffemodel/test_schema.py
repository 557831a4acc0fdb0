"""The compiled schema: up to date, and apart from everyone else's."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_shipped_descriptors_are_those_of_the_proto():
    pytest.importorskip("grpc_tools")
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools" / "compile_proto.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    message = "run python tools/compile_proto.py"
    assert tool.BINPB.read_bytes() == tool.compile_proto(), message


STRANGER = """
from google.protobuf import descriptor_pb2, descriptor_pool
for name, package in (("caffe.proto", "caffe"), ("caffe_subset.proto", "bnfold.caffe")):
    file = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto2")
    message = file.message_type.add(name="NetParameter")
    message.field.add(name="else", number=1, type=5, label=1)
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
"""
OURS = """
from bnfold.caffemodel import schema
assert schema.message("NetParameter")(name="n").SerializeToString() == b"\\n\\x01n"
"""


@pytest.mark.parametrize("program", [STRANGER + OURS, OURS + STRANGER], ids=["after", "before"])
def test_another_caffe_proto_may_live_in_the_same_process(program):
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_importing_the_room_does_not_import_protobuf():
    program = "import sys, bnfold.caffemodel; sys.exit('google.protobuf' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
