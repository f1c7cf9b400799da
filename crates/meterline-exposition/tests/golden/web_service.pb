family
  1: "http_server_active_requests"
  2: "Requests in flight."
  3: 1
  4
    1
      1: "http_request_method"
      2: "GET"
    1
      1: "otel_scope_name"
      2: "shop"
    2
      1: 4.0
family
  1: "http_server_request_duration_seconds"
  2: "Duration of HTTP server requests."
  3: 4
  5: "seconds"
  4
    1
      1: "http_request_method"
      2: "GET"
    1
      1: "http_response_status_code"
      2: "200"
    1
      1: "http_route"
      2: "/jobs/{id}"
    1
      1: "otel_scope_name"
      2: "shop"
    7
      3
        1: 3
        2: 0.005
      3
        1: 8
        2: 0.1
      3
        1: 9
        2: 2.5
      3
        1: 9
        2: inf
      1: 9
      2: 0.127
      15
        1: 1600000000
        2: 250000000
  4
    1
      1: "http_request_method"
      2: "GET"
    1
      1: "http_response_status_code"
      2: "500"
    1
      1: "http_route"
      2: "/jobs/{id}"
    1
      1: "otel_scope_name"
      2: "shop"
    7
      3
        1: 0
        2: 0.005
      3
        1: 0
        2: 0.1
      3
        1: 0
        2: 2.5
      3
        1: 2
        2: inf
      1: 2
      2: 6.5
      15
        1: 1600000000
        2: 250000000
family
  1: "http_server_request_total"
  2: "HTTP requests."
  3: 0
  4
    1
      1: "http_request_method"
      2: "GET"
    1
      1: "http_response_status_code"
      2: "200"
    1
      1: "http_route"
      2: "/jobs/{id}"
    1
      1: "otel_scope_name"
      2: "shop"
    3
      3
        1: 1600000000
        2: 250000000
      1: 9.0
  4
    1
      1: "http_request_method"
      2: "GET"
    1
      1: "http_response_status_code"
      2: "500"
    1
      1: "http_route"
      2: "/jobs/{id}"
    1
      1: "otel_scope_name"
      2: "shop"
    3
      3
        1: 1600000000
        2: 250000000
      1: 2.0
family
  1: "io_bytes_total"
  2: "Bytes moved."
  3: 0
  5: "bytes"
  4
    1
      1: "otel_scope_name"
      2: "shop"
    3
      3
        1: 1600000000
        2: 250000000
      1: 1099511627776.0
family
  1: "target_info"
  2: "Target metadata"
  3: 1
  4
    1
      1: "service_name"
      2: "osapi"
    1
      1: "service_version"
      2: "0.1.0"
    2
      1: 1.0
