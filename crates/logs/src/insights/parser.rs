//! From the text of a query to its commands.

use std::{collections::HashSet, ops::Range};

use regex::Regex;

use super::{
    extract::Extraction,
    lexer::{Token, tokens},
    stats::Function,
    value::Value,
};

/// Why a text is no query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueryError(pub String);

impl QueryError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// How deep expressions may go.
const DEPTH: usize = 48;

/// The number of a name.
pub(super) type Slot = usize;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
}

#[derive(Clone, Debug)]
pub(super) enum Expression {
    Slot(Slot),
    Literal(Value<'static>),
    Not(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    In(Box<Self>, Vec<Self>),
    Contains(Box<Self>, String),
    Matches(Box<Self>, Regex),
    Call(String, Vec<Self>),
}

impl Expression {
    /// Visits the slots that it looks at.
    pub(super) fn each_slot(&self, visit: &mut dyn FnMut(Slot)) {
        match self {
            Self::Slot(slot) => visit(*slot),
            Self::Literal(_) => {}
            Self::Not(one) | Self::Contains(one, _) | Self::Matches(one, _) => one.each_slot(visit),
            Self::Binary(_, left, right) => {
                left.each_slot(visit);
                right.each_slot(visit);
            }
            Self::In(one, list) => {
                one.each_slot(visit);
                list.iter().for_each(|it| it.each_slot(visit));
            }
            Self::Call(_, arguments) => arguments.iter().for_each(|it| it.each_slot(visit)),
        }
    }
}

/// A function of `stats`, what it looks at, and the slot that it fills.
#[derive(Clone, Debug)]
pub(super) struct Aggregate {
    pub(super) function: Function,
    /// Every row, where absent.
    pub(super) of: Option<Expression>,
    pub(super) slot: Slot,
}

#[derive(Clone, Debug)]
pub(super) enum Command {
    Compute(Vec<(Expression, Slot)>),
    Filter(Expression),
    /// Which piece goes into which slot.
    Parse {
        source: Expression,
        extraction: Extraction,
        slots: Vec<(usize, Slot)>,
    },
    Stats {
        aggregates: Vec<Aggregate>,
        by: Vec<(Expression, Slot)>,
    },
    Sort(Vec<(Expression, bool)>),
    Limit(usize),
    Dedup(Vec<Expression>),
}

impl Command {
    /// Visits the slots that it looks at.
    fn each_slot(&self, visit: &mut dyn FnMut(Slot)) {
        match self {
            Self::Compute(list) => list.iter().for_each(|(it, _)| it.each_slot(visit)),
            Self::Filter(one) | Self::Parse { source: one, .. } => one.each_slot(visit),
            Self::Stats { aggregates, by } => {
                aggregates.iter().flat_map(|it| &it.of).for_each(|it| it.each_slot(visit));
                by.iter().for_each(|(it, _)| it.each_slot(visit));
            }
            Self::Sort(keys) => keys.iter().for_each(|(it, _)| it.each_slot(visit)),
            Self::Dedup(keys) => keys.iter().for_each(|it| it.each_slot(visit)),
            Self::Limit(_) => {}
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Parsed {
    pub(super) commands: Vec<Command>,
    /// The names of the slots.
    pub(super) names: Vec<String>,
    /// What is shown, in order.
    pub(super) shown: Vec<Slot>,
}

impl Parsed {
    /// Leaves out what `parse` would find and nobody looks at: of rows no more stays behind a `stats`
    /// than that has.
    fn forget_unused(&mut self) {
        let Some(end) = self.commands.iter().position(|it| matches!(it, Command::Stats { .. }))
        else {
            return;
        };
        let mut used = HashSet::new();
        for command in self.commands.iter_mut().take(end + 1).rev() {
            if let Command::Parse { slots, .. } = command {
                slots.retain(|(_, slot)| used.contains(slot));
            }
            command.each_slot(&mut |slot| {
                used.insert(slot);
            });
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, Range<usize>)>,
    at: usize,
    parsed: Parsed,
    /// Aggregates of the `stats` that is being read.
    aggregates: Option<Vec<Aggregate>>,
}

pub(super) fn parse(text: &str) -> Result<Parsed, QueryError> {
    let mut parser =
        Parser { text, tokens: tokens(text)?, at: 0, parsed: Parsed::default(), aggregates: None };
    loop {
        parser.command()?;
        if parser.at == parser.tokens.len() {
            parser.parsed.forget_unused();
            return Ok(parser.parsed);
        }
        parser.expect("|")?;
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += usize::from(token.is_some());
        token
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(it)) if *it == sign);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(it)) if it.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn unexpected(&self) -> QueryError {
        match self.tokens.get(self.at) {
            Some((_, place)) => {
                let found = self.text.get(place.clone()).unwrap_or_default();
                QueryError(format!("unexpected symbol found {found} at position {}", place.start))
            }
            None => QueryError::new("the query ends too early"),
        }
    }

    fn expect(&mut self, sign: &str) -> Result<(), QueryError> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn slot(&mut self, name: &str) -> Slot {
        match self.parsed.names.iter().position(|known| known == name) {
            Some(slot) => slot,
            None => {
                self.parsed.names.push(name.to_owned());
                self.parsed.names.len() - 1
            }
        }
    }

    fn name(&mut self) -> Result<String, QueryError> {
        match self.next() {
            Some(Token::Name(name)) => Ok(name),
            _ => {
                self.at = self.at.saturating_sub(1);
                Err(self.unexpected())
            }
        }
    }

    fn command(&mut self) -> Result<(), QueryError> {
        let Some(Token::Name(name)) = self.next() else {
            self.at = self.at.saturating_sub(1);
            return Err(self.unexpected());
        };
        let command = match name.to_ascii_lowercase().as_str() {
            "fields" => {
                let computed = self.named_list(false)?;
                for (_, slot) in &computed {
                    if !self.parsed.shown.contains(slot) {
                        self.parsed.shown.push(*slot);
                    }
                }
                Command::Compute(computed)
            }
            "display" => {
                let computed = self.named_list(false)?;
                self.parsed.shown = computed.iter().map(|(_, slot)| *slot).collect();
                Command::Compute(computed)
            }
            "filter" => Command::Filter(self.expression(0)?),
            "parse" => self.parse_command()?,
            "stats" => self.stats()?,
            "sort" => {
                let mut keys = Vec::new();
                loop {
                    let key = self.expression(0)?;
                    let descending = self.word("desc");
                    let _ = descending || self.word("asc");
                    keys.push((key, descending));
                    if !self.sign(",") {
                        break;
                    }
                }
                Command::Sort(keys)
            }
            "limit" | "head" | "tail" => match self.next() {
                Some(Token::Number(number)) if (1.0..=10_000.0).contains(&number) => {
                    Command::Limit(number as usize)
                }
                _ => return Err(QueryError::new("limit is a number from 1 to 10000")),
            },
            "dedup" => {
                let mut keys = vec![self.expression(0)?];
                while self.sign(",") {
                    keys.push(self.expression(0)?);
                }
                Command::Dedup(keys)
            }
            other => {
                let known = "fields, display, filter, parse, stats, sort, limit and dedup";
                return Err(QueryError(format!(
                    "the command {other} is not supported here, only {known}"
                )));
            }
        };
        self.parsed.commands.push(command);
        Ok(())
    }

    /// `expression as name, expression, …`
    fn named_list(&mut self, hide_names: bool) -> Result<Vec<(Expression, Slot)>, QueryError> {
        let mut list = Vec::new();
        loop {
            let start = self.at;
            let expression = self.expression(0)?;
            let end = self.at;
            let slot = match self.word("as") {
                true => {
                    let name = self.name()?;
                    self.slot(&name)
                }
                false => match &expression {
                    Expression::Slot(slot) if !hide_names => *slot,
                    _ => {
                        let name = self.source(start, end);
                        self.slot(&name)
                    }
                },
            };
            list.push((expression, slot));
            if !self.sign(",") {
                return Ok(list);
            }
        }
    }

    /// The text of tokens as the query writes them.
    fn source(&self, start: usize, end: usize) -> String {
        let place = |at: usize| self.tokens.get(at).map(|(_, place)| place.clone());
        match (place(start), place(end.saturating_sub(1))) {
            (Some(first), Some(last)) => {
                self.text.get(first.start..last.end).unwrap_or_default().to_owned()
            }
            _ => String::new(),
        }
    }

    fn parse_command(&mut self) -> Result<Command, QueryError> {
        let source = match self.peek() {
            Some(Token::Text(_) | Token::Regex(_)) => Expression::Slot(self.slot("@message")),
            _ => self.primary(0)?,
        };
        match self.next() {
            Some(Token::Text(glob)) => {
                if !self.word("as") {
                    return Err(self.unexpected());
                }
                let mut slots = Vec::new();
                loop {
                    let name = self.name()?;
                    slots.push((slots.len() + 1, self.slot(&name)));
                    if !self.sign(",") {
                        break;
                    }
                }
                if slots.len() != glob.matches('*').count() {
                    return Err(QueryError::new("parse has another number of names than of *"));
                }
                self.show(&slots);
                Ok(Command::Parse { source, extraction: Extraction::glob(&glob), slots })
            }
            Some(Token::Regex(text)) => {
                let regex = compile(&text)?;
                let names: Vec<_> = regex
                    .capture_names()
                    .enumerate()
                    .filter_map(|(at, name)| Some((at, name?.to_owned())))
                    .collect();
                if names.is_empty() {
                    return Err(QueryError::new("the regex of parse names no group"));
                }
                let slots: Vec<_> = names.iter().map(|(at, name)| (*at, self.slot(name))).collect();
                self.show(&slots);
                Ok(Command::Parse { source, extraction: Extraction::Regex(regex), slots })
            }
            _ => {
                self.at = self.at.saturating_sub(1);
                Err(self.unexpected())
            }
        }
    }

    /// Extracted fields are shown as those of `fields` are.
    fn show(&mut self, slots: &[(usize, Slot)]) {
        for (_, slot) in slots {
            if !self.parsed.shown.contains(slot) {
                self.parsed.shown.push(*slot);
            }
        }
    }

    fn stats(&mut self) -> Result<Command, QueryError> {
        self.aggregates = Some(Vec::new());
        let computed = self.named_list(true)?;
        let aggregates = self.aggregates.take().unwrap_or_default();
        if aggregates.is_empty() {
            return Err(QueryError::new("stats lacks its function"));
        }
        let by = match self.word("by") {
            true => self.named_list(false)?,
            false => Vec::new(),
        };
        self.parsed.shown = by.iter().chain(&computed).map(|(_, slot)| *slot).collect();
        self.parsed.commands.push(Command::Stats { aggregates, by });
        Ok(Command::Compute(computed))
    }

    fn expression(&mut self, depth: usize) -> Result<Expression, QueryError> {
        if depth > DEPTH {
            return Err(QueryError::new("the query is too deep"));
        }
        let mut left = self.conjunction(depth)?;
        while self.word("or") || self.sign("||") {
            let right = self.conjunction(depth)?;
            left = Expression::Binary(Operator::Or, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn conjunction(&mut self, depth: usize) -> Result<Expression, QueryError> {
        let mut left = self.negation(depth)?;
        while self.word("and") || self.sign("&&") {
            let right = self.negation(depth)?;
            left = Expression::Binary(Operator::And, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn negation(&mut self, depth: usize) -> Result<Expression, QueryError> {
        let mut negated = false;
        while self.word("not") || self.sign("!") {
            negated = !negated;
        }
        let comparison = self.comparison(depth)?;
        Ok(if negated { Expression::Not(Box::new(comparison)) } else { comparison })
    }

    fn comparison(&mut self, depth: usize) -> Result<Expression, QueryError> {
        let left = self.sum(depth)?;
        let negated = self.word("not");
        let found = if self.word("like") || (!negated && self.sign("=~")) {
            match self.next() {
                Some(Token::Text(text)) => Expression::Contains(Box::new(left), text),
                Some(Token::Regex(text)) => Expression::Matches(Box::new(left), compile(&text)?),
                _ => return Err(QueryError::new("like is followed by a text or a regex")),
            }
        } else if self.word("in") {
            self.expect("[")?;
            let mut list = Vec::new();
            while !self.sign("]") {
                list.push(self.sum(depth)?);
                let _ = self.sign(",");
            }
            Expression::In(Box::new(left), list)
        } else if negated {
            return Err(self.unexpected());
        } else {
            let operators = [
                ("==", Operator::Equal),
                ("!=", Operator::NotEqual),
                ("<=", Operator::LessOrEqual),
                (">=", Operator::GreaterOrEqual),
                ("=", Operator::Equal),
                ("<", Operator::Less),
                (">", Operator::Greater),
            ];
            let Some((_, operator)) = operators.into_iter().find(|(sign, _)| self.sign(sign))
            else {
                return Ok(left);
            };
            let right = self.sum(depth)?;
            Expression::Binary(operator, Box::new(left), Box::new(right))
        };
        Ok(if negated { Expression::Not(Box::new(found)) } else { found })
    }

    fn sum(&mut self, depth: usize) -> Result<Expression, QueryError> {
        let mut left = self.product(depth)?;
        loop {
            let operator = if self.sign("+") {
                Operator::Add
            } else if self.sign("-") {
                Operator::Subtract
            } else {
                return Ok(left);
            };
            let right = self.product(depth)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
    }

    fn product(&mut self, depth: usize) -> Result<Expression, QueryError> {
        let mut left = self.power(depth)?;
        loop {
            let operator = if self.sign("*") {
                Operator::Multiply
            } else if self.sign("/") {
                Operator::Divide
            } else if self.sign("%") {
                Operator::Remainder
            } else {
                return Ok(left);
            };
            let right = self.power(depth)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
    }

    fn power(&mut self, depth: usize) -> Result<Expression, QueryError> {
        let left = self.primary(depth)?;
        if !self.sign("^") {
            return Ok(left);
        }
        let right = self.primary(depth)?;
        Ok(Expression::Binary(Operator::Power, Box::new(left), Box::new(right)))
    }

    fn primary(&mut self, depth: usize) -> Result<Expression, QueryError> {
        if depth > DEPTH {
            return Err(QueryError::new("the query is too deep"));
        }
        let at = self.at;
        match self.next() {
            Some(Token::Number(number)) => Ok(Expression::Literal(Value::Number(number))),
            Some(Token::Period(ms)) => Ok(Expression::Literal(Value::Number(ms as f64))),
            Some(Token::Text(text)) => Ok(Expression::Literal(Value::Text(text.into()))),
            Some(Token::Sign("-")) => {
                let zero = Box::new(Expression::Literal(Value::Number(0.0)));
                let what = Box::new(self.primary(depth + 1)?);
                Ok(Expression::Binary(Operator::Subtract, zero, what))
            }
            Some(Token::Sign("(")) => {
                let inside = self.expression(depth + 1)?;
                self.expect(")")?;
                Ok(inside)
            }
            Some(Token::Name(name)) if self.sign("(") => self.call(&name, depth),
            Some(Token::Name(name)) => Ok(Expression::Slot(self.slot(&name))),
            _ => {
                self.at = at;
                Err(self.unexpected())
            }
        }
    }

    fn call(&mut self, name: &str, depth: usize) -> Result<Expression, QueryError> {
        let function = Function::parse(name).filter(|_| self.aggregates.is_some());
        let mut arguments = Vec::new();
        let everything = function.is_some() && self.sign("*");
        // An aggregate of an aggregate there is not.
        let aggregates = function.is_some().then(|| self.aggregates.take()).flatten();
        while !self.sign(")") {
            if everything || !arguments.is_empty() {
                self.expect(",")?;
            }
            arguments.push(self.expression(depth + 1)?);
        }
        let Some(mut function) = function else {
            let mut name = name.to_ascii_lowercase();
            if name == "bin" && arguments.len() == 1 {
                "datefloor".clone_into(&mut name);
                arguments.insert(0, Expression::Slot(self.slot("@timestamp")));
            }
            return match super::run::arity(&name) {
                Some(arity) if arity.contains(&arguments.len()) => {
                    Ok(Expression::Call(name, arguments))
                }
                Some(_) => Err(QueryError(format!("{name} has another number of arguments"))),
                None => Err(QueryError(format!("the function {name} is not supported here"))),
            };
        };
        let mut aggregates = aggregates.unwrap_or_default();
        if let Function::Percentile(percent) = &mut function
            && percent.is_nan()
        {
            match arguments.pop() {
                Some(Expression::Literal(Value::Number(number)))
                    if (0.0..=100.0).contains(&number) =>
                {
                    *percent = number;
                }
                _ => return Err(QueryError::new("pct has a percentage as its second argument")),
            }
        }
        let of = match (arguments.len(), &function) {
            (1, _) => arguments.pop(),
            (0, Function::Count) => None,
            _ => return Err(QueryError(format!("{name} has one argument"))),
        };
        let slot = self.slot(&format!("{name}#{}", self.parsed.names.len()));
        aggregates.push(Aggregate { function, of, slot });
        self.aggregates = Some(aggregates);
        Ok(Expression::Slot(slot))
    }
}

fn compile(text: &str) -> Result<Regex, QueryError> {
    let regex = regex::RegexBuilder::new(text).size_limit(1 << 20).build();
    regex.map_err(|_| QueryError(format!("/{text}/ is no regex")))
}
