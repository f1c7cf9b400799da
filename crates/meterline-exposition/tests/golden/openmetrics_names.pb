family
  1: "a"
  2: "In the way of the counter."
  3: 1
  4
    2
      1: 1.0
family
  1: "a_total"
  2: "Its name without _total is taken."
  3: 0
  4
    3
      3
        1: 1600000000
        2: 250000000
      1: 2.0
family
  1: "b_total"
  2: "In a unit: \"s\"."
  3: 0
  4
    3
      3
        1: 1600000000
        2: 250000000
      1: 3.0
family
  1: "h_bytes"
  2: "A sum that may fall."
  3: 4
  5: "bytes"
  4
    7
      3
        1: 1
        2: -1.0
      3
        1: 3
        2: inf
      1: 3
      2: -4.0
      15
        1: 1600000000
        2: 250000000
family
  1: "h_created_bytes"
  2: "In the way of a histogram."
  3: 1
  5: "bytes"
  4
    2
      1: 4.0
family
  1: "less_total"
  2: "Below zero."
  3: 0
  4
    3
      3
        1: 1600000000
        2: 250000000
      1: -1.0
family
  1: "target"
  2: "In the way of the resource."
  3: 1
  4
    2
      1: 5.0
family
  1: "target_info"
  2: "Target metadata"
  3: 1
  4
    1
      1: "service_name"
      2: "osapi"
    2
      1: 1.0
family
  1: "time_seconds_total"
  2: "With a unit."
  3: 0
  5: "seconds"
  4
    3
      3
        1: 1600000000
        2: 250000000
      1: 6.0
