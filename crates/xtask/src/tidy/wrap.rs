//! `cargo xtask tidy --wrap`: flows comment paragraphs that are too wide into lines that are not.
//!
//! Owns what a paragraph of a comment is. A comment behind code that makes the line too wide goes
//! onto a line of its own above. Code stays as it is: that is rustfmt's part, which cannot do this
//! one on the stable toolchain.

use super::sizes::LINE_WIDTH_MAX;
use crate::Result;
use crate::project::Project;
use crate::source::Source;

/// Wraps the comments of all Rust files that need it.
pub(super) fn command(project: &Project) -> Result {
    for file in project.files(&[".rs"])? {
        let wrapped = wrap(&lift(&file.text));
        if wrapped != file.text {
            println!("tidy: wrapped comments of {}", file.path);
            project.write(&file.path, &wrapped)?;
        }
    }
    Ok(())
}

/// The text with the comments of wide lines above their code.
fn lift(text: &str) -> String {
    let comments = String::from_utf8_lossy(&Source::new(text).comments).into_owned();
    let mut out = String::new();
    for (line, comment) in text.lines().zip(comments.lines()) {
        let start = comment.len() - comment.trim_start().len();
        let is_behind_code = !comment.trim().is_empty()
            && comment[start..].starts_with("//")
            && !line[..start].trim().is_empty();
        if is_behind_code && line.chars().count() > LINE_WIDTH_MAX {
            let indent = &line[..line.len() - line.trim_start().len()];
            out.push_str(&format!("{indent}{}\n{}\n", &line[start..], line[..start].trim_end()));
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// A comment line: what stands before its words, and the words.
struct Line<'a> {
    prefix: &'a str,
    words: &'a str,
}

impl<'a> Line<'a> {
    /// `None` when the line is not a comment from its beginning.
    fn new(line: &'a str) -> Option<Self> {
        let indent = line.len() - line.trim_start().len();
        let marks = ["///", "//!", "//"];
        let mark = marks.iter().find(|mark| line[indent..].starts_with(**mark))?;
        let (prefix, words) = line.split_at(indent + mark.len());
        Some(Self { prefix, words })
    }

    /// Whether the line begins something of its own: a list item, a table row, a heading, code.
    fn stands_alone(&self) -> bool {
        let text = self.words.strip_prefix(' ').unwrap_or(self.words);
        let item = text.split_whitespace().next().unwrap_or_default();
        text.is_empty()
            || text.starts_with([' ', '|', '#', '`', '>'])
            || matches!(item, "-" | "*" | "+")
            || item.strip_suffix(['.', ')']).is_some_and(|n| n.parse::<u32>().is_ok())
            || item.starts_with("[MQTT")
            || item.starts_with("SAFETY:")
    }

    /// The indent of the lines that continue this one.
    fn continuation(&self) -> &'static str {
        let text = self.words.trim_start();
        if text.starts_with("- ") || text.starts_with("* ") { "   " } else { " " }
    }
}

/// The text with its wide comment paragraphs flowed.
fn wrap(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::new();
    let mut fenced = false;
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        let comment = Line::new(line);
        fenced ^= comment.as_ref().is_some_and(|comment| comment.words.trim().starts_with("```"));
        let is_wide = line.chars().count() > LINE_WIDTH_MAX;
        let Some(first) = comment.filter(|_| is_wide && !fenced) else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let mut words: Vec<&str> = first.words.split_whitespace().collect();
        while let Some(next) = lines.get(at).and_then(|line| Line::new(line)) {
            if next.prefix != first.prefix || next.stands_alone() {
                break;
            }
            words.extend(next.words.split_whitespace());
            at += 1;
        }
        flow(&first, &words, &mut out);
    }
    out
}

/// Writes the words in lines that are not too wide.
fn flow(first: &Line<'_>, words: &[&str], out: &mut String) {
    let lead = &first.words[..first.words.len() - first.words.trim_start().len()];
    let mut line = format!("{}{lead}", first.prefix);
    let mut is_empty = true;
    for word in words {
        let width = line.chars().count() + usize::from(!is_empty) + word.chars().count();
        if !is_empty && width > LINE_WIDTH_MAX {
            out.push_str(line.trim_end());
            out.push('\n');
            line = format!("{}{}", first.prefix, first.continuation());
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::{lift, wrap};

    #[test]
    fn lifts_a_comment_from_behind_wide_code() {
        let code = format!("    let x = \"// {}\";", "y".repeat(70));
        let text = format!("{code} // why it is so, at length\nlet z = 1; // short\n");
        let lifted = format!("    // why it is so, at length\n{code}\nlet z = 1; // short\n");
        assert_eq!(lift(&text), lifted);
        assert_eq!(lift(&lifted), lifted);
    }

    #[test]
    fn flows_a_paragraph_and_leaves_the_rest() {
        let wide = "word ".repeat(22);
        let text =
            format!("    /// {wide}\n    /// end.\n    ///\n    /// next\nlet x = 1; // {wide}\n");
        let wrapped = wrap(&text);
        let lines: Vec<&str> = wrapped.lines().collect();
        assert!(lines[..2].iter().all(|line| line.chars().count() <= 100), "{wrapped}");
        assert!(lines[1].ends_with("word end."), "{wrapped}");
        assert_eq!(lines[2..4], ["    ///", "    /// next"]);
        assert_eq!(wrapped.split_whitespace().filter(|word| *word == "word").count(), 44);
        assert_eq!(wrap(&wrapped), wrapped);
    }

    #[test]
    fn keeps_lists_and_code() {
        let item = format!("// - {}\n// - b\n", "x ".repeat(60));
        let wrapped = wrap(&item);
        assert!(wrapped.lines().nth(1).is_some_and(|line| line.starts_with("//   x")), "{wrapped}");
        assert!(wrapped.ends_with("\n// - b\n"));
        let code = format!("/// ```\n/// {}\n/// ```\n", "x ".repeat(60));
        assert_eq!(wrap(&code), code);
    }
}
