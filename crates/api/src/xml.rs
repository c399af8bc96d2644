//! XML responses of the query protocols.
//!
//! A list is an element with one child an entry; an empty list is an empty element unless AWS
//! leaves it out; what is absent leaves no element (an empty `<association/>` makes clients
//! believe that there is a public address).

use std::fmt::Write;

use gureum_types::Timestamp;

use crate::{
    response::Elements,
    scalar,
    service::Protocol,
    shape::{Cardinality, Content, Field, Member, Structure, View},
};

/// A growing document.
pub(crate) struct Writer {
    out: String,
    protocol: Protocol,
}

impl Writer {
    /// A document that starts with the XML declaration.
    pub(crate) fn new(protocol: Protocol) -> Self {
        Self { out: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned(), protocol }
    }

    /// The document.
    pub(crate) fn finish(self) -> String {
        self.out
    }

    /// Opens an element.
    pub(crate) fn open(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
    }

    /// Opens the root element with its namespace.
    pub(crate) fn open_root(&mut self, name: &str, namespace: &str) {
        let _ = write!(self.out, "<{name} xmlns=\"{namespace}\">");
    }

    /// Closes an element.
    pub(crate) fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// An element with nothing but text.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.open(name);
        escape(&mut self.out, text);
        self.close(name);
    }

    /// The members of a structure, in the order of its table.
    pub(crate) fn members(&mut self, source: &dyn Structure) {
        source.each(&mut |member, field| self.field(member.wire, member, field));
    }

    /// As [`Self::members`], but for a list whose elements come one by one.
    pub(crate) fn members_with(&mut self, source: &dyn Structure, list: &str, each: Elements<'_>) {
        source.each(&mut |member, field| {
            if member.name != list {
                return self.field(member.wire, member, field);
            }
            let begin = self.out.len();
            self.open(member.wire);
            let empty = self.out.len();
            each(&mut |element| {
                self.open(member.item);
                self.members(element);
                self.close(member.item);
            });
            if self.out.len() > empty {
                return self.close(member.wire);
            }
            self.out.truncate(begin);
            self.list(member.wire, member, field);
        });
    }

    /// A list may have thousands of elements with lists of their own: none is copied to be written.
    fn list(&mut self, name: &str, member: &Member, list: &dyn Field) {
        if self.is_flat(member) {
            list.each_element(&mut |element| self.view(name, member, element));
        } else if list.count() > 0 {
            self.open(name);
            list.each_element(&mut |element| self.view(member.item, member, element));
            self.close(name);
        } else if !member.omit_empty {
            self.out.push('<');
            self.out.push_str(name);
            self.out.push_str("/>");
        }
    }

    fn field(&mut self, name: &str, member: &Member, field: &dyn Field) {
        if field.cardinality() == Cardinality::Many {
            return self.list(name, member, field);
        }
        match field.content() {
            Content::Absent | Content::Many(_) => {}
            Content::One(view) => self.view(name, member, view),
            Content::Map(entries) if entries.is_empty() => {}
            Content::Map(entries) => {
                self.open(name);
                for (key, value) in entries {
                    self.open("entry");
                    self.text("key", key);
                    self.view("value", member, value);
                    self.close("entry");
                }
                self.close(name);
            }
        }
    }

    /// In EC2 only requests have flat lists.
    fn is_flat(&self, member: &Member) -> bool {
        member.flattened && self.protocol != Protocol::Ec2Query
    }

    fn view(&mut self, name: &str, member: &Member, view: View<'_>) {
        match view {
            View::Nested(field) => return self.field(name, member, field),
            View::Text(text) => return self.text(name, text),
            _ => self.open(name),
        }
        match view {
            View::Integer(number) => {
                let _ = write!(self.out, "{number}");
            }
            View::Float(number) => {
                let _ = write!(self.out, "{number}");
            }
            View::Bool(value) => self.out.push_str(if value { "true" } else { "false" }),
            View::Time(time) => self.time(time),
            View::Blob(bytes) => self.out.push_str(&scalar::base64(bytes)),
            View::Structure(structure) => self.members(structure),
            View::Text(_) | View::Nested(_) => {}
        }
        self.close(name);
    }

    /// EC2 writes milliseconds; the others write whole seconds where they can.
    fn time(&mut self, time: Timestamp) {
        let text = time.to_string();
        match text.strip_suffix(".000Z") {
            Some(seconds) if self.protocol != Protocol::Ec2Query => {
                let _ = write!(self.out, "{seconds}Z");
            }
            _ => self.out.push_str(&text),
        }
    }
}

/// Text as XML 1.0 can hold it. Characters that no XML document may have become U+FFFD.
fn escape(out: &mut String, text: &str) {
    // Most text has nothing to escape. U+FFFE and U+FFFF begin with a byte of 0xEF.
    let is_plain = |byte: u8| !matches!(byte, 0..0x20 | b'&' | b'<' | b'>' | b'"' | 0xef);
    if text.bytes().all(is_plain) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#xD;"),
            '\t' | '\n' => out.push(c),
            '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
}
