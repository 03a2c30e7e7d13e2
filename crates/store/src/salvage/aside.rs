//! Where bad files go: a folder `damaged-<UTC time>` in the data directory, made when it is first
//! needed. Must not know what is wrong with them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The folder of one repair, or the promise to change nothing.
#[derive(Debug)]
pub(super) struct Aside {
    data: PathBuf,
    folder: Option<PathBuf>,
    look_only: bool,
}

impl Aside {
    pub(super) fn new(data: &Path) -> Self {
        Self { data: data.to_path_buf(), folder: None, look_only: false }
    }

    /// Leaves everything as it is: for those who want to know, not to repair.
    pub(super) fn look_only(data: &Path) -> Self {
        Self { look_only: true, ..Self::new(data) }
    }

    /// Whether files may be changed.
    pub(super) fn may_change(&self) -> bool {
        !self.look_only
    }

    /// Moves a file or folder of the data directory there, under the name that it has here. Where
    /// it is then.
    pub(super) fn take(&mut self, path: &Path) -> io::Result<PathBuf> {
        if self.look_only {
            return Ok(path.to_path_buf());
        }
        let to = self.place_for(path)?;
        fs::rename(path, &to)?;
        if let Some(parent) = path.parent() {
            sync_folder(parent)?;
        }
        Ok(to)
    }

    /// Copies a file there.
    pub(super) fn copy(&mut self, path: &Path) -> io::Result<PathBuf> {
        let to = self.place_for(path)?;
        fs::copy(path, &to)?;
        File::open(&to)?.sync_all()?;
        Ok(to)
    }

    fn place_for(&mut self, path: &Path) -> io::Result<PathBuf> {
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => self.make_folder()?,
        };
        let name = path.strip_prefix(&self.data).unwrap_or(path);
        let mut to = folder.join(name);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut nth = 2;
        while to.exists() {
            to = folder.join(format!("{}-{nth}", name.display()));
            nth += 1;
        }
        Ok(to)
    }

    fn make_folder(&mut self) -> io::Result<PathBuf> {
        let name = format!("damaged-{}", utc_name(SystemTime::now()));
        let mut nth = 1;
        loop {
            let folder = match nth {
                1 => self.data.join(&name),
                nth => self.data.join(format!("{name}-{nth}")),
            };
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => nth += 1,
                made => {
                    made?;
                    sync_folder(&self.data)?;
                    self.folder = Some(folder.clone());
                    return Ok(folder);
                }
            }
        }
    }
}

/// Makes a rename or a new name in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// `20260131T235959Z`.
fn utc_name(time: SystemTime) -> String {
    let s = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, of_day) = (s / 86_400, s % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of the proleptic Gregorian calendar, from days since 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let mut year = 1970;
    let mut left = days;
    loop {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let of_year = if leap { 366 } else { 365 };
        if left >= of_year {
            left -= of_year;
            year += 1;
            continue;
        }
        let february = if leap { 29 } else { 28 };
        let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 1;
        for length in lengths {
            if left < length {
                break;
            }
            left -= length;
            month += 1;
        }
        return (year, month, left + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn names_are_times() {
        let name = |s| utc_name(UNIX_EPOCH + Duration::from_secs(s));
        assert_eq!(name(0), "19700101T000000Z");
        assert_eq!(name(951_782_399), "20000228T235959Z");
        assert_eq!(name(951_782_400), "20000229T000000Z");
        assert_eq!(name(1_798_761_600), "20270101T000000Z");
    }
}
