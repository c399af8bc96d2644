//! What generated structures have in common: a static table of their members, and access to their
//! fields without knowing their type.
//!
//! One codec a protocol walks these tables, so a structure costs a table and two short functions
//! instead of serialisers of its own. A field is an `Option` (scalar or structure), a `Vec`
//! (empty = absent) or a `BTreeMap` (empty = absent).

use std::collections::BTreeMap;

use gureum_types::Timestamp;

/// One member of a structure: its names on the wire and what its value must satisfy.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// The name in the service model, also the key in JSON unless `wire` differs.
    pub name: &'static str,
    /// The parameter's name in a query request.
    pub query: &'static str,
    /// The element's name in an XML response, the key in JSON.
    pub wire: &'static str,
    /// The element name of a list's elements.
    pub item: &'static str,
    /// List elements follow the name directly (`Name.1`), without a level of their own.
    pub flattened: bool,
    /// A request without it is refused.
    pub required: bool,
    /// An empty list is left out of a response instead of appearing as an empty element.
    pub omit_empty: bool,
    /// How many elements a list may have.
    pub count: (u32, u32),
    /// What a scalar, or every element of a list, must satisfy in a request.
    pub check: Check,
}

/// A constraint of the service model on one scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// No constraint.
    Any,
    /// One of these values.
    OneOf(&'static [&'static str]),
    /// A string of this many characters.
    Length(u32, u32),
    /// A number between these two.
    Range(i64, i64),
}

/// A member with the same name everywhere and no constraint.
pub(crate) const fn m(name: &'static str) -> Member {
    Member {
        name,
        query: name,
        wire: name,
        item: "member",
        flattened: false,
        required: false,
        omit_empty: false,
        count: (0, u32::MAX),
        check: Check::Any,
    }
}

impl Member {
    pub(crate) const fn query(mut self, name: &'static str) -> Self {
        self.query = name;
        self
    }

    pub(crate) const fn wire(mut self, name: &'static str) -> Self {
        self.wire = name;
        self
    }

    pub(crate) const fn item(mut self, name: &'static str) -> Self {
        self.item = name;
        self
    }

    pub(crate) const fn flattened(mut self) -> Self {
        self.flattened = true;
        self
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) const fn omit_empty(mut self) -> Self {
        self.omit_empty = true;
        self
    }

    pub(crate) const fn count(mut self, min: u32, max: u32) -> Self {
        self.count = (min, max);
        self
    }

    pub(crate) const fn one_of(mut self, values: &'static [&'static str]) -> Self {
        self.check = Check::OneOf(values);
        self
    }

    pub(crate) const fn length(mut self, min: u32, max: u32) -> Self {
        self.check = Check::Length(min, max);
        self
    }

    pub(crate) const fn range(mut self, min: i64, max: i64) -> Self {
        self.check = Check::Range(min, max);
        self
    }
}

/// A structure of the service model.
pub trait Structure {
    /// The members, in the order of [`Structure::fields`].
    fn members(&self) -> &'static [Member];
    /// Goes through the members with their fields.
    fn each<'a>(&'a self, visit: &mut dyn FnMut(&'static Member, &'a dyn Field));
    /// The fields to read.
    fn fields(&self) -> Vec<&dyn Field> {
        let mut found = Vec::with_capacity(self.members().len());
        self.each(&mut |_, field| found.push(field));
        found
    }
    /// The fields to fill.
    fn fields_mut(&mut self) -> Vec<&mut dyn Field>;
}

/// The input or output of an operation that has none.
impl Structure for () {
    fn members(&self) -> &'static [Member] {
        &[]
    }

    fn each<'a>(&'a self, _: &mut dyn FnMut(&'static Member, &'a dyn Field)) {}

    fn fields_mut(&mut self) -> Vec<&mut dyn Field> {
        Vec::new()
    }
}

/// How many values a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// At most one.
    One,
    /// A list.
    Many,
    /// A map from strings.
    Map,
}

/// A field of a structure.
pub trait Field {
    /// How many values it may hold.
    fn cardinality(&self) -> Cardinality;
    /// What it holds.
    fn content(&self) -> Content<'_>;
    /// Goes through the elements of a list; there are none in anything else.
    fn each_element<'a>(&'a self, _visit: &mut dyn FnMut(View<'a>)) {}
    /// How many elements a list has.
    fn count(&self) -> usize {
        0
    }
    /// Makes room for one more value; `key` matters to maps only.
    fn add(&mut self, key: &str) -> Slot<'_>;
}

/// What a field holds.
pub enum Content<'a> {
    /// Nothing: a scalar or structure that is not there.
    Absent,
    /// One value.
    One(View<'a>),
    /// The elements of a list, maybe none.
    Many(Vec<View<'a>>),
    /// The entries of a map, maybe none.
    Map(Vec<(&'a str, View<'a>)>),
}

/// A value to read.
pub enum View<'a> {
    /// A string.
    Text(&'a str),
    /// A whole number of any size.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A point in time.
    Time(Timestamp),
    /// Bytes, base64 on every wire.
    Blob(&'a [u8]),
    /// A structure.
    Structure(&'a dyn Structure),
    /// A list or map inside a list or map.
    Nested(&'a dyn Field),
}

/// A value to fill.
pub enum Slot<'a> {
    /// A string.
    Text(&'a mut String),
    /// A 32-bit number.
    Int32(&'a mut i32),
    /// A 64-bit number.
    Int64(&'a mut i64),
    /// A single-precision number.
    Float32(&'a mut f32),
    /// A double-precision number.
    Float64(&'a mut f64),
    /// True or false.
    Bool(&'a mut bool),
    /// A point in time.
    Time(&'a mut Timestamp),
    /// Bytes.
    Blob(&'a mut Vec<u8>),
    /// A structure.
    Structure(&'a mut dyn Structure),
    /// A list or map inside a list or map.
    Nested(&'a mut dyn Field),
}

/// A type that fields are made of.
pub trait Value: Default {
    /// The value to read.
    fn view(&self) -> View<'_>;
    /// The value to fill.
    fn slot(&mut self) -> Slot<'_>;
}

macro_rules! scalar {
    ($($kind:ty: $slot:ident, |$value:ident| $view:expr;)*) => {$(
        impl Value for $kind {
            fn view(&self) -> View<'_> {
                let $value = self;
                $view
            }

            fn slot(&mut self) -> Slot<'_> {
                Slot::$slot(self)
            }
        }
    )*};
}

scalar! {
    String: Text, |v| View::Text(v);
    i32: Int32, |v| View::Integer(i64::from(*v));
    i64: Int64, |v| View::Integer(*v);
    f32: Float32, |v| View::Float(f64::from(*v));
    f64: Float64, |v| View::Float(*v);
    bool: Bool, |v| View::Bool(*v);
    Timestamp: Time, |v| View::Time(*v);
    Vec<u8>: Blob, |v| View::Blob(v);
}

impl<V: Value> Value for Vec<V> {
    fn view(&self) -> View<'_> {
        View::Nested(self)
    }

    fn slot(&mut self) -> Slot<'_> {
        Slot::Nested(self)
    }
}

impl<V: Value> Value for BTreeMap<String, V> {
    fn view(&self) -> View<'_> {
        View::Nested(self)
    }

    fn slot(&mut self) -> Slot<'_> {
        Slot::Nested(self)
    }
}

impl<V: Value> Field for Option<V> {
    fn cardinality(&self) -> Cardinality {
        Cardinality::One
    }

    fn content(&self) -> Content<'_> {
        self.as_ref().map_or(Content::Absent, |value| Content::One(value.view()))
    }

    fn add(&mut self, _key: &str) -> Slot<'_> {
        self.insert(V::default()).slot()
    }
}

impl<V: Value> Field for Vec<V> {
    fn cardinality(&self) -> Cardinality {
        Cardinality::Many
    }

    fn content(&self) -> Content<'_> {
        Content::Many(self.iter().map(Value::view).collect())
    }

    fn each_element<'a>(&'a self, visit: &mut dyn FnMut(View<'a>)) {
        self.iter().for_each(|value| visit(value.view()));
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn add(&mut self, _key: &str) -> Slot<'_> {
        self.push(V::default());
        let last = self.len() - 1;
        self[last].slot()
    }
}

impl<V: Value> Field for BTreeMap<String, V> {
    fn cardinality(&self) -> Cardinality {
        Cardinality::Map
    }

    fn content(&self) -> Content<'_> {
        Content::Map(self.iter().map(|(key, value)| (key.as_str(), value.view())).collect())
    }

    fn add(&mut self, key: &str) -> Slot<'_> {
        self.entry(key.to_owned()).or_default().slot()
    }
}

/// Declares a structure and its table of members.
macro_rules! shape {
    (pub struct $name:ident { $(pub $field:ident: $kind:ty = $member:expr,)* }) => {
        #[doc = concat!("`", stringify!($name), "` of the service model.")]
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name {
            $(
                #[doc = concat!("`", stringify!($field), "` of the service model.")]
                pub $field: $kind,
            )*
        }

        impl $crate::shape::Structure for $name {
            fn members(&self) -> &'static [$crate::shape::Member] {
                static MEMBERS: &[$crate::shape::Member] = &[$($member),*];
                MEMBERS
            }

            #[allow(unused_mut, unused_variables, reason = "some have no members")]
            fn each<'a>(
                &'a self,
                visit: &mut dyn FnMut(&'static $crate::shape::Member, &'a dyn $crate::shape::Field),
            ) {
                let mut members = self.members().iter();
                $(
                    if let Some(member) = members.next() {
                        visit(member, &self.$field);
                    }
                )*
            }

            fn fields_mut(&mut self) -> Vec<&mut dyn $crate::shape::Field> {
                vec![$(&mut self.$field as &mut dyn $crate::shape::Field),*]
            }
        }

        impl $crate::shape::Value for $name {
            fn view(&self) -> $crate::shape::View<'_> {
                $crate::shape::View::Structure(self)
            }

            fn slot(&mut self) -> $crate::shape::Slot<'_> {
                $crate::shape::Slot::Structure(self)
            }
        }
    };
}

/// Declares the operations of the module's service, whose `INFO` is in scope.
macro_rules! operations {
    ($($name:ident($input:ty) -> $output:ty;)*) => {
        /// An operation of the service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation {
            $(#[doc = concat!("`", stringify!($name), "`")] $name,)*
        }

        impl Operation {
            /// All operations that are served.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The operation's name on the wire.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// An empty request.
            pub fn input(self) -> Box<dyn $crate::shape::Structure> {
                match self {
                    $(Self::$name => Box::new(<$input>::default()),)*
                }
            }

            /// The operation of that name, if it is served.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|operation| operation.name() == name)
            }
        }

        /// The operations as types, for handlers.
        pub mod op {
            $(
                #[doc = concat!("`", stringify!($name), "`")]
                #[derive(Clone, Copy, Debug)]
                pub struct $name;
            )*
        }

        $(
            impl $crate::service::Op for op::$name {
                type Input = $input;
                type Output = $output;
                const NAME: &'static str = stringify!($name);
                const SERVICE: &'static $crate::service::ServiceInfo = &INFO;
            }
        )*
    };
}

pub(crate) use {operations, shape};
