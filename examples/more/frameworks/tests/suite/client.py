"""A gRPC client that calls what it is told to: a JSON object per line in, and one per line out.

In:  {"target": "127.0.0.1:1", "path": "/package.Service/Method", "metadata": [["name", "value"]]}
Out: {"code": 0, "details": "", "metadata": [["name", "value"]], "response": "hexadecimal"}
     {"not_sent": "why the client refuses to send it"}
"""

import functools
import json
import os
import sys

# What it refuses to send, it would also log.
os.environ["GRPC_VERBOSITY"] = "NONE"

import grpc


@functools.cache
def channel(target):
    return grpc.insecure_channel(target, options=[("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0)])


def call(target, path, metadata):
    method = channel(target).unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
    response = b""
    try:
        response, ended = method.with_call(b"", metadata=metadata, timeout=20)
    except grpc.RpcError as error:
        ended = error
        if ended.details() == "Invalid metadata":
            return {"not_sent": ended.details()}
    fields = [*(ended.initial_metadata() or ()), *(ended.trailing_metadata() or ())]
    return {
        "code": ended.code().value[0],
        "details": ended.details() or "",
        "metadata": [[name, value if isinstance(value, str) else value.hex()] for name, value in fields],
        "response": response.hex(),
    }


for line in sys.stdin:
    print(json.dumps(call(**json.loads(line))), flush=True)
