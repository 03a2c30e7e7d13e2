//! Damage: makes the files of a store such that the storage engine opens them and loses nothing in
//! silence. Goes before every opening, for the engine itself cuts journals off at the first bad
//! byte, removes keyspaces whose `current` is missing, and panics on some bad files. Must not know
//! what the records mean.
//!
//! What is bad goes aside into `damaged-<UTC time>`: single journals, which are written anew
//! without their bad parts, or the whole database, of which every record that can be read is
//! carried into a new one (`rebuild`).

mod archive;
mod aside;
mod bytes;
mod journals;
mod rebuild;
mod stop_mark;
mod table_file;
#[cfg(test)]
mod tests;
mod tree_files;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, PersistMode};

pub(crate) use aside::sync_folder;

use self::aside::Aside;
use self::journals::Journals;
use self::rebuild::JournalWords;
use self::table_file::Look;
use self::tree_files::{BadFile, Tree, entries};
use crate::alarm::Damage;

/// What the file `version` of a database contains.
const VERSION_MARK: &[u8] = b"FJL\x03";
/// Folder of the keyspaces in a database.
const KEYSPACES: &str = "keyspaces";
/// Key prefix, in keyspace 0, of the names of the others.
const NAME_PREFIX: u8 = b'n';
/// The new database while it is written, and once it is whole.
const PARTIAL: &str = "rebuilt.partial";
const REBUILT: &str = "rebuilt";

/// How closely the tables are looked at. Journals and all that describes tables are always
/// read wholly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Their items too, when they have at most so many bytes.
    UpTo(u64),
    /// Their items too: after the engine failed to read something.
    Whole,
    /// As if something were wrong with them: after the engine would not open what seems sound.
    Rebuild,
}

impl Depth {
    /// For an ordinary start: what is read in a fraction of a second.
    pub(crate) const ORDINARY: Self = Self::UpTo(256 << 20);
}

/// Opens a new database with the store's keyspaces, in the order in which the store makes them.
pub(crate) type Create<'a> = &'a dyn Fn(&Path) -> fjall::Result<(Database, Vec<Keyspace>)>;

/// What is to be looked after.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The data directory.
    pub(crate) data: &'a Path,
    /// The database in it.
    pub(crate) db: &'a Path,
    /// Its keyspaces, in the order in which the store makes them.
    pub(crate) keyspaces: &'a [&'a str],
}

/// What was found and done.
#[derive(Debug, Default)]
pub(crate) struct Repair {
    /// What was wrong.
    pub(crate) damage: Vec<Damage>,
    /// Bytes at the end of the journal that a crash left of an unfinished batch: no damage.
    pub(crate) torn_bytes: u64,
    /// Records in the new database, if one had to be made.
    pub(crate) rebuilt: Option<u64>,
}

pub(crate) fn engine_error(error: fjall::Error) -> io::Error {
    match error {
        fjall::Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

/// Looks at a database that nobody has open, and makes it fit for opening.
///
/// # Errors
/// What the operating system refuses; for a rebuild also a full disk. Damage is none.
pub(crate) fn make_sound(place: Place<'_>, depth: Depth, create: Create<'_>) -> io::Result<Repair> {
    let mut aside = Aside::new(place.data);
    finish_swap(place, &mut aside)?;
    let found = look(place, depth, &mut aside)?;
    let Inspection { mut repair, trees, journals, state } = found;
    match state {
        State::Absent => {}
        State::Unfinished => {
            fs::remove_dir_all(place.db)?;
            sync_folder(place.data)?;
        }
        State::Present if !trees.sound || depth == Depth::Rebuild => {
            let carried = rebuild_all(place, &trees, &journals, create)?;
            let kept = swap(place, &mut aside)?;
            for damage in &mut repair.damage {
                damage.aside.get_or_insert_with(|| kept.clone());
            }
            repair.damage.push(Damage { aside: Some(kept), ..carried.say() });
            repair.rebuilt = Some(carried.records);
        }
        State::Present if journals.paths.is_empty() => {
            // Without any journal the engine would take all tables for the future's, and show
            // nothing.
            File::create_new(place.db.join("0.jnl"))?.sync_all()?;
            sync_folder(place.db)?;
        }
        State::Present => {}
    }
    stop_mark::remove(place.data)?;
    Ok(repair)
}

/// Looks at a database that nobody has open, and changes nothing.
///
/// # Errors
/// What the operating system refuses.
pub(crate) fn inspect(place: Place<'_>) -> io::Result<Inspection> {
    let rebuilt = place.data.join(REBUILT);
    let db = if rebuilt.exists() { &rebuilt } else { place.db };
    look(Place { db, ..place }, Depth::Whole, &mut Aside::look_only(place.data))
}

/// What was found in a database.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) repair: Repair,
    trees: Trees,
    journals: Journals,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no database.
    Absent,
    /// The very first start ended before its database was complete.
    Unfinished,
    /// There is one.
    Present,
}

impl Inspection {
    /// Gives every record that can be read: the place of its keyspace in `order`, key and value; in
    /// the order of keyspaces and keys. What the tables keep to themselves is in the answer.
    pub(crate) fn each_record(
        &self,
        order: &[&str],
        give: &mut dyn FnMut(usize, Vec<u8>, Vec<u8>) -> io::Result<()>,
    ) -> io::Result<Repair> {
        let mut words = JournalWords::read(&self.journals.paths)?;
        let nothing = Tree::default();
        let mut repair = Repair::default();
        for (nth, name) in order.iter().enumerate() {
            let Some((number, _)) = self.trees.names.iter().find(|(_, known)| known == name) else {
                continue;
            };
            let tree = self.trees.trees.get(number).unwrap_or(&nothing);
            let carried = rebuild::each_record(*number, tree, &mut words, &mut |key, value| {
                give(nth, key, value)
            })?;
            if carried.bad_blocks > 0 {
                let (bytes, blocks) = (carried.bad_bytes, carried.bad_blocks);
                let what =
                    format!("{bytes} bytes in {blocks} places of tables of {name} are unreadable");
                repair.damage.push(Damage { what, aside: None, records: 0 });
            }
        }
        Ok(repair)
    }
}

fn look(place: Place<'_>, depth: Depth, aside: &mut Aside) -> io::Result<Inspection> {
    let stopped = stop_mark::read(place.data)?;
    let mut found = Inspection {
        repair: Repair::default(),
        trees: Trees { sound: true, ..Trees::default() },
        journals: Journals::default(),
        state: State::Absent,
    };
    let damage = &mut found.repair.damage;
    let mut lost = |what: &str| {
        damage.push(Damage { what: what.to_owned(), aside: None, records: 0 });
    };
    if entries(place.db)?.is_empty() {
        if stopped.is_some() {
            lost("the database is missing, all that was stored is lost");
        }
        return Ok(found);
    }
    let bare = check_marks(place.db, aside, damage)?;
    found.journals = journals::make_sound(place.db, stopped.as_deref(), aside, damage)?;
    found.repair.torn_bytes = found.journals.torn_bytes;
    if bare && found.journals.batches == 0 && !any_tables(place.db)? {
        found.state = State::Unfinished;
        return Ok(found);
    }
    found.state = State::Present;
    let look = look_for(place.db, depth)?;
    found.trees = look_at_trees(place, look, &found.journals, aside, damage)?;
    if found.journals.paths.is_empty() && any_items(&found.trees) && stopped.is_none() {
        let what = "all journals are missing: what was not yet in tables is lost".to_owned();
        damage.push(Damage { what, aside: None, records: 0 });
    }
    Ok(found)
}

/// After an orderly stop, when nobody has the database open any more: writes down what the next
/// [`make_sound`] is to find.
pub(crate) fn mark_stopped(place: Place<'_>) -> io::Result<()> {
    stop_mark::write(place.data, place.db)
}

/// What the trees of a database are.
#[derive(Debug, Default)]
struct Trees {
    /// By number, keyspace 0 left out.
    trees: BTreeMap<u64, Tree>,
    /// Names by number.
    names: BTreeMap<u64, String>,
    sound: bool,
}

fn any_items(trees: &Trees) -> bool {
    trees.trees.values().any(|tree| !tree.tables.is_empty())
}

/// A repair that ended between its two renames.
fn finish_swap(place: Place<'_>, aside: &mut Aside) -> io::Result<()> {
    let partial = place.data.join(PARTIAL);
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    if place.data.join(REBUILT).exists() {
        swap(place, aside)?;
    }
    Ok(())
}

/// Puts the new database in the place of the old one; where that is now.
fn swap(place: Place<'_>, aside: &mut Aside) -> io::Result<PathBuf> {
    let kept = if place.db.exists() { aside.take(place.db)? } else { PathBuf::new() };
    fs::rename(place.data.join(REBUILT), place.db)?;
    sync_folder(place.data)?;
    Ok(kept)
}

/// The lock file and the mark of the format, without which the engine does not open. Whether the
/// mark was missing altogether.
fn check_marks(db: &Path, aside: &mut Aside, damage: &mut Vec<Damage>) -> io::Result<bool> {
    let lock = db.join("lock");
    if !lock.exists() && aside.may_change() {
        File::create_new(&lock)?;
    }
    let path = db.join("version");
    let found = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        found => Some(found?),
    };
    if found.as_deref() == Some(VERSION_MARK) {
        return Ok(false);
    }
    let journals_or_tables = !entries(&db.join(KEYSPACES))?.is_empty();
    if found.is_none() && !journals_or_tables {
        return Ok(true);
    }
    let kept = found.is_some().then(|| aside.take(&path)).transpose()?;
    let what = match kept {
        Some(_) => "the file version is damaged",
        None => "the file version is missing",
    };
    damage.push(Damage { what: what.to_owned(), aside: kept, records: 0 });
    if aside.may_change() {
        fs::write(&path, VERSION_MARK)?;
        File::open(&path)?.sync_all()?;
        sync_folder(db)?;
    }
    Ok(false)
}

fn any_tables(db: &Path) -> io::Result<bool> {
    for folder in entries(&db.join(KEYSPACES))? {
        if tree_files::has_tables(&folder)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn look_for(db: &Path, depth: Depth) -> io::Result<Look> {
    let Depth::UpTo(max) = depth else { return Ok(Look::Whole) };
    let mut bytes = 0;
    for folder in entries(&db.join(KEYSPACES))? {
        bytes += tree_files::tables_bytes(&folder)?;
    }
    Ok(if bytes <= max { Look::Whole } else { Look::Frame })
}

fn look_at_trees(
    place: Place<'_>,
    look: Look,
    journals: &Journals,
    aside: &mut Aside,
    damage: &mut Vec<Damage>,
) -> io::Result<Trees> {
    let folder = place.db.join(KEYSPACES);
    let mut all = Trees { sound: true, ..Trees::default() };
    for path in entries(&folder)? {
        let Some(keyspace) = rebuild::keyspace_number(&path) else {
            let what = format!("{} is no keyspace", path.display());
            damage.push(Damage { what, aside: Some(aside.take(&path)?), records: 0 });
            continue;
        };
        // Keyspace 0 is small, and everything hangs on it.
        let look = if keyspace == 0 { Look::Whole } else { look };
        all.trees.insert(keyspace, tree_files::look_at(&path, look)?);
    }
    let meta = all.trees.remove(&0);
    let meta_sound = meta.as_ref().is_some_and(|tree| tree.bad.is_empty());
    if let Some(meta) = &meta {
        report(place.db, &meta.bad, damage);
        all.names = names(meta)?;
    }
    all.sound = meta_sound;
    if meta.is_none() {
        if aside.may_change() {
            fs::create_dir_all(&folder)?;
        }
        all.sound = all.trees.is_empty() && journals.batches == 0;
        if !all.sound {
            let what = "the keyspace 0, which names the others, is missing".to_owned();
            damage.push(Damage { what, aside: None, records: 0 });
        }
    }
    drop_unfinished(&mut all, &folder, meta_sound)?;
    for tree in all.trees.values() {
        all.sound &= tree.bad.is_empty();
        report(place.db, &tree.bad, damage);
    }
    for (keyspace, name) in &all.names {
        if !all.trees.contains_key(keyspace) {
            all.sound = false;
            let what = format!("the folder of the keyspace {name} is missing");
            damage.push(Damage { what, aside: None, records: 0 });
        }
    }
    name_the_unnamed(&mut all, place.keyspaces, journals)?;
    Ok(all)
}

/// A keyspace that keyspace 0 does not know and that has no tables was being made when a life
/// ended; the engine removes it.
fn drop_unfinished(all: &mut Trees, folder: &Path, meta_sound: bool) -> io::Result<()> {
    let unnamed = all.trees.keys().copied().filter(|number| !all.names.contains_key(number));
    for number in unnamed.collect::<Vec<_>>() {
        if !tree_files::has_tables(&folder.join(number.to_string()))? && meta_sound {
            all.trees.remove(&number);
        } else {
            all.sound = false;
        }
    }
    Ok(())
}

/// Keyspaces whose name is lost have the number that the store's order gave them.
fn name_the_unnamed(all: &mut Trees, order: &[&str], journals: &Journals) -> io::Result<()> {
    if all.sound {
        return Ok(());
    }
    let spoken_of = JournalWords::read(&journals.paths)?.keyspaces().collect::<Vec<_>>();
    for number in all.trees.keys().copied().chain(spoken_of).collect::<Vec<_>>() {
        let nth = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let usual = nth.and_then(|nth| order.get(nth)).map(|name| (*name).to_owned());
        if let Some(name) = usual.filter(|name| !all.names.values().any(|known| known == name)) {
            all.names.entry(number).or_insert(name);
        }
    }
    Ok(())
}

fn report(db: &Path, bad: &[BadFile], damage: &mut Vec<Damage>) {
    for file in bad {
        let name = file.path.strip_prefix(db).unwrap_or(&file.path);
        let what = format!("the file {} is {}", name.display(), file.what);
        damage.push(Damage { what, aside: None, records: 0 });
    }
}

/// The names of the keyspaces, as keyspace 0 has them.
fn names(meta: &Tree) -> io::Result<BTreeMap<u64, String>> {
    let mut names = BTreeMap::new();
    for (key, value) in rebuild::read_tree(meta)? {
        let id = key.strip_prefix(&[NAME_PREFIX]).and_then(|id| <[u8; 8]>::try_from(id).ok());
        if let (Some(id), Ok(name)) = (id, String::from_utf8(value)) {
            names.insert(u64::from_be_bytes(id), name);
        }
    }
    Ok(names)
}

/// Makes the new database, complete and on the disk, beside the old one.
fn rebuild_all(
    place: Place<'_>,
    trees: &Trees,
    journals: &Journals,
    create: Create<'_>,
) -> io::Result<rebuild::Carried> {
    let partial = place.data.join(PARTIAL);
    let mut total = rebuild::Carried::default();
    let mut words = JournalWords::read(&journals.paths)?;
    let (db, keyspaces) = create(&partial).map_err(engine_error)?;
    let nothing = Tree::default();
    for (number, name) in &trees.names {
        let Some(keyspace) = keyspaces.iter().find(|keyspace| &**keyspace.name() == name) else {
            continue;
        };
        let tree = trees.trees.get(number).unwrap_or(&nothing);
        let carried = rebuild::carry(*number, tree, &mut words, (&db, keyspace))?;
        total.records += carried.records;
        total.bad_bytes += carried.bad_bytes;
        total.bad_blocks += carried.bad_blocks;
    }
    db.persist(PersistMode::SyncAll).map_err(engine_error)?;
    drop((keyspaces, db));
    sync_folder(&partial)?;
    fs::rename(&partial, place.data.join(REBUILT))?;
    sync_folder(place.data)?;
    Ok(total)
}
