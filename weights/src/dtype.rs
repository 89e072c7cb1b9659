//! Types of elements in files.

use std::fmt;

/// The type of a tensor's elements in a file. Floats become `f32`; whole numbers are told of and left out, as no network has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DType {
    /// IEEE, 64 bits.
    F64,
    /// IEEE, 32 bits.
    F32,
    /// IEEE, 16 bits.
    F16,
    /// The upper half of an `f32`.
    Bf16,
    /// A whole number or a truth value, of so many bytes.
    Whole(&'static str, usize),
}

impl DType {
    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            DType::F64 => 8,
            DType::F32 => 4,
            DType::F16 | DType::Bf16 => 2,
            DType::Whole(_, size) => size,
        }
    }

    /// Whether weights can be of it.
    pub fn is_float(self) -> bool {
        !matches!(self, DType::Whole(..))
    }

    /// PyTorch's storages: `FloatStorage`.
    pub(crate) fn of_storage(name: &str) -> Option<Self> {
        Some(match name {
            "DoubleStorage" => DType::F64,
            "FloatStorage" => DType::F32,
            "HalfStorage" => DType::F16,
            "BFloat16Storage" => DType::Bf16,
            "LongStorage" => DType::Whole("i64", 8),
            "IntStorage" => DType::Whole("i32", 4),
            "ShortStorage" => DType::Whole("i16", 2),
            "CharStorage" => DType::Whole("i8", 1),
            "ByteStorage" => DType::Whole("u8", 1),
            "BoolStorage" => DType::Whole("bool", 1),
            _ => return None,
        })
    }

    /// Those of safetensors that are read.
    pub(crate) fn of_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        use safetensors::Dtype as Theirs;
        Some(match dtype {
            Theirs::F64 => DType::F64,
            Theirs::F32 => DType::F32,
            Theirs::F16 => DType::F16,
            Theirs::BF16 => DType::Bf16,
            Theirs::I64 => DType::Whole("i64", 8),
            Theirs::U64 => DType::Whole("u64", 8),
            Theirs::I32 => DType::Whole("i32", 4),
            Theirs::U32 => DType::Whole("u32", 4),
            Theirs::I16 => DType::Whole("i16", 2),
            Theirs::U16 => DType::Whole("u16", 2),
            Theirs::I8 => DType::Whole("i8", 1),
            Theirs::U8 => DType::Whole("u8", 1),
            Theirs::BOOL => DType::Whole("bool", 1),
            _ => return None,
        })
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F64 => "f64",
            DType::F32 => "f32",
            DType::F16 => "f16",
            DType::Bf16 => "bf16",
            DType::Whole(name, _) => name,
        })
    }
}
