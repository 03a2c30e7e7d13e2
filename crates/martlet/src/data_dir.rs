//! Where durable state is kept when nobody says so. Must not know what is in there.

use std::path::PathBuf;

/// `$XDG_DATA_HOME/martlet`, or `~/.local/share/martlet`; `None` without a home directory.
pub(crate) fn default_data_dir() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from);
    // The base directory specification: relative paths are to be ignored.
    let data = set("XDG_DATA_HOME").filter(|dir| dir.is_absolute());
    let home = || set("HOME").filter(|dir| dir.is_absolute()).map(|dir| dir.join(".local/share"));
    Some(data.or_else(home)?.join("martlet"))
}
