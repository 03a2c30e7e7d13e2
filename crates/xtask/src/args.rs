//! The few flags of the commands: `--name` and `--name value`.
//!
//! Owns the words after the command's name. Knows no command.

use std::str::FromStr;

use crate::Result;

/// The words after the command's name that have not been taken yet.
pub(crate) struct Args(Vec<String>);

impl Args {
    /// Keeps the given words.
    pub(crate) fn new(words: impl IntoIterator<Item = String>) -> Self {
        Self(words.into_iter().collect())
    }

    /// Takes `--name` and says whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let found = self.0.iter().position(|word| word == name);
        if let Some(at) = found {
            self.0.remove(at);
        }
        found.is_some()
    }

    /// Takes `--name value`.
    pub(crate) fn value<T: FromStr>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(at) = self.0.iter().position(|word| word == name) else { return Ok(None) };
        if at + 1 >= self.0.len() {
            return Err(format!("{name} needs a value"));
        }
        let value = self.0.remove(at + 1);
        self.0.remove(at);
        value.parse().map(Some).map_err(|_| format!("{name}: cannot read '{value}'"))
    }

    /// Takes `--name a,b,c`.
    pub(crate) fn list(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        let text: Option<String> = self.value(name)?;
        Ok(text.map(|text| text.split(',').map(str::to_owned).collect()))
    }

    /// Refuses what nobody took.
    pub(crate) fn end(self) -> Result {
        match self.0.first() {
            None => Ok(()),
            Some(word) => Err(format!("unexpected argument '{word}'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Args;

    fn args(text: &str) -> Args {
        Args::new(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn takes_flags_and_values_in_any_order() {
        let mut words = args("--secs 3 --merge --only a,b");
        assert!(words.flag("--merge"));
        assert_eq!(words.value::<u32>("--secs"), Ok(Some(3)));
        assert_eq!(words.list("--only"), Ok(Some(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(words.end(), Ok(()));
    }

    #[test]
    fn refuses_what_nobody_took_and_bad_numbers() {
        assert!(args("--sec 3").end().is_err());
        assert!(args("--secs x").value::<u32>("--secs").is_err());
        assert!(args("--secs").value::<u32>("--secs").is_err());
    }
}
