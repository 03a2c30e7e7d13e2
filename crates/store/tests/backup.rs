//! Backups: from a directory and from a running store, and back; and what is refused.

mod damage_rig;

use std::fs;
use std::path::Path;

use damage_rig::{Folder, fill, read, start};
use martlet_store::{
    BackupDirError, CheckError, Durability, OpenError, RestoreError, Store, StoreConfig,
    backup_dir, check, restore_backup,
};

fn filled() -> Folder {
    let folder = Folder::new();
    fill(folder.path());
    folder
}

fn backup(dir: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (counts, damage) = backup_dir(dir, &mut bytes).expect("backed up");
    assert!(damage.is_empty() && counts.unreadable == 0 && counts.records > 1000, "{counts:?}");
    bytes
}

#[test]
fn what_is_backed_up_and_restored_is_the_same() {
    let folder = filled();
    let before = check(folder.path()).expect("checked");
    assert!(before.is_fine(), "{before:?}");
    let bytes = backup(folder.path());
    let place = Folder::new();
    let dir = place.path().join("restored");
    let counts = restore_backup(&mut &bytes[..], &dir).expect("restored");
    assert!(!place.path().join("restored.partial").exists());
    let after = check(&dir).expect("checked");
    assert!(after.is_fine(), "{after:?}");
    assert_eq!(after.counts, before.counts);
    assert_eq!(counts.bytes, before.counts.bytes);
    let (right, _) = read(folder.path(), "original");
    let (restored, said) = read(&dir, "restored");
    assert!(said.is_silent(), "{said:?}");
    assert!(restored == right, "another content");
}

#[test]
fn a_backup_does_not_change_what_it_reads() {
    let folder = filled();
    let bytes = |folder: &Folder| {
        let files = damage_rig::files(folder.path()).into_iter();
        let content = |name| (fs::read(folder.path().join(&name)).expect("read"), name);
        files.map(content).collect::<Vec<_>>()
    };
    let before = bytes(&folder);
    backup(folder.path());
    check(folder.path()).expect("checked");
    let after = bytes(&folder);
    let changed = before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| &a.1);
    let changed = changed.filter(|name| *name != Path::new("lock")).collect::<Vec<_>>();
    assert!(changed.is_empty() && before.len() == after.len(), "{changed:?}");
}

#[test]
fn a_running_store_gives_one_moment() {
    let folder = filled();
    let config = StoreConfig::new(folder.path(), Durability::Sync);
    let (store, _) = Store::open(&config).expect("opened");
    let mut running = start(store);
    let handle = running.handle.clone();
    let bytes = std::thread::scope(|scope| {
        let backup = scope.spawn(move || {
            let mut bytes = Vec::new();
            handle.backup(&mut bytes).expect("backed up");
            bytes
        });
        // The store goes on meanwhile. Each change removes one retained message and makes another.
        for nth in 0..200 {
            running.store(damage_rig::swap_retained(nth));
        }
        backup.join().expect("no panic")
    });
    assert!(matches!(check(folder.path()), Err(CheckError::Open(OpenError::Locked { .. }))));
    let locked = backup_dir(folder.path(), &mut Vec::new());
    let is_locked = |error: &BackupDirError| error.to_string().contains("in use by process");
    assert!(locked.as_ref().is_err_and(is_locked), "{locked:?}");
    running.stop();
    let place = Folder::new();
    let dir = place.path().join("restored");
    restore_backup(&mut &bytes[..], &dir).expect("restored");
    assert!(check(&dir).expect("checked").is_fine());
    let (content, _) = read(&dir, "restored");
    let swapped = content.retained.keys().filter(|topic| topic.starts_with("swap/")).count();
    assert!(swapped <= 1, "{swapped} of which at each moment there is at most one");
}

#[test]
fn a_stopped_store_gives_no_backup() {
    let folder = filled();
    let (store, _) =
        Store::open(&StoreConfig::new(folder.path(), Durability::Sync)).expect("opened");
    let running = start(store);
    let handle = running.handle.clone();
    running.stop();
    assert!(handle.backup(&mut Vec::new()).is_err());
}

#[test]
fn a_bad_backup_is_refused_and_leaves_nothing() {
    let folder = filled();
    let good = backup(folder.path());
    let place = Folder::new();
    let dir = place.path().join("restored");
    let refused = |bytes: &[u8], what: &str| {
        let error = restore_backup(&mut &bytes[..], &dir).expect_err(what).to_string();
        assert_eq!(fs::read_dir(place.path()).expect("listed").count(), 0, "{what} left something");
        error
    };
    for part in 0..8 {
        let error = refused(&good[..good.len() * part / 8], "cut");
        assert!(error.contains("cut off") || error.contains("no backup"), "{error}");
    }
    for part in 0..24 {
        let mut bad = good.clone();
        bad[good.len() * part / 24] ^= 1 << (part % 8);
        let error = refused(&bad, "flipped");
        let is_clear = ["damaged at byte", "no backup", "is newer"];
        assert!(is_clear.iter().any(|text| error.contains(text)), "{error}");
    }
}

#[test]
fn a_directory_with_something_in_it_is_left_alone() {
    let folder = filled();
    let bytes = backup(folder.path());
    let error = restore_backup(&mut &bytes[..], folder.path()).expect_err("refused");
    assert!(matches!(error, RestoreError::NotEmpty(_)), "{error}");
    let empty = Folder::new();
    restore_backup(&mut &bytes[..], empty.path()).expect("an empty directory will do");
    assert!(check(empty.path()).expect("checked").is_fine());
}

#[test]
fn a_check_tells_what_is_wrong_and_changes_nothing() {
    let folder = filled();
    let journal = folder.path().join("store/0.jnl");
    let journal = if journal.exists() { journal } else { panic!("one journal") };
    let mut bytes = fs::read(&journal).expect("read");
    let at = bytes.iter().rposition(|&b| b != 0).expect("written") / 2;
    bytes[at] ^= 4;
    fs::write(&journal, &bytes).expect("written");
    for _ in 0..2 {
        let report = check(folder.path()).expect("checked");
        assert!(!report.is_fine());
        assert!(report.damage[0].to_string().contains("journal 0.jnl"), "{:?}", report.damage);
    }
    assert_eq!(fs::read(&journal).expect("read"), bytes);
    // A backup has the rest, and says so.
    let mut backup = Vec::new();
    let (_, damage) = backup_dir(folder.path(), &mut backup).expect("backed up");
    assert!(!damage.is_empty());
    let place = Folder::new();
    restore_backup(&mut &backup[..], place.path()).expect("restored");
    let nothing = Folder::new();
    assert!(matches!(check(nothing.path()), Err(CheckError::NoStore(_))));
}

#[test]
fn a_backup_of_a_store_without_identity_says_so_and_one_of_a_newer_store_is_refused() {
    let folder = filled();
    let identity = folder.path().join("identity");
    fs::remove_file(&identity).expect("removed");
    let mut bytes = Vec::new();
    let (_, damage) = backup_dir(folder.path(), &mut bytes).expect("backed up");
    assert!(damage.len() == 1 && damage[0].what.contains("identity"), "{damage:?}");
    let place = Folder::new();
    let dir = place.path().join("restored");
    restore_backup(&mut &bytes[..], &dir).expect("restored");
    let config = StoreConfig::new(&dir, Durability::Sync);
    let (store, _) = Store::open(&config).expect("opened");
    assert_ne!(store.identity(), 0, "which could be guessed");
    let newer = format!("martlet store\nformat 99\nidentity {:032x}\n", 7);
    fs::write(&identity, newer).expect("written");
    let error = backup_dir(folder.path(), &mut Vec::new()).expect_err("it is newer");
    assert!(error.to_string().contains("has format 99"), "{error}");
}

#[test]
fn a_directory_that_is_there_is_filled_from_within() {
    let folder = filled();
    let bytes = backup(folder.path());
    // As the root of a file system: nothing can be made beside it.
    let place = Folder::new();
    let dir = place.path().join("volume");
    fs::create_dir(&dir).expect("made");
    fs::create_dir(dir.join("restore.partial")).expect("what a killed restore left");
    fs::write(place.path().join("volume.partial"), "in the way").expect("written");
    let error = restore_backup(&mut &bytes[..bytes.len() - 1], &dir).expect_err("cut off");
    assert!(matches!(error, RestoreError::Backup(_)), "{error}");
    assert_eq!(fs::read_dir(&dir).expect("read").count(), 0, "nothing is left");
    restore_backup(&mut &bytes[..], &dir).expect("restored");
    assert!(!dir.join("restore.partial").exists());
    let after = check(&dir).expect("checked");
    assert!(after.is_fine(), "{after:?}");
    assert_eq!(after.counts, check(folder.path()).expect("checked").counts);
    let (right, _) = read(folder.path(), "original");
    let (restored, said) = read(&dir, "restored");
    assert!(said.is_silent() && restored == right, "{said:?}");
}
