"""Reads all that a server says of itself into Python's descriptor pool, which refuses what is incomplete, and calls it.

Argument: the server's address. Prints one line for each service and its methods, and what a call with messages that were
made from the pool answers.
"""

import sys

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToJson
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def read_type(descriptor, seen):
    """Resolves every type that a message refers to, however deep."""
    if descriptor.full_name in seen:
        return
    seen.add(descriptor.full_name)
    for field in descriptor.fields:
        if field.message_type is not None:
            read_type(field.message_type, seen)
        if field.enum_type is not None:
            seen.add(field.enum_type.full_name)


def main(address):
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        seen = set()
        for name in sorted(database.get_services()):
            service = pool.FindServiceByName(name)
            for method in service.methods:
                read_type(method.input_type, seen)
                read_type(method.output_type, seen)
            print(name, " ".join(method.name for method in service.methods))
        for name in ("google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo", "tercet.v1.ErrorReason"):
            found = pool.FindEnumTypeByName(name) if name.endswith("Reason") else pool.FindMessageTypeByName(name)
            print(found.full_name, found.file.name)
        print(len([name for name in seen if name.startswith("tercet.v1.")]), "types")

        method = pool.FindServiceByName("tercet.v1.ItemService").FindMethodByName("ListChanges")
        request = GetMessageClass(method.input_type)(collection="c", inline_bytes=100)
        call = channel.unary_unary(
            "/tercet.v1.ItemService/ListChanges",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        print(MessageToJson(call(request), indent=None))


main(sys.argv[1])
