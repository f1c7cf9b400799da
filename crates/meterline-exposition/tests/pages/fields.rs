//! Protobuf pages for people, as `protoc --decode_raw` shows them: field numbers and values.

use std::fmt::Write as _;

use meterline_protobuf::{Reader, Value, varint_len};

/// The fields of every message of a page.
pub(crate) fn listed(mut page: &[u8]) -> String {
    let mut out = String::new();
    while !page.is_empty() {
        let (len, rest) = delimited(page);
        writeln!(out, "family").expect("strings are writable");
        list(&rest[..len], &[], &mut out);
        page = &rest[len..];
    }
    out
}

fn delimited(page: &[u8]) -> (usize, &[u8]) {
    let mut len = 0_u64;
    for (at, byte) in page.iter().enumerate() {
        len |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            assert_eq!(varint_len(len), at + 1, "as short as it can be");
            return (
                usize::try_from(len).expect("it is in memory"),
                &page[at + 1..],
            );
        }
    }
    panic!("the page ends in a length");
}

/// The paths of fields that are messages; all else with a length is text or packed numbers.
const MESSAGES: &[&[u32]] = &[
    &[4],
    &[4, 1],
    &[4, 2],
    &[4, 3],
    &[4, 3, 2],
    &[4, 3, 2, 1],
    &[4, 3, 2, 3],
    &[4, 3, 3],
    &[4, 7],
    &[4, 7, 3],
    &[4, 7, 3, 3],
    &[4, 7, 3, 3, 1],
    &[4, 7, 3, 3, 3],
    &[4, 7, 9],
    &[4, 7, 12],
    &[4, 7, 15],
    &[4, 7, 16],
    &[4, 7, 16, 1],
    &[4, 7, 16, 3],
];

const PACKED: &[&[u32]] = &[&[4, 7, 10], &[4, 7, 13]];

fn list(message: &[u8], path: &[u32], out: &mut String) {
    let indent = "  ".repeat(path.len() + 1);
    for field in Reader::new(message) {
        let (number, value) = field.expect("a message");
        let path: Vec<u32> = path.iter().copied().chain([number]).collect();
        let value = match value {
            Value::Bytes(bytes) if MESSAGES.contains(&&*path) => {
                writeln!(out, "{indent}{number}").expect("strings are writable");
                list(bytes, &path, out);
                continue;
            }
            Value::Bytes(bytes) if PACKED.contains(&&*path) => format!("{:?}", zigzags(bytes)),
            Value::Bytes(bytes) => {
                format!("{:?}", std::str::from_utf8(bytes).expect("names are UTF-8"))
            }
            Value::Fixed64(bits) => format!("{:?}", f64::from_bits(bits)),
            Value::Varint(value) => value.to_string(),
            Value::Fixed32(_) => panic!("there is no such field"),
        };
        writeln!(out, "{indent}{number}: {value}").expect("strings are writable");
    }
}

fn zigzags(mut bytes: &[u8]) -> Vec<i64> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte < 0x80).expect("an end");
        let digits = bytes[..=end].iter().rev();
        let value = digits.fold(0_u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
        values.push((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        bytes = &bytes[end + 1..];
    }
    values
}
