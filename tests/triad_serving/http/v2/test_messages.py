"""The descriptor that is shipped is that of the .proto beside it."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

from triad_serving.http.v2.rpc.messages import DESCRIPTOR


def test_the_descriptor_is_that_of_the_proto_file(tmp_path: Path) -> None:
    made = tmp_path / "made.binpb"
    folder = DESCRIPTOR.parent
    arguments = ["protoc", f"-I{folder}", f"--descriptor_set_out={made}", "open_inference.proto"]
    assert protoc.main(arguments) == 0
    assert FileDescriptorSet.FromString(made.read_bytes()) == FileDescriptorSet.FromString(
        DESCRIPTOR.read_bytes()
    )
