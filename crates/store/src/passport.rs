//! The small file that says what a data directory is: its format and the server's identity. Text,
//! so that anybody can read it, and twice, so that a wrong bit does no harm: a new identity would
//! be another server, and a wrong format would keep this version out. Must not know what else is in
//! the directory.
//!
//! ```text
//! martlet store
//! format 1
//! identity 000102030405060708090a0b0c0d0e0f 0123456789abcdef
//! again 1 000102030405060708090a0b0c0d0e0f 0123456789abcdef
//! ```
//!
//! The last word of a line is the xxh3 of `format identity`, as they stand in the line of the copy.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::format::FORMAT;

/// Name of the file in the data directory.
pub(crate) const PASSPORT_FILE: &str = "identity";
const FIRST_LINE: &str = "martlet store";
/// Longer files are none.
const BYTES_MAX: u64 = 4096;

/// What the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passport {
    pub(crate) format: u32,
    pub(crate) identity: u128,
}

/// Why it could not be read.
#[derive(Debug)]
pub(crate) enum PassportError {
    /// It is there, and is not what it should be.
    Damaged,
    Io(io::Error),
}

impl Passport {
    /// `None` when there is no such file.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, PassportError> {
        let mut file = match File::open(dir.join(PASSPORT_FILE)) {
            Ok(file) => file.take(BYTES_MAX),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(PassportError::Io(error)),
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(PassportError::Io)?;
        let text = String::from_utf8_lossy(&bytes);
        Self::parse(&text).map(Some).ok_or(PassportError::Damaged)
    }

    /// A later format may have more lines: they are for whoever knows it.
    fn parse(text: &str) -> Option<Self> {
        // Not by lines: the end of the line before may be what is wrong.
        let copy = text.split_once("again ").and_then(|(_, copy)| copy.lines().next());
        let plain = Self::parse_plain(text, copy.is_none());
        plain.or_else(|| Self::parse_checked(copy?))
    }

    /// The first three lines. Without a checksum they count only where there is no copy either.
    fn parse_plain(text: &str, may_be_unchecked: bool) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(FIRST_LINE) {
            return None;
        }
        let format = lines.next()?.strip_prefix("format ")?;
        let identity = lines.next()?.strip_prefix("identity ")?;
        match may_be_unchecked && !identity.contains(' ') {
            true => Self::parse_words(format, identity),
            false => Self::parse_checked(&format!("{format} {identity}")),
        }
    }

    /// Format, identity and checksum.
    fn parse_checked(line: &str) -> Option<Self> {
        let (words, checksum) = line.rsplit_once(' ')?;
        let (format, identity) = words.split_once(' ')?;
        (checksum == check_word(words)).then(|| Self::parse_words(format, identity))?
    }

    fn parse_words(format: &str, identity: &str) -> Option<Self> {
        let format = format.parse().ok()?;
        let identity = (identity.len() == 32).then(|| u128::from_str_radix(identity, 16).ok());
        Some(Self { format, identity: identity?? })
    }

    /// Makes the file, with a new identity.
    pub(crate) fn create(dir: &Path) -> io::Result<Self> {
        let passport = Self { format: FORMAT, identity: new_identity()? };
        passport.write(dir)?;
        Ok(passport)
    }

    /// Writes the file so that it is there wholly or not at all.
    pub(crate) fn write(self, dir: &Path) -> io::Result<()> {
        let Self { format, identity } = self;
        let words = format!("{format} {identity:032x}");
        let check = check_word(&words);
        let text = format!(
            "{FIRST_LINE}\nformat {format}\nidentity {identity:032x} {check}\n\
             again {words} {check}\n"
        );
        let partial = dir.join("identity.partial");
        let mut file = File::create(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(partial, dir.join(PASSPORT_FILE))?;
        File::open(dir)?.sync_all()
    }

    /// Moves a file that cannot be read out of the way; where it is then.
    pub(crate) fn set_aside(dir: &Path) -> io::Result<PathBuf> {
        let mut aside = dir.join("identity.damaged");
        for count in 1.. {
            if !aside.try_exists()? {
                break;
            }
            aside = dir.join(format!("identity.damaged-{count}"));
        }
        fs::rename(dir.join(PASSPORT_FILE), &aside)?;
        Ok(aside)
    }
}

fn check_word(words: &str) -> String {
    format!("{:016x}", xxh3_64(words.as_bytes()))
}

/// 128 bits that nobody has had before. It also keys the hash of long names, and so should not be
/// guessed.
pub(crate) fn new_identity() -> io::Result<u128> {
    let mut bytes = [0; 16];
    match File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => Ok(u128::from_be_bytes(bytes)),
        // Where there is no such device, the standard library has asked the system by other ways.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let half = || u128::from(RandomState::new().hash_one(std::process::id()));
            Ok(half() << 64 | half())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{PASSPORT_FILE, Passport};
    use crate::test_dir::TestDir;

    #[test]
    fn a_wrong_bit_does_no_harm() {
        let dir = TestDir::new();
        let passport = Passport { format: 1, identity: 0xfedc_ba98_7654_3210_0011 };
        passport.write(dir.path()).expect("written");
        let good = std::fs::read(dir.path().join(PASSPORT_FILE)).expect("read");
        assert_eq!(Passport::read(dir.path()).expect("sound"), Some(passport));
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let read = Passport::parse(&String::from_utf8_lossy(&bad)).expect("sound");
                assert_eq!(read, passport, "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let text = "martlet store\nformat 7\nidentity 000102030405060708090a0b0c0d0e0f\nmore\n";
        let identity = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f;
        assert_eq!(Passport::parse(text), Some(Passport { format: 7, identity }));
        let bad = [
            "",
            "martlet store",
            "martlet store\nformat x\nidentity 000102030405060708090a0b0c0d0e0f\n",
            "martlet store\nformat 1\nidentity 0001\n",
            "martlet\nformat 1\nidentity 000102030405060708090a0b0c0d0e0f\n",
        ];
        for text in bad {
            assert_eq!(Passport::parse(text), None, "{text:?}");
        }
    }
}
