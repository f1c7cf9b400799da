family
  1: "a_b_total"
  2: "The first help wins."
  3: 0
  4
    1
      1: "id"
      2: "1"
    3
      3
        1: 1600000000
        2: 250000000
      1: 1.0
  4
    3
      3
        1: 1600000000
        2: 250000000
      1: 2.0
family
  1: "h"
  2: "Buckets."
  3: 4
  4
    1
      1: "id"
      2: "1"
    7
      3
        1: 1
        2: 1.0
      3
        1: 1
        2: inf
      1: 1
      2: 1.0
      15
        1: 1600000000
        2: 250000000
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
  1: "twice"
  2: "Same text."
  3: 1
  4
    1
      1: "code"
      2: "200"
    2
      1: 6.0
