family
  1: "http_duration_seconds"
  2: "With examples."
  3: 4
  5: "seconds"
  4
    1
      1: "otel_scope_name"
      2: "shop"
    7
      3
        1: 2
        2: 0.1
        3
          1
            1: "trace_id"
            2: "00000000000000000000000000000002"
          1
            1: "span_id"
            2: "0000000000000002"
          2: 0.03
          3
            1: 1700000000
            2: 2000000
      3
        1: 2
        2: 1.0
      3
        1: 3
        2: inf
        3
          1
            1: "trace_id"
            2: "00000000000000000000000000000003"
          1
            1: "span_id"
            2: "0000000000000003"
          1
            1: "user_id"
            2: "7"
          2: 99.0
          3
            1: 1700000000
            2: 3000000
      1: 3
      2: 99.05
      15
        1: 1600000000
        2: 250000000
  4
    1
      1: "otel_scope_name"
      2: "shop"
    1
      1: "route"
      2: "/quiet"
    7
      3
        1: 0
        2: 0.1
      3
        1: 0
        2: 1.0
      3
        1: 0
        2: inf
      1: 0
      2: 0.0
      15
        1: 1600000000
        2: 250000000
family
  1: "level"
  2: "Gauges show none."
  3: 1
  4
    1
      1: "otel_scope_name"
      2: "shop"
    2
      1: 1.0
family
  1: "orders_total"
  2: "Counted."
  3: 0
  4
    1
      1: "otel_scope_name"
      2: "shop"
    3
      1: 2.0
      2
        1
          1: "trace_id"
          2: "00000000000000000000000000000005"
        1
          1: "span_id"
          2: "0000000000000005"
        1
          1: "note"
          2: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        2: 2.0
        3
          1: 1700000000
          2: 5000000
      3
        1: 1600000000
        2: 250000000
