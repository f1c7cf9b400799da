family
  1: "a \"b\"\\\nc"
  2: "Escaped."
  3: 1
  4
    2
      1: 1.0
family
  1: "http.latency_seconds"
  2: "Quoted."
  3: 4
  5: "seconds"
  4
    7
      3
        1: 1
        2: 1.0
        3
          1
            1: "trace_id"
            2: "00000000000000000000000000000001"
          1
            1: "span_id"
            2: "0000000000000001"
          1
            1: "user.id"
            2: "x"
          2: 0.5
          3
            1: 1700000000
            2: 1000000
      3
        1: 3
        2: inf
      1: 3
      2: 4.0
      15
        1: 1600000000
        2: 250000000
  4
    1
      1: "http.route"
      2: "/a"
    1
      1: "plain"
      2: "b"
    1
      1: "say \"hi\"\n"
      2: "c"
    7
      3
        1: 1
        2: 1.0
      3
        1: 3
        2: inf
      1: 3
      2: 4.0
      15
        1: 1600000000
        2: 250000000
family
  1: "jobs.done_total"
  2: "Dots."
  3: 0
  4
    3
      3
        1: 1600000000
        2: 250000000
      1: 3.0
  4
    1
      1: "http.route"
      2: "/a"
    1
      1: "plain"
      2: "b"
    1
      1: "say \"hi\"\n"
      2: "c"
    3
      3
        1: 1600000000
        2: 250000000
      1: 4.0
family
  1: "plain_bytes"
  2: "Needs none."
  3: 1
  5: "bytes"
  4
    1
      1: "http.route"
      2: "/a"
    1
      1: "plain"
      2: "b"
    1
      1: "say \"hi\"\n"
      2: "c"
    2
      1: 5.0
family
  1: "target_info"
  2: "Target metadata"
  3: 1
  4
    1
      1: "service.name"
      2: "osapi"
    2
      1: 1.0
family
  1: "temperature.日本_celsius"
  2: "Other letters."
  3: 1
  5: "celsius"
  4
    2
      1: 21.5
