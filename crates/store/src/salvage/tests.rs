//! Damage of every kind to a database of the engine, without the store's records.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Depth, Place, Repair, make_sound};
use crate::test_dir::TestDir;

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

type Content = BTreeMap<(usize, String), String>;

/// What a database holds, and what it ever held.
#[derive(Default)]
struct Model {
    now: Content,
    ever: BTreeSet<(usize, String, String)>,
}

fn open(path: &Path) -> fjall::Result<(Database, Vec<Keyspace>)> {
    let db = Database::builder(path).worker_threads(1).open()?;
    let open = |name: &&str| db.keyspace(name, KeyspaceCreateOptions::default);
    let keyspaces = NAMES.iter().map(open).collect::<fjall::Result<_>>()?;
    Ok((db, keyspaces))
}

fn write(db: &Database, keyspaces: &[Keyspace], numbers: std::ops::Range<u32>, model: &mut Model) {
    for number in numbers {
        let mut batch = db.batch();
        for (nth, keyspace) in keyspaces.iter().enumerate() {
            let key = format!("key{:05}", number % 700);
            let value = format!("{key} of {nth} in {number} {}", "x".repeat(number as usize % 97));
            if number % 5 == 4 {
                batch.remove(keyspace, key.as_str());
                model.now.remove(&(nth, key));
            } else {
                batch.insert(keyspace, key.as_str(), value.as_str());
                model.ever.insert((nth, key.clone(), value.clone()));
                model.now.insert((nth, key), value);
            }
        }
        batch.commit().expect("written");
    }
    db.persist(PersistMode::SyncAll).expect("persisted");
}

/// Tables of several ages in two keyspaces, none in the third, and three journals.
fn build(db_path: &Path) -> Model {
    let mut model = Model::default();
    let (db, keyspaces) = open(db_path).expect("created");
    for round in 0..4 {
        write(&db, &keyspaces, round * 400..(round + 1) * 400, &mut model);
        for keyspace in &keyspaces[..2] {
            keyspace.rotate_memtable_and_wait().expect("flushed");
        }
    }
    keyspaces[0].major_compact().expect("compacted");
    write(&db, &keyspaces, 2000..2900, &mut model);
    drop((keyspaces, db));
    split_journal(db_path, 3);
    model
}

/// The engine seals a journal at 64 MB: the same, with less.
fn split_journal(db_path: &Path, parts: usize) {
    let bytes = fs::read(db_path.join("0.jnl")).expect("one journal");
    let batches = crate::journal_scan::scan(&bytes).batches;
    let mut start = 0;
    for part in 0..parts {
        let end = batches[batches.len() * (part + 1) / parts - 1].bytes.end;
        fs::write(db_path.join(format!("{part}.jnl")), &bytes[start..end]).expect("written");
        start = end;
    }
}

fn content(keyspaces: &[Keyspace]) -> Content {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let mut content = Content::new();
    for (nth, keyspace) in keyspaces.iter().enumerate() {
        for item in keyspace.iter() {
            let (key, value) = item.into_inner().expect("readable after a repair");
            content.insert((nth, text(&key)), text(&value));
        }
    }
    content
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let path = entry.expect("listed").path();
        let to = to.join(path.file_name().expect("named"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("copied");
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in super::entries(folder).expect("listed") {
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// One data directory per case.
struct Case {
    dir: TestDir,
}

impl Case {
    /// After an orderly stop.
    fn new(base: &Path) -> Self {
        let case = Self::crashed(base);
        let place = Place { data: case.dir.path(), db: &case.db(), keyspaces: &NAMES };
        super::mark_stopped(place).expect("marked");
        case
    }

    fn crashed(base: &Path) -> Self {
        let dir = TestDir::new();
        copy(base, &dir.path().join("db"));
        Self { dir }
    }

    fn db(&self) -> PathBuf {
        self.dir.path().join("db")
    }

    /// Repairs, opens, and checks that nothing wrong is served and nothing is lost in silence.
    fn survives(&self, model: &Model, may_be_torn: bool, what: &str) -> (Repair, Content) {
        let db = self.db();
        let place = Place { data: self.dir.path(), db: &db, keyspaces: &NAMES };
        let repair = make_sound(place, Depth::ORDINARY, &open)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let (database, keyspaces) = open(&db).unwrap_or_else(|error| panic!("{what}: {error}"));
        let content = content(&keyspaces);
        for ((nth, key), value) in &content {
            let known = (*nth, key.clone(), value.clone());
            assert!(model.ever.contains(&known), "{what}: {known:?} was never written");
        }
        let told = !repair.damage.is_empty() || (may_be_torn && repair.torn_bytes > 0);
        if content != model.now && !told {
            let missing = model.now.iter().filter(|(k, v)| content.get(*k) != Some(v)).count();
            panic!("{what}: {missing} records differ and nobody was told");
        }
        drop((database, keyspaces));
        let again = make_sound(place, Depth::ORDINARY, &open).expect("sound");
        assert!(again.damage.is_empty(), "{what}: still {:?}", again.damage);
        (repair, content)
    }
}

fn flip(path: &Path, at: usize, bits: u8) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= bits;
    fs::write(path, bytes).expect("written");
}

fn truncate(path: &Path, len: usize) {
    let file = fs::File::options().write(true).open(path).expect("opened");
    file.set_len(len as u64).expect("cut");
}

#[test]
fn a_sound_database_stays_as_it_is() {
    let base = TestDir::new();
    let model = build(base.path());
    let case = Case::new(base.path());
    let (repair, content) = case.survives(&model, false, "nothing");
    assert!(repair.damage.is_empty(), "{:?}", repair.damage);
    assert_eq!(content, model.now);
}

#[test]
fn a_rebuild_carries_everything() {
    let base = TestDir::new();
    let model = build(base.path());
    let case = Case::new(base.path());
    let db = case.db();
    let place = Place { data: case.dir.path(), db: &db, keyspaces: &NAMES };
    let repair = make_sound(place, Depth::Rebuild, &open).expect("rebuilt");
    assert_eq!(repair.rebuilt, Some(model.now.len() as u64), "{:?}", repair.damage);
    let (_db, keyspaces) = open(&db).expect("opened");
    assert_eq!(content(&keyspaces), model.now);
}

#[test]
fn every_file_may_be_missing_empty_or_cut() {
    let base = TestDir::new();
    let model = build(base.path());
    for file in files(base.path()) {
        let name = file.strip_prefix(base.path()).expect("inside").to_path_buf();
        let len = usize::try_from(fs::metadata(&file).expect("there").len()).expect("small");
        for cut in [None, Some(0), Some(len / 2), Some(len.saturating_sub(1))] {
            let case = Case::new(base.path());
            let path = case.db().join(&name);
            match cut {
                None => fs::remove_file(&path).expect("removed"),
                Some(len) => truncate(&path, len),
            }
            case.survives(&model, false, &format!("{} cut to {cut:?}", name.display()));
        }
    }
}

#[test]
fn a_torn_end_is_no_damage() {
    let base = TestDir::new();
    let model = build(base.path());
    let len = fs::metadata(base.path().join("2.jnl")).expect("there").len() as usize;
    for lost in [1, 12, 13, 14, 40, 100] {
        let case = Case::crashed(base.path());
        truncate(&case.db().join("2.jnl"), len - lost);
        let (repair, content) = case.survives(&model, true, "a torn end");
        assert!(repair.damage.is_empty(), "{lost}: {:?}", repair.damage);
        assert!(repair.torn_bytes > 0, "{lost}");
        let differ = model.now.iter().filter(|(k, v)| content.get(*k) != Some(v)).count()
            + content.keys().filter(|k| !model.now.contains_key(*k)).count();
        assert!(differ <= 3, "{lost}: {differ} records for one batch of three");
    }
}

#[test]
fn the_very_first_start_may_end_anywhere() {
    for files in [&["lock"][..], &["lock", "0.jnl"], &["lock", "0.jnl", "version"]] {
        let dir = TestDir::new();
        let db = dir.path().join("db");
        fs::create_dir_all(db.join("keyspaces")).expect("made");
        for name in files {
            let content = if *name == "version" { &b"FJL\x03"[..] } else { b"" };
            fs::write(db.join(name), content).expect("written");
        }
        let case = Case { dir };
        let (repair, _) = case.survives(&Model::default(), false, &format!("{files:?}"));
        assert!(repair.damage.is_empty(), "{files:?}: {:?}", repair.damage);
    }
}

#[test]
fn every_folder_may_be_missing() {
    let base = TestDir::new();
    let model = build(base.path());
    for name in ["keyspaces/0", "keyspaces/1", "keyspaces/3", "keyspaces/2/tables", "keyspaces"] {
        let case = Case::new(base.path());
        fs::remove_dir_all(case.db().join(name)).expect("removed");
        case.survives(&model, false, name);
    }
}

#[test]
fn strangers_do_no_harm() {
    let base = TestDir::new();
    let model = build(base.path());
    for name in ["x.jnl", "keyspaces/notes", "keyspaces/1/tables/notes", "07.txt", "-1.jnl"] {
        let case = Case::new(base.path());
        fs::write(case.db().join(name), "hello").expect("written");
        let (_, content) = case.survives(&model, false, name);
        assert_eq!(content, model.now, "{name}");
    }
    for name in ["9.jnl", "keyspaces/notes", "keyspaces/1/tables/77"] {
        let case = Case::new(base.path());
        fs::create_dir(case.db().join(name)).expect("made");
        let (_, content) = case.survives(&model, false, name);
        assert_eq!(content, model.now, "{name}");
    }
}

#[test]
fn a_hole_in_a_journal_takes_only_its_batch() {
    let base = TestDir::new();
    let model = build(base.path());
    for journal in ["0.jnl", "1.jnl", "2.jnl"] {
        let len = fs::metadata(base.path().join(journal)).expect("there").len() as usize;
        for nth in 1..20 {
            let case = Case::new(base.path());
            flip(&case.db().join(journal), len * nth / 20, 1 << (nth % 8));
            let what = format!("{journal} at {nth}/20");
            let (repair, content) = case.survives(&model, false, &what);
            assert!(!repair.damage.is_empty(), "{what} is told");
            let differ = model.now.iter().filter(|(k, v)| content.get(*k) != Some(v)).count()
                + content.keys().filter(|k| !model.now.contains_key(*k)).count();
            assert!(differ <= 3, "{what}: {differ} records for one batch of three");
        }
    }
}

#[test]
fn flips_and_cuts_anywhere() {
    let base = TestDir::new();
    let model = build(base.path());
    let all = files(base.path());
    let all = all.iter().filter(|f| fs::metadata(f).is_ok_and(|m| m.len() > 0));
    let all = all.collect::<Vec<_>>();
    let mut random = crate::test_dir::Random::new(7);
    let until = Instant::now() + Duration::from_secs(30);
    for round in 0..300 {
        if Instant::now() > until {
            break;
        }
        let case = Case::new(base.path());
        let mut what = format!("round {round}:");
        for _ in 0..=random.below(3) {
            let file = all[random.below(all.len() as u64) as usize];
            let name = file.strip_prefix(base.path()).expect("inside");
            let path = case.db().join(name);
            let len = fs::metadata(&path).expect("there").len();
            if len == 0 {
                continue;
            }
            let at = random.below(len) as usize;
            if random.below(4) == 0 {
                truncate(&path, at);
                what.push_str(&format!(" {} cut at {at};", name.display()));
            } else {
                let bits = 1 << random.below(8);
                flip(&path, at, bits);
                what.push_str(&format!(" {} flipped {bits:#x} at {at};", name.display()));
            }
        }
        case.survives(&model, false, &what);
    }
}
