//! From text to [`Filter`], by recursive descent over what is left of the text.

use super::{CONDITIONS, Comparison, DEPTH, Filter, LIST_VALUES, Matching, Singleton, Test};
use crate::topic::{TopicError, name};

/// The operators, with what makes a test of their operand.
const OPERATORS: [(&str, Operator); 13] = [
    ("eq", Operator::Compare(Comparison::Eq)),
    ("neq", Operator::Compare(Comparison::Neq)),
    ("lt", Operator::Compare(Comparison::Lt)),
    ("lte", Operator::Compare(Comparison::Lte)),
    ("gt", Operator::Compare(Comparison::Gt)),
    ("gte", Operator::Compare(Comparison::Gte)),
    ("isdistinct", Operator::Compare(Comparison::Distinct)),
    ("in", Operator::In),
    ("is", Operator::Is),
    ("like", Operator::Matches(Matching::Like)),
    ("ilike", Operator::Matches(Matching::ILike)),
    ("match", Operator::Matches(Matching::Match)),
    ("imatch", Operator::Matches(Matching::IMatch)),
];

#[derive(Clone, Copy)]
enum Operator {
    Compare(Comparison),
    In,
    Is,
    Matches(Matching),
}

/// Where a condition stands decides where a bare value ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Between commas: at a comma behind which another condition begins.
    List,
    /// Within brackets: at a comma or the closing bracket.
    Brackets,
}

pub(super) fn filter(text: &str) -> Result<Filter, TopicError> {
    // As servers of old took it: one equality, and all that follows is the value.
    if let Some(filter) = lone_equality(text)? {
        return Ok(filter);
    }
    let mut reader = Reader { rest: text, conditions: 0 };
    let mut all = vec![reader.listed()?];
    while reader.take(",") {
        all.push(reader.listed()?);
    }
    if !reader.rest.is_empty() {
        return Err(TopicError::FilterTrailing);
    }
    Ok(match all.pop() {
        Some(only) if all.is_empty() => only,
        last => {
            all.extend(last);
            Filter::All(all)
        }
    })
}

/// `COL=eq.VALUE` with nothing in the value that reads as another condition.
fn lone_equality(text: &str) -> Result<Option<Filter>, TopicError> {
    if tree(text).is_some() {
        return Ok(None);
    }
    let Some((column, condition)) = text.split_once('=') else { return Err(TopicError::FilterShape) };
    let Some(value) = condition.strip_prefix("eq.") else { return Ok(None) };
    if commas(value).any(|at| value.get(at + 1..).is_some_and(begins_condition)) {
        return Ok(None);
    }
    let test = Test::Compare(Comparison::Eq, value.to_owned());
    Ok(Some(Filter::Test { column: name(column, "column")?, test }))
}

fn commas(text: &str) -> impl Iterator<Item = usize> {
    text.match_indices(',').map(|(at, _)| at)
}

/// Whether this reads as `COL=OP.`, `COL=not.OP.` or the beginning of a tree.
fn begins_condition(text: &str) -> bool {
    if tree(text).is_some() {
        return true;
    }
    let Some((column, mut condition)) = text.split_once('=') else { return false };
    while let Some(rest) = condition.strip_prefix("not.") {
        condition = rest;
    }
    let operator = condition.split_once('.').map(|(operator, _)| operator);
    !column.is_empty()
        && !column.contains(',')
        && operator.is_some_and(|operator| OPERATORS.iter().any(|(name, _)| *name == operator))
}

/// `or=(`, `and=(`, and the same behind `not.`: whether it is negated, whether it is `or`, and what follows the bracket.
fn tree(text: &str) -> Option<(bool, bool, &str)> {
    let (negated, text) = text.strip_prefix("not.").map_or((false, text), |rest| (true, rest));
    let of = |word: &str| text.strip_prefix(word)?.strip_prefix("=(");
    of("or").map(|rest| (negated, true, rest)).or_else(|| of("and").map(|rest| (negated, false, rest)))
}

struct Reader<'a> {
    rest: &'a str,
    conditions: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, text: &str) -> bool {
        self.rest.strip_prefix(text).is_some_and(|rest| {
            self.rest = rest;
            true
        })
    }

    /// Up to `end`, which is taken as well.
    fn until(&mut self, end: char) -> Option<&'a str> {
        let (before, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(before)
    }

    /// `COL=OP.VALUE` or `or=(..)`, between commas.
    fn listed(&mut self) -> Result<Filter, TopicError> {
        if let Some((negated, any, rest)) = tree(self.rest) {
            self.rest = rest;
            let tree = self.brackets(any, 1)?;
            return Ok(if negated { Filter::Not(Box::new(tree)) } else { tree });
        }
        let column = self.until('=').ok_or(TopicError::FilterShape)?;
        self.condition(name(column, "column")?, Place::List)
    }

    /// Behind an opening bracket: elements up to the closing one.
    fn brackets(&mut self, any: bool, depth: usize) -> Result<Filter, TopicError> {
        if depth > DEPTH {
            return Err(TopicError::FilterDeep);
        }
        let mut filters = Vec::new();
        loop {
            filters.push(self.element(depth)?);
            if self.take(")") {
                return Ok(if any { Filter::Any(filters) } else { Filter::All(filters) });
            }
            if !self.take(",") {
                return Err(TopicError::FilterBracket);
            }
        }
    }

    /// `COL.OP.VALUE`, `and(..)` or `or(..)`, within brackets.
    fn element(&mut self, depth: usize) -> Result<Filter, TopicError> {
        for (begin, negated, any) in
            [("and(", false, false), ("or(", false, true), ("not.and(", true, false), ("not.or(", true, true)]
        {
            if self.take(begin) {
                let tree = self.brackets(any, depth + 1)?;
                return Ok(if negated { Filter::Not(Box::new(tree)) } else { tree });
            }
        }
        let column = if self.rest.starts_with('"') {
            let column = self.quoted()?;
            if !self.take(".") {
                return Err(TopicError::FilterShape);
            }
            if column.is_empty() {
                return Err(TopicError::Empty { part: "column" });
            }
            column
        } else {
            name(self.until('.').ok_or(TopicError::FilterShape)?, "column")?
        };
        self.condition(column, Place::Brackets)
    }

    /// `OP.VALUE` or `not.OP.VALUE`.
    fn condition(&mut self, column: String, place: Place) -> Result<Filter, TopicError> {
        self.conditions += 1;
        if self.conditions > CONDITIONS {
            return Err(TopicError::FilterLong);
        }
        let mut negated = false;
        while self.take("not.") {
            negated = !negated;
        }
        let operator = self.until('.').ok_or(TopicError::FilterShape)?;
        let operator = OPERATORS.iter().find(|(name, _)| *name == operator);
        let (_, operator) = operator.ok_or(TopicError::OperatorUnknown)?;
        let test = match operator {
            Operator::Compare(comparison) => Test::Compare(*comparison, self.value(place)?),
            Operator::Matches(matching) => Test::Matches(*matching, self.value(place)?),
            Operator::In => Test::Among(self.list()?),
            Operator::Is => Test::Is(match self.value(place)?.to_ascii_lowercase().as_str() {
                "null" => Singleton::Null,
                "true" => Singleton::True,
                "false" => Singleton::False,
                "unknown" => Singleton::Unknown,
                _ => return Err(TopicError::FilterSingleton),
            }),
        };
        let test = Filter::Test { column, test };
        Ok(if negated { Filter::Not(Box::new(test)) } else { test })
    }

    fn value(&mut self, place: Place) -> Result<String, TopicError> {
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        let rest = self.rest;
        let end = match place {
            Place::Brackets => rest.find([',', ')']),
            Place::List => commas(rest).find(|at| rest.get(at + 1..).is_some_and(begins_condition)),
        };
        let (value, rest) = rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""));
        self.rest = rest;
        Ok(value.to_owned())
    }

    /// `(A,B,..)`.
    fn list(&mut self) -> Result<Vec<String>, TopicError> {
        if !self.take("(") {
            return Err(TopicError::FilterList);
        }
        // An empty text is written `""`.
        if self.rest.starts_with(')') {
            return Err(TopicError::ListEmpty);
        }
        let mut values = Vec::new();
        loop {
            if values.len() == LIST_VALUES {
                return Err(TopicError::ListLong);
            }
            values.push(self.value(Place::Brackets)?);
            if self.take(")") {
                break;
            }
            if !self.take(",") {
                return Err(TopicError::FilterBracket);
            }
        }
        Ok(values)
    }

    /// `"..."`, in which a backslash takes the meaning of what follows it.
    fn quoted(&mut self) -> Result<String, TopicError> {
        let mut characters = self.rest.char_indices().skip(1);
        let mut value = String::new();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(value);
                }
                '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                _ => value.push(character),
            }
        }
        Err(TopicError::FilterQuote)
    }
}
