"""An OTLP receiver made of the official Python message types and grpcio, over HTTP and gRPC, for metrics, spans and
log records, that does as it is told: accept, delay, refuse, throttle, accept in part, drop connections, hang.

One JSON object per line in, one out:
    {"do": "listen", "cert"?, "key"?, "client_ca"?, "http"?, "grpc"?}   {"http": port, "grpc": port}
    {"do": "behave", "next": [behaviour...], "then": behaviour}         {}
    {"do": "take"}    {"requests": all so far, "exports": [accepted since the last time...]}
A behaviour is {"how": "accept" | "delay" | "status" | "partial" | "drop" | "lose" | "hang" | "huge", ...}; to lose
is to accept and to drop the connection instead of answering.
"""

import gzip
import json
import socket
import ssl
import sys
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import otlp_told as told
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc

LOCK = threading.Lock()
STATE = {"next": [], "then": {"how": "accept"}, "requests": 0, "exports": []}
ACCEPT = {"how": "accept"}
FOREVER = 3600


class Signal:
    """What the three have in common, by the names they have for it."""

    def __init__(self, request, response, rejected, resources, items, tell):
        self.request, self.response, self.rejected = request, response, rejected
        self.resources, self.items, self.tell = resources, items, tell

    def answer(self, how):
        answer = self.response()
        if how["how"] == "partial":
            setattr(answer.partial_success, self.rejected, how["rejected"])
            answer.partial_success.error_message = how.get("message", "")
        return answer

    def accept(self, transport, request, headers, encoding):
        resources = getattr(request, self.resources)
        export = {
            "transport": transport,
            "headers": headers,
            "encoding": encoding,
            "resources": [told.attributes(each.resource.attributes) for each in resources],
            self.items: list(self.tell(request)),
        }
        with LOCK:
            STATE["exports"].append(export)


METRICS = Signal(
    metrics.ExportMetricsServiceRequest,
    metrics.ExportMetricsServiceResponse,
    "rejected_data_points",
    "resource_metrics",
    "points",
    told.points,
)
TRACES = Signal(
    traces.ExportTraceServiceRequest,
    traces.ExportTraceServiceResponse,
    "rejected_spans",
    "resource_spans",
    "spans",
    told.spans,
)
LOGS = Signal(
    logs.ExportLogsServiceRequest,
    logs.ExportLogsServiceResponse,
    "rejected_log_records",
    "resource_logs",
    "records",
    told.records,
)
PATHS = {"/v1/metrics": METRICS, "/v1/traces": TRACES, "/v1/logs": LOGS}


def behaviour():
    with LOCK:
        STATE["requests"] += 1
        return STATE["next"].pop(0) if STATE["next"] else STATE["then"]


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        how = behaviour()
        kind = how["how"]
        if kind == "drop":
            return self.drop()
        if kind in ("hang", "delay"):
            time.sleep(how.get("seconds", FOREVER))
        if kind == "status":
            return self.answer(how["code"], how.get("message", "").encode(), how)
        if kind == "huge":
            return self.answer(how.get("code", 200), b"x" * how["bytes"], how)
        encoding = self.headers.get("content-encoding", "identity")
        signal = PATHS.get(self.path)
        if signal is None:
            return self.answer(404, b"no such path", how)
        if self.headers["content-type"] != "application/x-protobuf":
            return self.answer(415, b"not protobuf", how)
        request = signal.request()
        request.ParseFromString(gzip.decompress(body) if encoding == "gzip" else body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        signal.accept("http", request, headers, encoding)
        if kind == "lose":
            return self.drop()
        self.answer(200, signal.answer(how).SerializeToString(), how)

    def drop(self):
        self.close_connection = True
        self.connection.close()

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


def export(signal, request, context):
    how = behaviour()
    kind = how["how"]
    if kind == "drop":
        RELAY.cut()
    if kind in ("hang", "delay"):
        time.sleep(how.get("seconds", FOREVER))
    if kind == "huge":
        answer = signal.response()
        answer.partial_success.error_message = "x" * how["bytes"]
        return answer
    if kind in ("status", "drop"):
        code = getattr(grpc.StatusCode, how.get("grpc", "UNAVAILABLE"))
        if "retry_after" in how:
            details = retry_info(code.value[0], float(how["retry_after"]))
            context.set_trailing_metadata((("grpc-status-details-bin", details),))
        context.abort(code, how.get("message", ""))
    headers = dict(context.invocation_metadata())
    signal.accept("grpc", request, headers, headers.get("grpc-encoding", ""))
    if kind == "lose":
        RELAY.cut()
    return signal.answer(how)


def servicer(base, signal):
    class Servicer(base):
        def Export(self, request, context):
            return export(signal, request, context)

    return Servicer()


class Relay:
    """Stands before the gRPC server, which cannot drop a connection by itself."""

    def __init__(self, port):
        self.open, self.to = [], None
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]

    def serve(self, to):
        self.to = to
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            server = socket.create_connection(("127.0.0.1", self.to))
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with LOCK:
                self.open.append((client, server))
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=pair, daemon=True).start()

    def pump(self, source, sink):
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
        except OSError:
            pass
        shut(source, sink)

    def cut(self):
        """Ends every connection, in the middle of whatever it carries."""
        with LOCK:
            pairs, self.open = self.open, []
        for pair in pairs:
            shut(*pair)


def shut(*sockets):
    for each in sockets:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def file(path):
    with open(path, "rb") as opened:
        return opened.read()


def grpc_server(how):
    """The server, and the port that only the relay knows."""
    # Threads that hang do not keep the process: they are daemons, and it ends with its input.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    metrics_grpc.add_MetricsServiceServicer_to_server(
        servicer(metrics_grpc.MetricsServiceServicer, METRICS), server
    )
    traces_grpc.add_TraceServiceServicer_to_server(
        servicer(traces_grpc.TraceServiceServicer, TRACES), server
    )
    logs_grpc.add_LogsServiceServicer_to_server(
        servicer(logs_grpc.LogsServiceServicer, LOGS), server
    )
    if "cert" not in how:
        return server, server.add_insecure_port("127.0.0.1:0")
    ca = how.get("client_ca")
    credentials = grpc.ssl_server_credentials(
        [(file(how["key"]), file(how["cert"]))],
        root_certificates=file(ca) if ca else None,
        require_client_auth=bool(ca),
    )
    return server, server.add_secure_port("127.0.0.1:0", credentials)


def listen(how):
    global RELAY
    http = ThreadingHTTPServer(("127.0.0.1", how.get("http", 0)), Http)
    http.daemon_threads = True
    if "cert" in how:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(how["cert"], how["key"])
        if "client_ca" in how:
            context.load_verify_locations(how["client_ca"])
            context.verify_mode = ssl.CERT_REQUIRED
        http.socket = context.wrap_socket(http.socket, server_side=True)
    RELAY = Relay(how.get("grpc", 0))
    server, port = grpc_server(how)
    server.start()
    RELAY.serve(port)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    KEPT.append((http, server))
    return {"http": http.server_port, "grpc": RELAY.port}


KEPT = []
RELAY = None


def behave(how):
    with LOCK:
        STATE["next"] = how.get("next", [])
        STATE["then"] = how.get("then", ACCEPT)
    return {}


def take(_):
    with LOCK:
        exports, STATE["exports"] = STATE["exports"], []
        return {"requests": STATE["requests"], "exports": exports}


COMMANDS = {"listen": listen, "behave": behave, "take": take}

for line in sys.stdin:
    command = json.loads(line)
    print(json.dumps(COMMANDS[command["do"]](command)), flush=True)
