//! The wire format of protocol buffers, as much of it as ONNX needs: varints, bytes with their length, floats.
//!
//! A message inside another begins with its length. So each message is written twice: first to something that counts
//! only, which costs nothing for the weights, then for good. Nothing is copied from buffer to buffer.

/// Where a message is written to.
pub trait Sink {
    /// Adds bytes.
    fn put(&mut self, bytes: &[u8]);

    /// Adds floats, little-endian.
    fn put_floats(&mut self, values: &[f32]);
}

/// Bytes of what would be written.
#[derive(Default)]
struct Count(u64);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }

    fn put_floats(&mut self, values: &[f32]) {
        self.0 += size_of_val(values) as u64;
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    fn put_floats(&mut self, values: &[f32]) {
        self.reserve(size_of_val(values));
        self.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
}

/// How a field's value lies in the bytes.
#[derive(Debug, Clone, Copy)]
enum WireType {
    Varint = 0,
    Length = 2,
    Fixed32 = 5,
}

/// A whole number; negative ones take ten bytes, as `int64` has them.
pub fn int(out: &mut dyn Sink, field: u32, value: i64) {
    tag(out, field, WireType::Varint);
    varint(out, value.cast_unsigned());
}

/// A single float.
pub fn float(out: &mut dyn Sink, field: u32, value: f32) {
    tag(out, field, WireType::Fixed32);
    out.put(&value.to_le_bytes());
}

/// A text.
pub fn text(out: &mut dyn Sink, field: u32, value: &str) {
    tag(out, field, WireType::Length);
    varint(out, value.len() as u64);
    out.put(value.as_bytes());
}

/// Floats as one field of bytes.
pub fn floats(out: &mut dyn Sink, field: u32, values: &[f32]) {
    tag(out, field, WireType::Length);
    varint(out, size_of_val(values) as u64);
    out.put_floats(values);
}

/// Whole numbers as one field of bytes, eight each.
pub fn ints(out: &mut dyn Sink, field: u32, values: &[i64]) {
    tag(out, field, WireType::Length);
    varint(out, size_of_val(values) as u64);
    values.iter().for_each(|value| out.put(&value.to_le_bytes()));
}

/// A message inside the message.
pub fn message(out: &mut dyn Sink, field: u32, write: &dyn Fn(&mut dyn Sink)) {
    tag(out, field, WireType::Length);
    varint(out, size(write));
    write(out);
}

/// Bytes of a message.
pub fn size(write: &dyn Fn(&mut dyn Sink)) -> u64 {
    let mut count = Count::default();
    write(&mut count);
    count.0
}

fn tag(out: &mut dyn Sink, field: u32, wire: WireType) {
    varint(out, u64::from(field) << 3 | wire as u64);
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn varint(out: &mut dyn Sink, mut value: u64) {
    while value >= 0x80 {
        out.put(&[(value & 0x7f) as u8 | 0x80]);
        value >>= 7;
    }
    out.put(&[value as u8]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(write: &dyn Fn(&mut dyn Sink)) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes);
        assert_eq!(size(write), bytes.len() as u64, "the count and the bytes agree");
        bytes
    }

    /// Examples of the encoding's own documentation (protobuf.dev, "Encoding").
    #[test]
    fn numbers_and_texts_are_as_the_documentation_has_them() {
        assert_eq!(bytes(&|out| int(out, 1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(
            bytes(&|out| text(out, 2, "testing")),
            [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]
        );
        assert_eq!(bytes(&|out| message(out, 3, &|out| int(out, 1, 150))), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let minus_two = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(bytes(&|out| int(out, 1, -2)), minus_two);
    }

    #[test]
    fn floats_are_little_endian() {
        assert_eq!(bytes(&|out| float(out, 2, 1.0)), [0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(bytes(&|out| floats(out, 9, &[1.0, -2.0])), [0x4a, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
        assert_eq!(bytes(&|out| ints(out, 9, &[1])), [0x4a, 8, 1, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn fields_above_fifteen_take_two_bytes() {
        assert_eq!(bytes(&|out| int(out, 20, 7)), [0xa0, 0x01, 0x07]);
    }
}
