family
  1: "labels"
  2: "Help with \"quotes\", a \\ and\na second line."
  3: 1
  4
    1
      1: "bool"
      2: "true"
    1
      1: "float"
      2: "0.5"
    1
      1: "int"
      2: "-7"
    1
      1: "nan"
      2: "NaN"
    1
      1: "numbers"
      2: "[1,2]"
    1
      1: "otel_scope_name"
      2: "shop"
    1
      1: "words"
      2: "[\"a\\\"b\"]"
    2
      1: 1.0
  4
    1
      1: "a"
      2: "back\\slash"
    1
      1: "b"
      2: "two\nlines"
    1
      1: "c"
      2: "\"quoted\""
    1
      1: "otel_scope_name"
      2: "shop"
    2
      1: 2.0
  4
    1
      1: "k_x"
      2: "dash;dot;line"
    1
      1: "otel_scope_name"
      2: "shop"
    2
      1: 3.0
  4
    1
      1: "_name_"
      2: "n"
    1
      1: "le"
      2: "5"
    1
      1: "otel_scope_name"
      2: "shop;evil"
    2
      1: 4.0
  4
    1
      1: "_"
      2: "no key;Кириллица"
    1
      1: "key_1st"
      2: "digit"
    1
      1: "otel_scope_name"
      2: "shop"
    2
      1: 5.0
family
  1: "reserved"
  2: "Buckets keep `le`."
  3: 4
  4
    1
      1: "_name_"
      2: "n"
    1
      1: "exported_le"
      2: "5"
    1
      1: "otel_scope_name"
      2: "shop;evil"
    7
      3
        1: 1
        2: 1.0
      3
        1: 2
        2: inf
      1: 2
      2: 5.0
      15
        1: 1600000000
        2: 250000000
