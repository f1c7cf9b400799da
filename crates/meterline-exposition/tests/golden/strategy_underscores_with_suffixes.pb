family
  1: "_1st_place"
  2: "Leading digit."
  3: 1
  4
    1
      1: "a_b"
      2: "1"
    1
      1: "otel_scope_name"
      2: "shop"
    2
      1: 1.0
family
  1: "foo_bar_bytes_total"
  2: "A counter."
  3: 0
  5: "bytes"
  4
    1
      1: "a_b"
      2: "1"
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
  2: "Suffixes already there."
  3: 0
  5: "bytes"
  4
    1
      1: "a_b"
      2: "1"
    1
      1: "otel_scope_name"
      2: "shop"
    3
      3
        1: 1600000000
        2: 250000000
      1: 3.0
family
  1: "speed_meters_per_second"
  2: "A rate."
  3: 1
  5: "meters_per_second"
  4
    1
      1: "a_b"
      2: "1"
    1
      1: "otel_scope_name"
      2: "shop"
    2
      1: 4.0
