//! Damage to the files of a store: it opens all the same, serves what is not damaged and nothing
//! that is wrong, sets the bad part aside under a name, and says so.

mod damage_rig;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use damage_rig::{Content, Folder, Said, files, fill, missing, read, read_while};

/// A store and what it holds; made once for all tests.
fn whole() -> &'static (Folder, Content) {
    static WHOLE: OnceLock<(Folder, Content)> = OnceLock::new();
    WHOLE.get_or_init(|| {
        let folder = Folder::named(&format!("damage-whole-{}", std::process::id()));
        fill(folder.path());
        let copy = Folder::copy_of(folder.path());
        let (content, said) = read(copy.path(), "sound");
        assert!(said.is_silent(), "{said:?}");
        (folder, content)
    })
}

/// Damages a copy of the store, and reads it. Loss has to be told, and to have a name if a file is
/// still there.
fn damaged(what: &str, damage: impl FnOnce(&Path)) -> (Content, Said, Folder) {
    let (folder, whole) = whole();
    let copy = Folder::copy_of(folder.path());
    damage(copy.path());
    let (content, said) = read(copy.path(), what);
    let missing = missing(&content, whole, what);
    assert!(content.is_same(whole) || !said.is_silent(), "{what}: {missing} missing, nothing said");
    let (again, later) = read(copy.path(), what);
    assert!(again.is_same(&content), "{what}: another content the second time");
    assert!(later.is_silent(), "{what}: still {later:?}");
    (content, said, copy)
}

fn flip(path: &Path, at: usize, bits: u8) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= bits;
    fs::write(path, bytes).expect("written");
}

fn cut(path: &Path, len: usize) {
    let file = fs::File::options().write(true).open(path).expect("opened");
    file.set_len(len as u64).expect("cut");
}

fn names_aside(folder: &Folder) -> Vec<String> {
    let names = fs::read_dir(folder.path()).expect("listed");
    let names = names.map(|entry| entry.expect("listed").file_name().into_string().expect("text"));
    names.filter(|name| name.starts_with("damaged-")).collect()
}

#[test]
fn the_store_has_something_of_every_kind() {
    let (folder, content) = whole();
    assert_eq!(content.sessions.len() as u64, damage_rig::SESSIONS - 1);
    assert!(content.sessions.values().all(|session| session.flights.len() == 2));
    assert!(content.sessions.values().all(|session| session.subscriptions.len() == 3));
    assert!(content.sessions.values().all(|session| session.incoming.len() == 1));
    assert!(content.waiting.len() > 1000, "{}", content.waiting.len());
    assert!(content.retained.len() > 40, "{}", content.retained.len());
    let tables = |keyspace: &str| {
        let path = format!("store/keyspaces/{keyspace}/tables");
        files(folder.path()).iter().filter(|file| file.starts_with(&path)).count()
    };
    assert!(tables("1") > 0 && tables("2") > 0, "{:?}", files(folder.path()));
}

#[test]
fn every_file_may_be_missing_or_cut() {
    for name in files(whole().0.path()) {
        if name == Path::new("lock") || name == Path::new("stopped") {
            continue;
        }
        let what = format!("{} removed", name.display());
        damaged(&what, |dir| fs::remove_file(dir.join(&name)).expect("removed"));
        let what = format!("{} halved", name.display());
        damaged(&what, |dir| {
            let len = fs::metadata(dir.join(&name)).expect("there").len();
            cut(&dir.join(&name), len as usize / 2);
        });
    }
}

#[test]
fn every_file_may_have_a_wrong_bit() {
    for (nth, name) in files(whole().0.path()).into_iter().enumerate() {
        let len = fs::metadata(whole().0.path().join(&name)).expect("there").len() as usize;
        if len == 0 || name == Path::new("stopped") || name == Path::new("lock") {
            continue;
        }
        for part in [1, 11, 19] {
            let at = (len * part / 20).min(len - 1);
            let what = format!("{} flipped at {at} of {len}", name.display());
            damaged(&what, |dir| flip(&dir.join(&name), at, 1 << (nth % 8)));
        }
    }
}

#[test]
fn bits_and_cuts_anywhere() {
    let all = files(whole().0.path());
    let mut state = 0x9e37_79b9u64;
    let mut below = move |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % end as u64) as usize
    };
    let until = Instant::now() + Duration::from_secs(25);
    for round in 0..300 {
        if Instant::now() > until {
            break;
        }
        let mut what = format!("round {round}:");
        damaged_in_places(&mut what, &all, &mut below);
    }
}

/// Up to three files of one store.
fn damaged_in_places(what: &mut String, all: &[PathBuf], below: &mut impl FnMut(usize) -> usize) {
    let (folder, _) = whole();
    let mut wrong = Vec::new();
    for _ in 0..=below(3) {
        let name = &all[below(all.len())];
        let len = fs::metadata(folder.path().join(name)).expect("there").len() as usize;
        // Without the mark of a stop, what is missing at an end passes for a crash.
        if len == 0 || name == Path::new("lock") || name == Path::new("stopped") {
            continue;
        }
        let (at, bits) = (below(len), 1u8 << below(8));
        let is_cut = below(4) == 0;
        what.push_str(&format!(" {} {at} {}", name.display(), if is_cut { 0 } else { bits }));
        wrong.push((name.clone(), at, bits, is_cut));
    }
    damaged(what, |dir| {
        for (name, at, bits, is_cut) in &wrong {
            let path = dir.join(name);
            match is_cut {
                true => cut(&path, *at),
                false if *at < fs::metadata(&path).expect("there").len() as usize => {
                    flip(&path, *at, *bits);
                }
                false => {}
            }
        }
    });
}

#[test]
fn a_block_that_goes_bad_while_the_store_runs() {
    let (folder, _) = whole();
    let copy = Folder::copy_of(folder.path());
    let said = read_while(copy.path(), "going bad", || {
        for name in files(copy.path()) {
            let path = copy.path().join(&name);
            if name.starts_with("store/keyspaces/2/tables") {
                let len = fs::metadata(&path).expect("there").len() as usize;
                (1..20).for_each(|part| flip(&path, len * part / 25, 1));
            }
        }
    });
    assert!(said.damaged > 0 || !said.alarms.is_empty(), "{said:?}");
    // The next start sets the rest aside.
    let (content, _) = read(copy.path(), "after");
    missing(&content, &whole().1, "after");
    let (_, said) = read(copy.path(), "later");
    assert!(said.is_silent(), "{said:?}");
}

#[test]
fn a_bad_block_takes_little_with_it() {
    let (folder, whole) = whole();
    let table =
        files(folder.path()).into_iter().find(|f| f.starts_with("store/keyspaces/2/tables"));
    let table = table.expect("a table");
    // Which block has messages that still count depends on how the tables were merged.
    let tried = (1..8).map(|part| {
        let (content, said, copy) = damaged("one bit in a table", |dir| {
            let path = dir.join(&table);
            let len = fs::metadata(&path).expect("there").len() as usize;
            flip(&path, len * part / 8, 1);
        });
        (missing(&content, whole, "one bit in a table"), said, copy)
    });
    let (lost, said, copy) =
        tried.into_iter().find(|(lost, ..)| *lost > 0).expect("a block with messages");
    assert!(lost < 40, "{lost} of {}", whole.waiting.len() + whole.retained.len());
    assert_eq!(names_aside(&copy).len(), 1);
    let text = said.open.damage.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(text.contains("tables") && text.contains("set aside as"), "{text}");
    assert!(text.contains("records were carried into a new database"), "{text}");
}

#[test]
fn the_whole_database_may_be_missing() {
    let (content, said, _) = damaged("all", |dir| {
        fs::remove_dir_all(dir.join("store")).expect("removed");
    });
    assert!(content.sessions.is_empty() && content.retained.is_empty());
    let text = said.open.damage[0].to_string();
    assert!(text.contains("the database is missing"), "{text}");
}
