/// The wire types of fields, the lowest three bits of a tag.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;

/// Appends fields to a buffer.
///
/// Every method writes its field whatever the value: proto3 leaves out fields that have their
/// default value, except those declared `optional`, and only the caller knows which is which.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

/// A nested message whose length is not known yet: [`Writer::end`] completes it.
#[derive(Debug)]
#[must_use = "the message has no length until `end`"]
pub struct Nested {
    /// Where the length stands.
    at: usize,
    /// How many bytes were left for it.
    reserved: usize,
}

impl Writer {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty buffer with room for this many bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self::from(Vec::with_capacity(bytes))
    }

    /// What has been written.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.out
    }

    /// What has been written.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.out
    }

    /// How many bytes have been written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Takes back everything but the first `len` bytes; nested messages begun after them are gone,
    /// too, and must not be ended.
    pub fn truncate(&mut self, len: usize) {
        self.out.truncate(len);
    }

    /// Fields that are encoded already.
    pub fn raw(&mut self, fields: &[u8]) {
        self.out.extend_from_slice(fields);
    }

    /// A bare varint without a tag: an element of a packed field, or a length before a message.
    pub fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            // The lowest seven bits, and that there are more.
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    /// A bare `sint32` or `sint64` without a tag: an element of a packed field.
    pub fn bare_sint64(&mut self, value: i64) {
        self.varint(zigzag(value));
    }

    /// `uint32`, `uint64`, or an enum.
    pub fn uint64(&mut self, field: u32, value: u64) {
        self.tag(field, VARINT);
        self.varint(value);
    }

    /// `int32` or `int64`: ten bytes if negative.
    pub fn int64(&mut self, field: u32, value: i64) {
        self.uint64(field, value.cast_unsigned());
    }

    /// `sint32` or `sint64`: short near zero, whatever the sign.
    pub fn sint64(&mut self, field: u32, value: i64) {
        self.uint64(field, zigzag(value));
    }

    /// `bool`.
    pub fn bool(&mut self, field: u32, value: bool) {
        self.uint64(field, u64::from(value));
    }

    /// `fixed64`.
    pub fn fixed64(&mut self, field: u32, value: u64) {
        self.tag(field, FIXED64);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// `sfixed64`.
    pub fn sfixed64(&mut self, field: u32, value: i64) {
        self.fixed64(field, value.cast_unsigned());
    }

    /// `double`.
    pub fn double(&mut self, field: u32, value: f64) {
        self.fixed64(field, value.to_bits());
    }

    /// `bytes`, or a message that is encoded already.
    pub fn bytes(&mut self, field: u32, value: &[u8]) {
        self.tag(field, BYTES);
        self.varint(value.len() as u64);
        self.out.extend_from_slice(value);
    }

    /// `string`.
    pub fn string(&mut self, field: u32, value: &str) {
        self.bytes(field, value.as_bytes());
    }

    /// `repeated fixed64`, packed.
    pub fn packed_fixed64(&mut self, field: u32, values: &[u64]) {
        self.packed_eights(field, values.iter().map(|value| value.to_le_bytes()));
    }

    /// `repeated double`, packed.
    pub fn packed_double(&mut self, field: u32, values: &[f64]) {
        self.packed_eights(field, values.iter().map(|value| value.to_le_bytes()));
    }

    /// `repeated uint64`, packed.
    pub fn packed_uint64(&mut self, field: u32, values: &[u64]) {
        self.packed_varints(field, values.iter().copied());
    }

    /// `repeated sint64` or `repeated sint32`, packed.
    pub fn packed_sint64(&mut self, field: u32, values: &[i64]) {
        self.packed_varints(field, values.iter().map(|&value| zigzag(value)));
    }

    /// Begins a nested message, of up to 127 bytes; longer ones are moved once when they end.
    pub fn begin(&mut self, field: u32) -> Nested {
        self.begin_about(field, 0x7f)
    }

    /// Begins a nested message that will be about so long. Where the guess has fewer or more digits
    /// (of seven bits) than the length, what was written is moved when the message ends; the bytes
    /// are the same either way.
    pub fn begin_about(&mut self, field: u32, len: usize) -> Nested {
        self.tag(field, BYTES);
        let (at, reserved) = (self.out.len(), varint_len(len as u64));
        self.out.extend_from_slice(&[0; 10][..reserved]);
        Nested { at, reserved }
    }

    /// Ends a nested message: writes the length that [`begin`](Self::begin) left room for.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "ended once, and then it is gone"
    )]
    pub fn end(&mut self, nested: Nested) {
        let Nested { at, reserved } = nested;
        let len = self.out.len() - at - reserved;
        let needed = varint_len(len as u64);
        if needed != reserved {
            self.out
                .splice(at..at + reserved, [0; 10].into_iter().take(needed));
        }
        let mut rest = len;
        for place in &mut self.out[at..at + needed - 1] {
            *place = rest as u8 | 0x80;
            rest >>= 7;
        }
        self.out[at + needed - 1] = rest as u8;
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    fn packed_eights(&mut self, field: u32, values: impl ExactSizeIterator<Item = [u8; 8]>) {
        self.tag(field, BYTES);
        self.varint(8 * values.len() as u64);
        values.for_each(|value| self.out.extend_from_slice(&value));
    }

    fn packed_varints(&mut self, field: u32, values: impl Iterator<Item = u64> + Clone) {
        self.tag(field, BYTES);
        let len: usize = values.clone().map(varint_len).sum();
        self.varint(len as u64);
        values.for_each(|value| self.varint(value));
    }
}

impl From<Vec<u8>> for Writer {
    /// Appends to what is there.
    fn from(out: Vec<u8>) -> Self {
        Self { out }
    }
}

/// How many bytes a varint takes, 1 to 10.
#[must_use]
pub fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

#[cfg(test)]
mod tests;
