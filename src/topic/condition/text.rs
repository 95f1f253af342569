//! Patterns of `like` and `match` as what the crate `regex` decides in linear time.
//!
//! Only whether there is a match counts, never where: so greed and the leftmost-longest rule of Postgres
//! make no difference, and each construct is either regular, and written anew here, or refused by its name.
//! All as under COLLATE "C": classes of characters and the folding of case concern ASCII alone (PostgreSQL
//! manual, 9.7.3 and 24.2.2; `regc_locale.c`). The pattern's validity is the database's to check.

use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};
use thiserror::Error;

use crate::topic::filter::Matching;

/// Memory that one compiled pattern may take, in bytes.
const PROGRAM_BYTES: usize = 256 * 1024;

/// A pattern with the program that decides it.
#[derive(Clone, Debug)]
pub struct TextPattern {
    matching: Matching,
    source: Box<str>,
    program: Regex,
}

/// Why a pattern is not served.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// A construct without an exact translation.
    #[error("{0} cannot be decided exactly as Postgres would")]
    Untranslatable(&'static str),
    /// It is none at all.
    #[error("it is no regular expression")]
    Unreadable,
    /// It ends within something.
    #[error("it ends too early")]
    Unfinished,
    /// Its program would be too large.
    #[error("its program takes more than {PROGRAM_BYTES} bytes")]
    TooLarge,
}

impl PartialEq for TextPattern {
    fn eq(&self, other: &Self) -> bool {
        (self.matching, &self.source) == (other.matching, &other.source)
    }
}

impl Eq for TextPattern {}

impl Hash for TextPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.matching, &self.source).hash(state);
    }
}

impl TextPattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// Names what cannot be translated.
    pub fn new(matching: Matching, source: &str) -> Result<Self, PatternError> {
        let mut translation =
            Translation { rest: source.chars().peekable(), out: String::new(), folds: matching.folds() };
        match matching {
            Matching::Like | Matching::ILike => translation.like()?,
            Matching::Match | Matching::IMatch => translation.expression()?,
        }
        let program = RegexBuilder::new(&translation.out).size_limit(PROGRAM_BYTES).build().map_err(
            |error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
                _ => PatternError::Unreadable,
            },
        )?;
        Ok(Self { matching, source: source.into(), program })
    }

    /// The pattern as Postgres reads it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether a text matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.program.is_match(text)
    }
}

/// Characters by ranges, both ends included.
type Ranges = Vec<(char, char)>;

struct Translation<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    folds: bool,
}

const ANY: &str = "(?s:.)";

impl Translation<'_> {
    /// `%` is any text, `_` any character, and a backslash takes such a meaning away (manual, 9.7.1).
    fn like(&mut self) -> Result<(), PatternError> {
        self.out.push_str("\\A");
        while let Some(character) = self.rest.next() {
            match character {
                '%' => {
                    self.out.push_str(ANY);
                    self.out.push('*');
                }
                '_' => self.out.push_str(ANY),
                '\\' => {
                    let escaped = self.rest.next().ok_or(PatternError::Unfinished)?;
                    self.literal(escaped);
                }
                other => self.literal(other),
            }
        }
        self.out.push_str("\\z");
        Ok(())
    }

    /// An advanced regular expression (manual, 9.7.3.1).
    fn expression(&mut self) -> Result<(), PatternError> {
        let whole: String = self.rest.clone().collect();
        if whole.starts_with("***") {
            return Err(PatternError::Untranslatable("the director ***"));
        }
        while let Some(character) = self.rest.next() {
            match character {
                '.' => self.out.push_str(ANY),
                '^' => self.out.push_str("\\A"),
                '$' => self.out.push_str("\\z"),
                '|' | ')' | '*' | '+' | '?' => self.out.push(character),
                '(' => self.group()?,
                '[' => self.bracket()?,
                '{' => self.bound()?,
                '\\' => self.escape()?,
                other => self.literal(other),
            }
        }
        Ok(())
    }

    fn group(&mut self) -> Result<(), PatternError> {
        if self.rest.next_if_eq(&'?').is_some() {
            return match self.rest.next() {
                Some(':') => {
                    self.out.push_str("(?:");
                    Ok(())
                }
                Some('=' | '!' | '<') => Err(PatternError::Untranslatable("looking ahead or behind")),
                _ => Err(PatternError::Untranslatable("an embedded option")),
            };
        }
        // What is captured is of no interest.
        self.out.push_str("(?:");
        Ok(())
    }

    /// `{m}`, `{m,}` or `{m,n}`; a brace before anything but a digit is itself.
    fn bound(&mut self) -> Result<(), PatternError> {
        if !self.rest.peek().is_some_and(char::is_ascii_digit) {
            self.literal('{');
            return Ok(());
        }
        self.out.push('{');
        loop {
            match self.rest.next().ok_or(PatternError::Unfinished)? {
                '}' => break,
                character @ ('0'..='9' | ',') => self.out.push(character),
                _ => return Err(PatternError::Untranslatable("such a bound")),
            }
        }
        self.out.push('}');
        Ok(())
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        match self.rest.next().ok_or(PatternError::Unfinished)? {
            'A' => self.out.push_str("\\A"),
            'Z' => self.out.push_str("\\z"),
            'y' => self.out.push_str("(?-u:\\b)"),
            'm' => self.out.push_str("(?-u:\\b{start})"),
            'M' => self.out.push_str("(?-u:\\b{end})"),
            letter @ ('d' | 's' | 'w') => self.set(false, class_escape(letter)?),
            letter @ ('D' | 'S' | 'W') => self.set(true, class_escape(letter.to_ascii_lowercase())?),
            other => {
                let literal = character_escape(other)?;
                self.literal(literal);
            }
        }
        Ok(())
    }

    /// A bracket expression: of single characters, ranges, and classes by name.
    fn bracket(&mut self) -> Result<(), PatternError> {
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut set = Ranges::new();
        let mut first = true;
        loop {
            let character = self.rest.next().ok_or(PatternError::Unfinished)?;
            if character == ']' && !first {
                break;
            }
            first = false;
            let begin = match (character, self.rest.peek()) {
                ('[', Some(':')) => {
                    self.rest.next();
                    let mut name = String::new();
                    while let Some(letter) = self.rest.next_if(char::is_ascii_alphabetic) {
                        name.push(letter);
                    }
                    if (self.rest.next(), self.rest.next()) != (Some(':'), Some(']')) {
                        return Err(PatternError::Unfinished);
                    }
                    set.extend(class(&name)?);
                    continue;
                }
                ('[', Some('.' | '=')) => {
                    return Err(PatternError::Untranslatable("a collating element"));
                }
                ('\\', Some('d' | 's' | 'w')) => {
                    let letter = self.rest.next().ok_or(PatternError::Unfinished)?;
                    set.extend(class_escape(letter)?);
                    continue;
                }
                ('\\', Some(_)) => character_escape(self.rest.next().ok_or(PatternError::Unfinished)?)?,
                (other, _) => other,
            };
            let mut ahead = self.rest.clone();
            let ranges = ahead.next() == Some('-') && ahead.next().is_some_and(|end| end != ']');
            if !ranges {
                set.push((begin, begin));
                continue;
            }
            self.rest.next();
            let end = match self.rest.next().ok_or(PatternError::Unfinished)? {
                '\\' => character_escape(self.rest.next().ok_or(PatternError::Unfinished)?)?,
                '[' if matches!(self.rest.peek(), Some(':' | '.' | '=')) => {
                    return Err(PatternError::Untranslatable("a collating element"));
                }
                end => end,
            };
            if end < begin {
                return Err(PatternError::Untranslatable("a range that runs backwards"));
            }
            set.push((begin, end));
        }
        self.set(negated, set);
        Ok(())
    }

    fn literal(&mut self, character: char) {
        self.set(false, vec![(character, character)]);
    }

    /// A set of characters, or all that are not in it.
    fn set(&mut self, negated: bool, mut set: Ranges) {
        if self.folds {
            let folded: Ranges = set
                .iter()
                .flat_map(|range| {
                    let other = |low: char, high: char, to: fn(&char) -> char| {
                        let (begin, end) = (range.0.max(low), range.1.min(high));
                        (begin <= end).then(|| (to(&begin), to(&end)))
                    };
                    [other('a', 'z', char::to_ascii_uppercase), other('A', 'Z', char::to_ascii_lowercase)]
                })
                .flatten()
                .collect();
            set.extend(folded);
        }
        self.out.push_str(if negated { "[^" } else { "[" });
        for (begin, end) in set {
            let _ = write!(self.out, "\\u{{{:x}}}-\\u{{{:x}}}", u32::from(begin), u32::from(end));
        }
        self.out.push(']');
    }
}

fn class_escape(letter: char) -> Result<Ranges, PatternError> {
    match letter {
        'd' => class("digit"),
        's' => class("space"),
        _ => class("word"),
    }
}

/// A backslash before what is neither letter nor digit means that itself; of letters, those that stand for
/// one character are known.
fn character_escape(character: char) -> Result<char, PatternError> {
    Ok(match character {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'f' => '\x0c',
        'v' => '\x0b',
        '0'..='9' => {
            return Err(PatternError::Untranslatable("a reference back, or a character by its number,"));
        }
        letter if letter.is_alphanumeric() => {
            return Err(PatternError::Untranslatable("an escape of this letter"));
        }
        other => other,
    })
}

/// The classes of the locale "C"; control characters are those of every locale (`regc_locale.c` of Postgres).
fn class(name: &str) -> Result<Ranges, PatternError> {
    const UPPER: (char, char) = ('A', 'Z');
    const LOWER: (char, char) = ('a', 'z');
    const DIGIT: (char, char) = ('0', '9');
    Ok(match name {
        "alnum" => vec![UPPER, LOWER, DIGIT],
        "alpha" => vec![UPPER, LOWER],
        "blank" => vec![(' ', ' '), ('\t', '\t')],
        "cntrl" => vec![('\0', '\x1f'), ('\x7f', '\u{9f}')],
        "digit" => vec![DIGIT],
        "graph" => vec![('!', '~')],
        "lower" => vec![LOWER],
        "print" => vec![(' ', '~')],
        "punct" => vec![('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => vec![('\t', '\r'), (' ', ' ')],
        "upper" => vec![UPPER],
        "word" => vec![UPPER, LOWER, DIGIT, ('_', '_')],
        "xdigit" => vec![DIGIT, ('a', 'f'), ('A', 'F')],
        _ => return Err(PatternError::Untranslatable("such a class of characters")),
    })
}
