//! The protobuf wire format (<https://protobuf.dev/programming-guides/encoding/>), written and read
//! field by field.
//!
//! For encoders that have their values already: building message types first, only to walk them
//! once, costs more than writing the bytes. Who uses this knows the `.proto` file; the field numbers
//! stand where the fields are written.
//!
//! ```
//! use meterline_protobuf::{Reader, Value, Writer};
//!
//! let mut out = Writer::new();
//! out.string(1, "requests");
//! let point = out.begin(2);
//! out.double(4, 1.5);
//! out.end(point);
//!
//! let mut fields = Reader::new(out.as_slice());
//! assert_eq!(fields.next(), Some(Ok((1, Value::Bytes(b"requests")))));
//! ```

#![forbid(unsafe_code)]

mod reader;
mod writer;

pub use reader::{Malformed, Reader, Value};
pub use writer::{Nested, Writer, varint_len};
