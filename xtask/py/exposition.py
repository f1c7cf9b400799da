"""Parses expositions with the official Python client, so that tests have a second opinion.

One JSON object per line in, one out:
    {"format": "text" | "openmetrics", "exposition": "..."}
    {"families": [{"name", "type", "help", "unit", "samples": [
        {"name", "labels", "value", "exemplar": null | {"labels", "value", "timestamp"}}]}]}
    {"error": "why it was refused"}
Values are strings as Python writes a float ("1.0", "inf", "nan"): JSON has no infinities.
"""

import json
import sys

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as text

PARSERS = {
    "text": text.text_string_to_metric_families,
    "openmetrics": openmetrics.text_string_to_metric_families,
}


def sample(one):
    return {
        "name": one.name,
        "labels": one.labels,
        "value": repr(float(one.value)),
        "exemplar": exemplar(one.exemplar),
    }


def exemplar(one):
    if one is None:
        return None
    timestamp = None if one.timestamp is None else repr(float(one.timestamp))
    return {"labels": one.labels, "value": repr(float(one.value)), "timestamp": timestamp}


def family(one):
    return {
        "name": one.name,
        "type": one.type,
        "help": one.documentation,
        "unit": one.unit,
        "samples": [sample(each) for each in one.samples],
    }


def answer(request):
    try:
        families = PARSERS[request["format"]](request["exposition"])
        return {"families": [family(each) for each in families]}
    except Exception as error:  # The parsers refuse with exceptions of many types.
        return {"error": f"{type(error).__name__}: {error}"}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
