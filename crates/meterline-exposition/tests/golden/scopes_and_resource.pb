family
  1: "sales_total"
  2: "Sold."
  3: 0
  4
    1
      1: "host_name"
      2: "db1;given"
    3
      3
        1: 1600000000
        2: 250000000
      1: 1.0
  4
    1
      1: "host_name"
      2: "db1"
    1
      1: "id"
      2: "1"
    3
      3
        1: 1600000000
        2: 250000000
      1: 2.0
  4
    1
      1: "host_name"
      2: "db1;given"
    1
      1: "otel_scope_name"
      2: "billing"
    1
      1: "otel_scope_schema_url"
      2: "https://opentelemetry.io/schemas/1.44.0"
    1
      1: "otel_scope_team"
      2: "till"
    1
      1: "otel_scope_version"
      2: "2.0"
    3
      3
        1: 1600000000
        2: 250000000
      1: 3.0
  4
    1
      1: "host_name"
      2: "db1"
    1
      1: "id"
      2: "1"
    1
      1: "otel_scope_name"
      2: "billing"
    1
      1: "otel_scope_schema_url"
      2: "https://opentelemetry.io/schemas/1.44.0"
    1
      1: "otel_scope_team"
      2: "till"
    1
      1: "otel_scope_version"
      2: "2.0"
    3
      3
        1: 1600000000
        2: 250000000
      1: 4.0
family
  1: "target_info"
  2: "Target metadata"
  3: 1
  4
    1
      1: "host_name"
      2: "db1"
    1
      1: "service_name"
      2: "osapi"
    2
      1: 1.0
