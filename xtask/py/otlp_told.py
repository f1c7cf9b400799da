"""OTLP messages as the plain values that tests compare."""

import math


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


def spans(request):
    for resource in request.resource_spans:
        service = attributes(resource.resource.attributes).get("service.name")
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield {
                    "service": service,
                    "scope": scope.scope.name,
                    "name": span.name,
                    "kind": span.kind,
                    "trace_id": span.trace_id.hex(),
                    "span_id": span.span_id.hex(),
                    "parent_span_id": span.parent_span_id.hex(),
                    "attributes": attributes(span.attributes),
                    "status": span.status.code,
                }


def records(request):
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield {
                    "scope": scope.scope.name,
                    "body": any_value(record.body),
                    "trace_id": record.trace_id.hex(),
                    "span_id": record.span_id.hex(),
                    "attributes": attributes(record.attributes),
                }
