//! The wire format: fields of messages, borrowed from the page.
//!
//! It knows where in the page each field is, so that faults can say so; the reader of
//! `meterline-protobuf` does not, and is smaller for it.

use super::super::{Rule, Stop};

/// The bytes of a message that are not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    bytes: &'a [u8],
    /// Where they begin in the page.
    base: usize,
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    /// Where it begins in the page.
    pub(super) at: usize,
    content: Content<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Content<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32,
    Bytes(Message<'a>),
}

impl<'a> Message<'a> {
    pub(super) fn new(page: &'a [u8]) -> Self {
        let (bytes, base) = (page, 0);
        Self { bytes, base }
    }

    pub(super) fn at(&self) -> usize {
        self.base
    }

    pub(super) fn is_end(&self) -> bool {
        self.bytes.is_empty()
    }

    fn take(&mut self, length: u64, what: &str) -> Result<Self, Stop> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some((taken, rest)) = self.bytes.split_at_checked(length) else {
            let left = self.bytes.len();
            let why = format!(
                "{what} takes {length} bytes, but only {left} are left (is the page cut off?)"
            );
            return Err(Stop::new(self.base, Rule::Wire, why));
        };
        let base = self.base;
        (self.bytes, self.base) = (rest, base + length);
        Ok(Self { bytes: taken, base })
    }

    /// A message after its length.
    pub(super) fn delimited(&mut self) -> Result<Self, Stop> {
        let length = self.varint()?;
        self.take(length, "the message")
    }

    /// A number in groups of 7 bits.
    pub(super) fn varint(&mut self) -> Result<u64, Stop> {
        let mut value = 0;
        for (index, byte) in self.bytes.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if index == 9 && bits > 1 {
                break;
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.base += index + 1;
                self.bytes = &self.bytes[index + 1..];
                return Ok(value);
            }
        }
        let why =
            "there is no number (varint) of at most 64 bits here; is this delimited protobuf?";
        Err(Stop::new(self.base, Rule::Wire, why))
    }

    /// The next field, if there is one.
    pub(super) fn field(&mut self) -> Result<Option<Field<'a>>, Stop> {
        if self.is_end() {
            return Ok(None);
        }
        let at = self.base;
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 || number > 0x1fff_ffff {
            let why =
                format!("there is no field {number} in protobuf; is this delimited protobuf?");
            return Err(Stop::new(at, Rule::Wire, why));
        }
        let content = match key & 7 {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(
                self.take(8, "a double")?
                    .bytes
                    .try_into()
                    .unwrap_or_default(),
            ),
            2 => Content::Bytes(self.delimited()?),
            5 => {
                self.take(4, "a fixed field")?;
                Content::Fixed32
            }
            wire => {
                let why = format!(
                    "field {number} has wire type {wire}, which messages of this schema do not use"
                );
                return Err(Stop::new(at, Rule::Wire, why));
            }
        };
        Ok(Some(Field {
            number,
            at,
            content,
        }))
    }
}

impl<'a> Field<'a> {
    fn wrong<T>(&self, expected: &str) -> Result<T, Stop> {
        let why = format!(
            "field {} is not {expected}, as the schema has it",
            self.number
        );
        Err(Stop::new(self.at, Rule::Wire, why))
    }

    pub(super) fn varint(&self) -> Result<u64, Stop> {
        match self.content {
            Content::Varint(value) => Ok(value),
            _ => self.wrong("a number"),
        }
    }

    pub(super) fn uint64(&self) -> Result<u64, Stop> {
        self.varint()
    }

    #[allow(
        clippy::cast_possible_wrap,
        reason = "negative numbers are sent as their two's complement"
    )]
    pub(super) fn int64(&self) -> Result<i64, Stop> {
        self.varint().map(|bits| bits as i64)
    }

    /// A signed number in zigzag form, of at most 32 bits.
    pub(super) fn sint32(&self) -> Result<i32, Stop> {
        let value = zigzag(self.varint()?);
        i32::try_from(value).or_else(|_| self.wrong("a number of 32 bits"))
    }

    pub(super) fn double(&self) -> Result<f64, Stop> {
        match self.content {
            Content::Fixed64(bytes) => Ok(f64::from_le_bytes(bytes)),
            _ => self.wrong("a double"),
        }
    }

    pub(super) fn message(&self) -> Result<Message<'a>, Stop> {
        match self.content {
            Content::Bytes(message) => Ok(message),
            _ => self.wrong("a message"),
        }
    }

    pub(super) fn text(&self) -> Result<&'a str, Stop> {
        let Content::Bytes(message) = self.content else {
            return self.wrong("a string");
        };
        std::str::from_utf8(message.bytes).map_err(|error| {
            let at = message.base + error.valid_up_to();
            Stop::new(
                at,
                Rule::Encoding,
                "this string is not UTF-8; strings in protobuf are",
            )
        })
    }

    /// Zigzag numbers of a repeated field: one, or packed together.
    pub(super) fn sint64s(
        &self,
        each: &mut impl FnMut(i64) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        match self.content {
            Content::Varint(bits) => each(zigzag(bits)),
            Content::Bytes(mut packed) => {
                while !packed.is_end() {
                    each(zigzag(packed.varint()?))?;
                }
                Ok(())
            }
            _ => self.wrong("a number"),
        }
    }

    /// Doubles of a repeated field: one, or packed together.
    pub(super) fn doubles(
        &self,
        each: &mut impl FnMut(f64) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        match self.content {
            Content::Fixed64(bytes) => each(f64::from_le_bytes(bytes)),
            Content::Bytes(mut packed) => {
                while !packed.is_end() {
                    let bytes = packed.take(8, "a double")?.bytes;
                    each(f64::from_le_bytes(bytes.try_into().unwrap_or_default()))?;
                }
                Ok(())
            }
            _ => self.wrong("a double"),
        }
    }
}

#[allow(
    clippy::cast_possible_wrap,
    reason = "half of it, or one bit, always fits"
)]
fn zigzag(bits: u64) -> i64 {
    (bits >> 1) as i64 ^ -((bits & 1) as i64)
}
