//! What stands where in a Rust file: code, comments, strings, functions, test-only parts.
//!
//! Owns a small lexer that is right about comments and literals, and nothing above that: it does
//! not parse Rust. Knows no rule of the project.

use std::ops::Range;

/// A Rust file, taken apart.
pub(crate) struct Source {
    /// The text with everything but code blanked; same length and lines as the file.
    pub(crate) code: Vec<u8>,
    /// The text with everything but comments blanked; same length and lines as the file.
    pub(crate) comments: Vec<u8>,
    line_starts: Vec<usize>,
    test_only: Vec<Range<usize>>,
    test_modules: Vec<String>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name without a path.
    pub(crate) name: String,
    /// Line of the word `fn`, from 1.
    pub(crate) line: usize,
    /// Lines from `fn` to the closing brace.
    pub(crate) lines: usize,
    /// Whether it is compiled for tests only.
    pub(crate) test_only: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

impl Source {
    /// Takes `text` apart.
    pub(crate) fn new(text: &str) -> Self {
        let bytes = text.as_bytes();
        let parts = parts(bytes);
        let keep = |part: Part| {
            let blank = |(byte, own): (&u8, &Part)| {
                if *byte == b'\n' || (*own == part && byte.is_ascii()) { *byte } else { b' ' }
            };
            bytes.iter().zip(&parts).map(blank).collect::<Vec<u8>>()
        };
        let line_ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let mut source = Self {
            code: keep(Part::Code),
            comments: keep(Part::Comment),
            line_starts: std::iter::once(0).chain(line_ends.map(|(at, _)| at + 1)).collect(),
            test_only: Vec::new(),
            test_modules: Vec::new(),
        };
        source.find_test_only();
        source
    }

    /// The line of a byte, from 1.
    pub(crate) fn line_of(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// Whether the line (from 1) is compiled for tests only.
    pub(crate) fn is_test_line(&self, line: usize) -> bool {
        self.test_only.iter().any(|part| {
            self.line_of(part.start) <= line && line <= self.line_of(part.end.saturating_sub(1))
        })
    }

    /// Names of the modules in other files that are compiled for tests only.
    pub(crate) fn test_modules(&self) -> &[String] {
        &self.test_modules
    }

    /// Lines that are neither test-only nor past the end.
    pub(crate) fn lines_without_tests(&self) -> usize {
        let lines = self.line_starts.len() - 1;
        (1..=lines).filter(|line| !self.is_test_line(*line)).count()
    }

    /// All places where `word` stands alone in the code.
    pub(crate) fn words(&self, word: &str) -> Vec<usize> {
        words(&self.code, word)
    }

    /// All functions that have a body, in order.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for at in self.words("fn") {
            let name_at = skip_spaces(&self.code, at + 2);
            let name_end = skip_while(&self.code, name_at, is_name);
            if name_end == name_at {
                continue; // a function pointer type
            }
            let Some(body) = body(&self.code, name_end) else { continue };
            let (line, last) = (self.line_of(at), self.line_of(body.end - 1));
            functions.push(Function {
                name: String::from_utf8_lossy(&self.code[name_at..name_end]).into_owned(),
                line,
                lines: last - line + 1,
                test_only: self.is_test_line(line),
            });
        }
        functions
    }

    /// Finds the items behind `#[cfg(test)]`, `#[cfg(all(test, ..))]` and `#[test]`.
    fn find_test_only(&mut self) {
        let text = self.code.clone();
        for mark in ["#[cfg(test)]", "#[cfg(all(test", "#[test]"] {
            let mut from = 0;
            while let Some(found) = find(&text[from..], mark.as_bytes()) {
                let at = from + found;
                from = at + mark.len();
                let attribute_end = at + find(&text[at..], b"]").unwrap_or(0) + 1;
                let Some(item) = item_end(&text, attribute_end) else { continue };
                self.test_only.push(at..item);
                self.test_modules.extend(module_name(&text[attribute_end..item]));
            }
        }
    }
}

/// All places in `text` where `word` stands alone.
pub(crate) fn words(text: &[u8], word: &str) -> Vec<usize> {
    let mut places = Vec::new();
    let mut from = 0;
    while let Some(found) = find(&text[from..], word.as_bytes()) {
        let at = from + found;
        let end = at + word.len();
        let alone =
            (at == 0 || !is_name(text[at - 1])) && text.get(end).is_none_or(|b| !is_name(*b));
        if alone {
            places.push(at);
        }
        from = end;
    }
    places
}

/// `mod NAME;` -> NAME.
fn module_name(item: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(item);
    let (before, name) = text.trim().strip_suffix(';')?.rsplit_once("mod ")?;
    let is_module = before.is_empty() || before.ends_with(|c: char| !c.is_alphanumeric());
    is_module.then(|| name.trim().to_owned())
}

/// The end of the item that begins at `from`: behind its `;` or its closing brace.
fn item_end(code: &[u8], from: usize) -> Option<usize> {
    let first = from + code[from..].iter().position(|byte| matches!(byte, b';' | b'{'))?;
    if code[first] == b';' { Some(first + 1) } else { closing_brace(code, first) }
}

/// The body of a function whose name ends at `from`, braces included.
fn body(code: &[u8], from: usize) -> Option<Range<usize>> {
    let mut depth = 0_i32;
    for (at, byte) in code.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => return closing_brace(code, at).map(|end| at..end),
            _ => {}
        }
    }
    None
}

/// The place behind the brace that closes the one at `open`.
fn closing_brace(code: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in code.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Which part each byte belongs to.
fn parts(bytes: &[u8]) -> Vec<Part> {
    let mut parts = vec![Part::Code; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let (end, part) = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => {
                (skip_while(bytes, at, |b| b != b'\n'), Part::Comment)
            }
            b'/' if bytes[at..].starts_with(b"/*") => (block_comment_end(bytes, at), Part::Comment),
            b'"' => (string_end(bytes, at), Part::Literal),
            b'\'' => match char_end(bytes, at) {
                Some(end) => (end, Part::Literal),
                None => (at + 1, Part::Code), // a lifetime
            },
            byte if is_name(byte) => {
                let end = skip_while(bytes, at, is_name);
                match raw_string_end(bytes, at, end) {
                    Some(end) => (end, Part::Literal),
                    None => (end, Part::Code),
                }
            }
            _ => (at + 1, Part::Code),
        };
        parts[at..end].fill(part);
        at = end;
    }
    parts
}

fn block_comment_end(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0;
    let mut at = from;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a raw string whose prefix (`r`, `br`, `cr`) is at `from..prefix_end`.
fn raw_string_end(bytes: &[u8], from: usize, prefix_end: usize) -> Option<usize> {
    if !matches!(&bytes[from..prefix_end], b"r" | b"br" | b"cr") {
        return None;
    }
    let quote = skip_while(bytes, prefix_end, |b| b == b'#');
    if bytes.get(quote) != Some(&b'"') {
        return None;
    }
    let mut closing = vec![b'"'];
    closing.extend_from_slice(&bytes[prefix_end..quote]);
    let length =
        find(&bytes[quote + 1..], &closing).unwrap_or(bytes.len() - quote - 1 - closing.len());
    Some(quote + 1 + length + closing.len())
}

/// The end of the character literal at `from`; `None` when it is a lifetime.
fn char_end(bytes: &[u8], from: usize) -> Option<usize> {
    if bytes.get(from + 1) == Some(&b'\\') {
        let closing = bytes.iter().skip(from + 3).position(|byte| *byte == b'\'')?;
        return Some(from + 3 + closing + 1);
    }
    let text = std::str::from_utf8(bytes.get(from + 1..(from + 6).min(bytes.len()))?);
    let text = text.or_else(|error| std::str::from_utf8(&bytes[from + 1..][..error.valid_up_to()]));
    let width = text.ok()?.chars().next()?.len_utf8();
    (bytes.get(from + 1 + width) == Some(&b'\'')).then_some(from + 1 + width + 1)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn skip_spaces(bytes: &[u8], from: usize) -> usize {
    skip_while(bytes, from, |byte| byte.is_ascii_whitespace())
}

fn skip_while(bytes: &[u8], from: usize, keep: impl Fn(u8) -> bool) -> usize {
    bytes.iter().skip(from).position(|byte| !keep(*byte)).map_or(bytes.len(), |n| from + n)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::{Function, Source};

    const TEXT: &str = r##"//! Head { "not a string
fn first<'a>(x: [u8; 4]) -> &'a str {
    let brace = '{'; // }}} unsafe
    let quote = '\'';
    "}" /* fn no() { /* nested */ } */
}
const RAW: &str = r#"fn raw() { " }"#;
fn declared(x: u8);
#[cfg(test)]
mod more;
#[cfg(test)]
mod tests {
    #[test]
    fn second() {
        unsafe {}
    }
}
fn third() {}
"##;

    #[test]
    fn finds_functions_and_their_lengths() {
        let function = |name: &str, line, lines, test_only| Function {
            name: name.to_owned(),
            line,
            lines,
            test_only,
        };
        let expected = [
            function("first", 2, 5, false),
            function("second", 14, 3, true),
            function("third", 18, 1, false),
        ];
        assert_eq!(Source::new(TEXT).functions(), expected);
    }

    #[test]
    fn tells_code_from_comments_and_literals() {
        let source = Source::new(TEXT);
        let lines = |word: &str| {
            source.words(word).into_iter().map(|at| source.line_of(at)).collect::<Vec<_>>()
        };
        assert_eq!(lines("unsafe"), [15]);
        assert_eq!(lines("raw"), [0_usize; 0]);
        assert_eq!(source.code.len(), TEXT.len());
    }

    #[test]
    fn tells_test_only_lines() {
        let source = Source::new(TEXT);
        assert_eq!(source.test_modules(), ["more"]);
        assert!(!source.is_test_line(8));
        assert!(source.is_test_line(10) && source.is_test_line(13) && source.is_test_line(17));
        assert!(!source.is_test_line(18));
        assert_eq!(source.lines_without_tests(), 9);
    }
}
