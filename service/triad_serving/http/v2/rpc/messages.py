"""The protocol's messages, made from its descriptor.

In a pool of their own: generated code would share one with a client library that a process may have beside it
(tritonclient), which defines the same names; and it would be bound to releases of protobuf.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

DESCRIPTOR = Path(__file__).with_name("open_inference.binpb")
SERVICE = "inference.GRPCInferenceService"


def load_messages() -> dict[str, Any]:
    """Each message's class, by its name."""
    described = FileDescriptorSet.FromString(DESCRIPTOR.read_bytes())
    pool = DescriptorPool()
    for file in described.file:
        pool.AddSerializedFile(file.SerializeToString())
    names = [message.name for file in described.file for message in file.message_type]
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"inference.{name}")) for name in names}
