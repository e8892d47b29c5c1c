"""The protocol over gRPC: the extra `grpc`."""
