//! Messages are nobody's business but the owner's: how files and folders are made that others
//! cannot read. Must not know what is in them.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rustix::fs::Mode;

/// From now on every file and folder that this process makes is its user's alone: also in a data
/// directory that others may enter, because somebody else made it. For the start of a program; a
/// library does not decide that for its process.
pub fn keep_files_private() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Makes a folder that only its owner may enter, with all above it that are missing, so that a
/// power cut does not take them away with what is in them. One that is there stays as it is.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let made: Vec<_> = folder.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for parent in made.iter().filter_map(|folder| folder.parent()) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        match File::open(parent).and_then(|parent| parent.sync_all()) {
            // A folder in which one may make others, but which one may not read.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            done => done?,
        }
    }
    Ok(())
}

/// Makes the names in a folder and in all folders below it durable: a new file that is synced is
/// there after a power cut only if its name is.
pub(crate) fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::create_folder;
    use crate::test_dir::TestDir;

    #[test]
    fn only_the_owner_may_enter_what_is_made() {
        let dir = TestDir::new();
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode();
        let inner = dir.path().join("one/two");
        create_folder(&inner).unwrap();
        assert_eq!(mode(&inner) & 0o777, 0o700);
        assert_eq!(mode(&dir.path().join("one")) & 0o777, 0o700);
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o750)).unwrap();
        create_folder(&inner).unwrap();
        assert_eq!(mode(&inner) & 0o777, 0o750, "what somebody chose is kept");
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(create_folder(&dir.path().join("file")).is_err());
        assert!(create_folder(&dir.path().join("file/in")).is_err());
    }
}
