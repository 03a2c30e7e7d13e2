//! Reading and writing plain integers and strings. Must not know any record.

use std::fmt;

/// Bytes that are not what they should be: damaged, or written by a later version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FormatError {
    /// They end too early.
    Short,
    /// They go on where they should end.
    Long,
    /// A version that this program does not know.
    Version(u8),
    /// A value or bit that means nothing.
    Value(&'static str),
    /// Text that is not UTF-8.
    Text,
    /// The key is of no known kind.
    Key,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("it ends too early"),
            Self::Long => f.write_str("it is too long"),
            Self::Version(version) => write!(f, "its version {version} is not known"),
            Self::Value(what) => write!(f, "its {what} means nothing"),
            Self::Text => f.write_str("its text is not UTF-8"),
            Self::Key => f.write_str("its key is of no known kind"),
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, FormatError>;

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(FormatError::Long) }
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(FormatError::Short)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(FormatError::Short)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A string of at most 65,535 bytes, as MQTT has them.
    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let len = self.u16()?;
        text(self.bytes(usize::from(len))?)
    }

    /// The version byte.
    pub(crate) fn version(&mut self) -> Result<()> {
        match self.u8()? {
            super::RECORD_VERSION => Ok(()),
            other => Err(FormatError::Version(other)),
        }
    }

    /// A byte of flags of which only `known` may be set.
    pub(crate) fn flags(&mut self, known: u8) -> Result<u8> {
        let flags = self.u8()?;
        if flags & !known == 0 { Ok(flags) } else { Err(FormatError::Value("flags")) }
    }
}

pub(crate) fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| FormatError::Text)
}

/// What every record and key is written with.
pub(crate) trait Write {
    fn write(&mut self, bytes: &[u8]);

    fn write_u8(&mut self, value: u8) {
        self.write(&[value]);
    }

    fn write_u16(&mut self, value: u16) {
        self.write(&value.to_be_bytes());
    }

    fn write_u32(&mut self, value: u32) {
        self.write(&value.to_be_bytes());
    }

    fn write_u64(&mut self, value: u64) {
        self.write(&value.to_be_bytes());
    }

    /// # Panics
    /// With more than 65,535 bytes: nothing in MQTT that is written here is longer.
    fn write_text(&mut self, text: &str) {
        self.write_u16(u16::try_from(text.len()).expect("MQTT strings have 16 bits of length"));
        self.write(text.as_bytes());
    }
}

impl Write for Vec<u8> {
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}
