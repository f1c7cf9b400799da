//! What is written here, prost reads.

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::{Reader, Value};

#[derive(Clone, PartialEq, Message)]
struct Everything {
    #[prost(uint64, tag = "1")]
    uint: u64,
    #[prost(int64, tag = "2")]
    int: i64,
    #[prost(sint64, tag = "3")]
    sint: i64,
    #[prost(bool, tag = "4")]
    flag: bool,
    #[prost(fixed64, tag = "15")]
    fixed: u64,
    #[prost(sfixed64, tag = "16")]
    sfixed: i64,
    #[prost(double, tag = "2047")]
    double: f64,
    #[prost(string, tag = "2048")]
    text: String,
    #[prost(fixed64, repeated, tag = "536870911")]
    fixeds: Vec<u64>,
    #[prost(uint64, repeated, tag = "20")]
    uints: Vec<u64>,
    #[prost(sint64, repeated, tag = "21")]
    sints: Vec<i64>,
    #[prost(double, repeated, tag = "22")]
    doubles: Vec<f64>,
    #[prost(message, repeated, tag = "23")]
    nested: Vec<Everything>,
}

fn write(out: &mut Writer, message: &Everything, guess: usize) {
    out.uint64(1, message.uint);
    out.int64(2, message.int);
    out.sint64(3, message.sint);
    out.bool(4, message.flag);
    out.fixed64(15, message.fixed);
    out.sfixed64(16, message.sfixed);
    out.double(2047, message.double);
    out.string(2048, &message.text);
    out.packed_fixed64(536_870_911, &message.fixeds);
    out.packed_uint64(20, &message.uints);
    out.packed_sint64(21, &message.sints);
    out.packed_double(22, &message.doubles);
    for inner in &message.nested {
        let nested = out.begin_about(23, guess);
        write(out, inner, guess);
        out.end(nested);
    }
}

fn leaf() -> impl Strategy<Value = Everything> {
    let numbers = (
        any::<u64>(),
        any::<i64>(),
        any::<i64>(),
        any::<bool>(),
        any::<u64>(),
    );
    let more = (
        any::<i64>(),
        -1e300..1e300,
        ".{0,300}",
        vec(any::<u64>(), 0..20),
    );
    let lists = (
        vec(any::<u64>(), 0..20),
        vec(any::<i64>(), 0..20),
        vec(-1e9..1e9, 0..20),
    );
    (numbers, more, lists).prop_map(|(numbers, more, lists)| {
        let (uint, int, sint, flag, fixed) = numbers;
        let (sfixed, double, text, fixeds) = more;
        let (uints, sints, doubles) = lists;
        let nested = Vec::new();
        Everything {
            uint,
            int,
            sint,
            flag,
            fixed,
            sfixed,
            double,
            text,
            fixeds,
            uints,
            sints,
            doubles,
            nested,
        }
    })
}

proptest! {
    /// Whatever was guessed about the lengths, the bytes are right, and lengths have no more bytes
    /// than they need.
    #[test]
    fn prost_reads_what_is_written(
        mut outer in leaf(),
        mut middle in leaf(),
        inner in vec(leaf(), 0..3),
        guess in prop_oneof![Just(0_usize), Just(1 << 7), Just(1 << 14), Just(usize::MAX)],
    ) {
        middle.nested = inner;
        outer.nested = vec![middle];
        let (mut guessed, mut known) = (Writer::new(), Writer::new());
        write(&mut guessed, &outer, guess);
        write(&mut known, &outer, 1_000);
        prop_assert_eq!(guessed.as_slice(), known.as_slice());
        prop_assert_eq!(Everything::decode(guessed.as_slice()).expect("it is well formed"), outer);
    }

    #[test]
    fn the_length_of_a_varint_is_told(value in any::<u64>(), shift in 0..64) {
        let value = value >> shift;
        let mut out = Writer::new();
        out.varint(value);
        prop_assert_eq!(varint_len(value), out.len());
        prop_assert_eq!(Some(out.into_vec()), {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(value, &mut bytes);
            Some(bytes)
        });
    }
}

#[test]
fn what_was_begun_can_be_taken_back() {
    let mut out = Writer::new();
    let list = out.begin(1);
    out.string(1, "kept");
    let len = out.len();
    let _gone = out.begin(2);
    out.string(1, "taken back");
    out.truncate(len);
    out.end(list);
    let fields: Vec<_> = Reader::new(out.as_slice()).collect();
    assert_eq!(
        fields,
        [Ok((1, Value::Bytes(&[0x0a, 4, b'k', b'e', b'p', b't'])))]
    );
}
