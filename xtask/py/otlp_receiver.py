"""An OTLP receiver made of the official Python message types and grpcio, over HTTP and gRPC, that does
as it is told: accept, delay, refuse, throttle, accept in part, drop connections, hang.

One JSON object per line in, one out:
    {"do": "listen", "cert"?, "key"?, "client_ca"?, "http"?, "grpc"?}   {"http": port, "grpc": port}
    {"do": "behave", "next": [behaviour...], "then": behaviour}         {}
    {"do": "take"}    {"requests": all so far, "exports": [accepted since the last time...]}
A behaviour is {"how": "accept" | "delay" | "status" | "partial" | "drop" | "hang" | "huge", ...}.
"""

import gzip
import json
import math
import ssl
import sys
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as service_grpc

LOCK = threading.Lock()
STATE = {"next": [], "then": {"how": "accept"}, "requests": 0, "exports": []}
ACCEPT = {"how": "accept"}
FOREVER = 3600


def behaviour():
    with LOCK:
        STATE["requests"] += 1
        return STATE["next"].pop(0) if STATE["next"] else STATE["then"]


def number(value):
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


def any_value(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [any_value(each) for each in value.array_value.values]
    return number(getattr(value, kind)) if kind else None


def attributes(pairs):
    return {pair.key: any_value(pair.value) for pair in pairs}


def scalar(point):
    return number(getattr(point, point.WhichOneof("value")))


def exemplar(one):
    return {
        "value": scalar(one),
        "time": one.time_unix_nano,
        "trace_id": one.trace_id.hex(),
        "span_id": one.span_id.hex(),
        "attributes": attributes(one.filtered_attributes),
    }


def values(kind, point):
    if kind in ("sum", "gauge"):
        return {"value": scalar(point)}
    told = {"count": point.count, "sum": number(point.sum)}
    for name in ("min", "max"):
        if point.HasField(name):
            told[name] = number(getattr(point, name))
    if kind == "histogram":
        told["counts"] = list(point.bucket_counts)
        told["bounds"] = list(point.explicit_bounds)
    else:
        told["scale"] = point.scale
        told["zero_count"] = point.zero_count
        for name in ("positive", "negative"):
            buckets = getattr(point, name)
            told[name] = {"offset": buckets.offset, "counts": list(buckets.bucket_counts)}
    return told


def points(request):
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                data = getattr(metric, kind)
                for point in data.data_points:
                    yield {
                        "scope": scope.scope.name,
                        "name": metric.name,
                        "unit": metric.unit,
                        "kind": kind,
                        "monotonic": getattr(data, "is_monotonic", False),
                        "temporality": getattr(data, "aggregation_temporality", 0),
                        "attributes": attributes(point.attributes),
                        "start": point.start_time_unix_nano,
                        "time": point.time_unix_nano,
                        "exemplars": [exemplar(each) for each in point.exemplars],
                        **values(kind, point),
                    }


def accepted(transport, request, headers, encoding):
    resources = [attributes(each.resource.attributes) for each in request.resource_metrics]
    export = {
        "transport": transport,
        "headers": headers,
        "encoding": encoding,
        "resources": resources,
        "points": list(points(request)),
    }
    with LOCK:
        STATE["exports"].append(export)


def response(how):
    answer = service.ExportMetricsServiceResponse()
    if how["how"] == "partial":
        answer.partial_success.rejected_data_points = how["rejected"]
        answer.partial_success.error_message = how.get("message", "")
    return answer


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        how = behaviour()
        kind = how["how"]
        if kind == "drop":
            self.close_connection = True
            self.connection.close()
            return
        if kind in ("hang", "delay"):
            time.sleep(how.get("seconds", FOREVER))
        if kind == "status":
            return self.answer(how["code"], how.get("message", "").encode(), how)
        if kind == "huge":
            return self.answer(how.get("code", 200), b"x" * how["bytes"], how)
        encoding = self.headers.get("content-encoding", "identity")
        if self.path != how.get("path", "/v1/metrics"):
            return self.answer(404, b"no such path", how)
        if self.headers["content-type"] != "application/x-protobuf":
            return self.answer(415, b"not protobuf", how)
        request = service.ExportMetricsServiceRequest()
        request.ParseFromString(gzip.decompress(body) if encoding == "gzip" else body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        accepted("http", request, headers, encoding)
        self.answer(200, response(how).SerializeToString(), how)

    def answer(self, code, body, how):
        self.send_response(code)
        self.send_header("content-length", str(len(body)))
        if "retry_after" in how:
            self.send_header("retry-after", str(how["retry_after"]))
        if "location" in how:
            self.send_header("location", how["location"])
        self.end_headers()
        self.wfile.write(body)


def varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def retry_info(code, seconds):
    """A google.rpc.Status with a RetryInfo."""
    delay = Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1e9))
    info = Any(
        type_url="type.googleapis.com/google.rpc.RetryInfo",
        value=message(1, delay.SerializeToString()),
    )
    return b"\x08" + varint(code) + message(3, info.SerializeToString())


class Grpc(service_grpc.MetricsServiceServicer):
    def Export(self, request, context):
        how = behaviour()
        kind = how["how"]
        if kind in ("hang", "delay"):
            time.sleep(how.get("seconds", FOREVER))
        if kind == "huge":
            answer = service.ExportMetricsServiceResponse()
            answer.partial_success.error_message = "x" * how["bytes"]
            return answer
        if kind in ("status", "drop"):
            code = getattr(grpc.StatusCode, how.get("grpc", "UNAVAILABLE"))
            if "retry_after" in how:
                details = retry_info(code.value[0], float(how["retry_after"]))
                context.set_trailing_metadata((("grpc-status-details-bin", details),))
            context.abort(code, how.get("message", ""))
        headers = dict(context.invocation_metadata())
        encoding = headers.get("grpc-encoding", "")
        accepted("grpc", request, headers, encoding)
        return response(how)


def file(path):
    with open(path, "rb") as opened:
        return opened.read()


def listen(told):
    http = ThreadingHTTPServer(("127.0.0.1", told.get("http", 0)), Http)
    http.daemon_threads = True
    # Threads that hang do not keep the process: they are daemons, and it ends with its input.
    pool = futures.ThreadPoolExecutor(max_workers=16)
    server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
    service_grpc.add_MetricsServiceServicer_to_server(Grpc(), server)
    address = f"127.0.0.1:{told.get('grpc', 0)}"
    if "cert" in told:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(told["cert"], told["key"])
        ca = told.get("client_ca")
        if ca:
            context.load_verify_locations(ca)
            context.verify_mode = ssl.CERT_REQUIRED
        http.socket = context.wrap_socket(http.socket, server_side=True)
        credentials = grpc.ssl_server_credentials(
            [(file(told["key"]), file(told["cert"]))],
            root_certificates=file(ca) if ca else None,
            require_client_auth=bool(ca),
        )
        port = server.add_secure_port(address, credentials)
    else:
        port = server.add_insecure_port(address)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    server.start()
    KEPT.append((http, server))
    return {"http": http.server_port, "grpc": port}


KEPT = []


def behave(told):
    with LOCK:
        STATE["next"] = told.get("next", [])
        STATE["then"] = told.get("then", ACCEPT)
    return {}


def take(_):
    with LOCK:
        exports, STATE["exports"] = STATE["exports"], []
        return {"requests": STATE["requests"], "exports": exports}


COMMANDS = {"listen": listen, "behave": behave, "take": take}

for line in sys.stdin:
    told = json.loads(line)
    print(json.dumps(COMMANDS[told["do"]](told)), flush=True)
