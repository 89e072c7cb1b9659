//! Protocol buffers' wire format, read in place: fields of a message, one after the other. Lengths are checked against what is
//! there, so a message is never larger than the file, and nothing is read recursively.

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'b> {
    /// Wire type 0.
    Number(u64),
    /// Wire type 1.
    Eight([u8; 8]),
    /// Wire type 2: text, a message, packed numbers.
    Bytes(&'b [u8]),
    /// Wire type 5.
    Four([u8; 4]),
}

/// Why a message cannot be read.
pub(crate) type Broken = &'static str;

/// The fields of a message.
pub(crate) struct Fields<'b> {
    rest: &'b [u8],
}

/// A message's fields, in their order.
pub(crate) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u64, Value<'b>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = field(&mut self.rest);
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

fn field<'b>(rest: &mut &'b [u8]) -> Result<(u64, Value<'b>), Broken> {
    let tag = number(rest)?;
    let value = match tag & 7 {
        0 => Value::Number(number(rest)?),
        1 => Value::Eight(take(rest, 8)?.try_into().map_err(|_| "a number is cut off")?),
        2 => {
            let length = usize::try_from(number(rest)?).map_err(|_| "a length is too large")?;
            Value::Bytes(take(rest, length)?)
        }
        5 => Value::Four(take(rest, 4)?.try_into().map_err(|_| "a number is cut off")?),
        _ => return Err("a field has a wire type that ONNX does not use"),
    };
    Ok((tag >> 3, value))
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Result<&'b [u8], Broken> {
    let (taken, left) = rest.split_at_checked(length).ok_or("the file ends within a field")?;
    *rest = left;
    Ok(taken)
}

/// A number of up to ten bytes, seven bits each, the lowest first.
pub(crate) fn number(rest: &mut &[u8]) -> Result<u64, Broken> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, left) = rest.split_first().ok_or("the file ends within a number")?;
        *rest = left;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number has more than ten bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_ends_are_seen() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 0, 0, 0x80, 0x3f];
        let read: Result<Vec<_>, _> = fields(&message).collect();
        let wanted =
            vec![(1, Value::Number(150)), (2, Value::Bytes(b"hi")), (3, Value::Four(1.0f32.to_le_bytes()))];
        assert_eq!(read, Ok(wanted));
        for cut in [1, 2, 4, 5, 6, 8, 11] {
            let read: Result<Vec<_>, _> = fields(&message[..cut]).collect();
            assert!(read.is_err(), "{cut} bytes");
        }
        assert!(fields(&[0x0b]).next().is_some_and(|field| field.is_err()), "groups are not read");
        assert!(fields(&[0xff; 12]).next().is_some_and(|field| field.is_err()), "too long a number");
        let huge = [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(fields(&huge).next().is_some_and(|field| field.is_err()), "longer than the file");
    }
}
