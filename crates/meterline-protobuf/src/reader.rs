/// The fields of an encoded message, in the order they were written. Borrows everything and
/// allocates nothing, so that bytes from anybody can be read; after a fault there are no more.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

/// One field's value, as far as the wire format tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Any integer type that is not fixed, a bool or an enum.
    Varint(u64),
    /// `fixed64`, `sfixed64` or the bits of a `double`.
    Fixed64(u64),
    /// `bytes`, a `string`, a nested message or a packed field.
    Bytes(&'a [u8]),
    /// `fixed32`, `sfixed32` or the bits of a `float`.
    Fixed32(u32),
}

/// What was read is no protobuf message, or ends in the middle of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed protobuf")
    }
}

impl std::error::Error for Malformed {}

impl<'a> Reader<'a> {
    /// Reads this message.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u32, Value<'a>), Malformed> {
        let tag = u32::try_from(self.varint()?).map_err(|_| Malformed)?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                Value::Bytes(self.take(len)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            // Groups, which nobody writes any more.
            _ => return Err(Malformed),
        };
        match tag >> 3 {
            0 => Err(Malformed),
            number => Ok((number, value)),
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_cut_short_or_impossible_is_refused() {
        for message in [
            &[0x08][..],                                             // a tag without a value
            &[0x0a, 5, 1],                                           // shorter than its length
            &[0x09, 1, 2, 3],                                        // half a fixed64
            &[0x00, 1],                                              // field number 0
            &[0x0b],                                                 // a group
            &[0x08, 0xff],                                           // an unfinished varint
            &[0xff, 0xff, 0xff, 0xff, 0xff, 1],                      // a tag beyond 32 bits
            &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2], // beyond 64 bits
            &[0x0a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], // no memory has this length
        ] {
            let mut fields = Reader::new(message);
            assert_eq!(fields.next(), Some(Err(Malformed)), "{message:?}");
            assert_eq!(fields.next(), None, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(message in vec(any::<u8>(), 0..200)) {
            prop_assert!(Reader::new(&message).count() <= message.len());
        }
    }
}
