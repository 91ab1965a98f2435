//! The integer types: their ranges, and reading and writing their values.

use wasmtime::component::Val;

/// An integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Integer {
    S8,
    U8,
    S16,
    U16,
    S32,
    U32,
    S64,
    U64,
}

/// Why a number is no value of an integer type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoInteger {
    /// It has a fraction or an exponent.
    Fraction,
    /// It is too large or too small.
    OutOfRange,
}

impl Integer {
    /// Its name in WIT.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::S8 => "s8",
            Self::U8 => "u8",
            Self::S16 => "s16",
            Self::U16 => "u16",
            Self::S32 => "s32",
            Self::U32 => "u32",
            Self::S64 => "s64",
            Self::U64 => "u64",
        }
    }

    /// Its least and its greatest value.
    pub(crate) fn range(self) -> (i128, i128) {
        match self {
            Self::S8 => (i8::MIN.into(), i8::MAX.into()),
            Self::U8 => (0, u8::MAX.into()),
            Self::S16 => (i16::MIN.into(), i16::MAX.into()),
            Self::U16 => (0, u16::MAX.into()),
            Self::S32 => (i32::MIN.into(), i32::MAX.into()),
            Self::U32 => (0, u32::MAX.into()),
            Self::S64 => (i64::MIN.into(), i64::MAX.into()),
            Self::U64 => (0, u64::MAX.into()),
        }
    }

    /// The value that a number of JSON has. All digits count.
    pub(crate) fn parse(self, number: &str) -> Result<Val, NoInteger> {
        if number.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            return Err(NoInteger::Fraction);
        }
        fn to<T: std::str::FromStr>(number: &str, make: impl FnOnce(T) -> Val) -> Result<Val, NoInteger> {
            // JSON has a negative zero, which Rust does not take for an unsigned type.
            let number = if number == "-0" { "0" } else { number };
            // The grammar was checked, so that all that can be wrong is the range.
            number.parse().map(make).map_err(|_| NoInteger::OutOfRange)
        }
        match self {
            Self::S8 => to(number, Val::S8),
            Self::U8 => to(number, Val::U8),
            Self::S16 => to(number, Val::S16),
            Self::U16 => to(number, Val::U16),
            Self::S32 => to(number, Val::S32),
            Self::U32 => to(number, Val::U32),
            Self::S64 => to(number, Val::S64),
            Self::U64 => to(number, Val::U64),
        }
    }
}
