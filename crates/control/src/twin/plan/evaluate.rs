//! Expressions of the configuration, evaluated on what the plan knows: an id that is not there yet is
//! the one made up for it.
//!
//! An error is what Terraform itself would fail with (`try` asks for that); what is not known, or not
//! understood, is a value of its own that says why.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use hcl::{
    Body, Expression, Template,
    expr::{
        BinaryOp, BinaryOperator, Conditional, ForExpr, FuncCall, ObjectKey, Operation,
        TemplateExpr, Traversal, TraversalOperator, UnaryOperator,
    },
    template::{Element, Strip},
};
use serde_json::Value;

use super::{
    configuration::{self, Module},
    convert, functions,
    references::{heads_of, is_as_planned},
    tree::{Got, Plan, Planned, may_be, names_of, parent},
    val::{Evaluated, Val, unknown},
};

/// How deep names lead at most.
const DEPTH: usize = 48;
/// Attributes that have in a plan what is written for them, letter by letter.
const TELLING: &[&str] = &[
    "associate_public_ip_address",
    "availability_zone",
    "cidr_block",
    "destination_cidr_block",
    "from_port",
    "instance_type",
    "name",
    "rule_number",
    "tags",
    "to_port",
    "type",
];

/// What was evaluated by its name.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// `None` while it is evaluated: who asks for it then goes in a circle.
    found: RefCell<BTreeMap<String, Option<Evaluated>>>,
    /// How many are evaluated at the moment, each for the one before.
    depth: Cell<usize>,
}

/// Where an expression stands.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The address of the module.
    pub(super) module: &'a str,
    /// The index or key of the resource or call that it belongs to, with the address in its module.
    pub(super) of: Option<(&'a str, &'a Body, Option<&'a Value>)>,
    /// Names that `for` and `dynamic` bind.
    bound: Option<&'a Bound<'a>>,
}

struct Bound<'a> {
    name: &'a str,
    value: Val,
    next: Option<&'a Self>,
}

impl<'a> Scope<'a> {
    pub(super) fn of_module(module: &'a str) -> Self {
        Self { module, of: None, bound: None }
    }

    fn find(&self, name: &str) -> Option<&'a Val> {
        let mut next = self.bound;
        while let Some(bound) = next {
            if bound.name == name {
                return Some(&bound.value);
            }
            next = bound.next;
        }
        None
    }
}

/// What is not known of a value is said before it is used.
macro_rules! known {
    ($value:expr) => {
        match $value {
            Val::Unknown(because) => return Ok(Val::Unknown(because)),
            value => value,
        }
    };
}

fn other_files(what: &str) -> Val {
    unknown(format!("{what} is written otherwise in the .tf files than in the plan"))
}

impl Plan<'_> {
    /// The files of a module.
    pub(super) fn files(&self, module: &str) -> Option<&Module> {
        self.written?.module(&names_of(module))
    }

    /// What the files say of a resource.
    pub(super) fn body(&self, of: &Planned) -> Option<&Body> {
        self.files(&of.module)?.resources.get(&of.declared())
    }

    /// The value of an attribute as it is written.
    pub(super) fn written(&self, of: &Planned, body: &Body, attribute: &str) -> Evaluated {
        let Some(expression) = configuration::attribute(body, attribute) else {
            return Ok(unknown(format!("{}.{attribute} is known after apply", of.address)));
        };
        if !is_as_planned(&self.expressions(of)[attribute], expression) {
            return Ok(other_files(&format!("{}.{attribute}", of.address)));
        }
        match self.is_as_known(of, body) {
            true => self.evaluate(expression, &of.scope(&of.declared(), body)),
            false => Ok(other_files(&of.address)),
        }
    }

    /// Whether what is known of a resource is what the files say. Locals are not in a plan: so far as
    /// something is known that depends on them, this tells whether they are still the same.
    fn is_as_known(&self, of: &Planned, body: &Body) -> bool {
        let is_it = self.once(format!("what is known of {}", of.address), || {
            let declared = of.declared();
            let scope = of.scope(&declared, body);
            // What is not to be changed may differ.
            let mut rules = body.blocks().filter(|it| it.identifier() == "lifecycle");
            if rules.any(|it| configuration::attribute(it.body(), "ignore_changes").is_some()) {
                return Ok(Val::Bool(true));
            }
            let mut all = TELLING.iter().filter(|it| !self.is_unknown(of, it));
            Ok(Val::Bool(all.all(|it| {
                let written = configuration::attribute(body, it);
                let value = written.map(|it| self.evaluate(it, &scope));
                match (value, of.values.get(*it)) {
                    (Some(Ok(Val::Map(value))), Some(Value::Object(planned))) => {
                        let mut all = value.iter();
                        all.all(|(key, it)| {
                            planned.get(key).is_none_or(|planned| may_be(it, planned))
                        })
                    }
                    (Some(Ok(value)), Some(planned)) => may_be(&value, planned),
                    _ => true,
                }
            })))
        });
        is_it != Ok(Val::Bool(false))
    }

    /// A name's value, evaluated once.
    pub(super) fn once(&self, name: String, evaluate: impl FnOnce() -> Evaluated) -> Evaluated {
        let known = self.memory.found.borrow().get(&name).cloned();
        match known {
            Some(Some(found)) => return found,
            Some(None) => return Ok(unknown(format!("{name} leads to itself"))),
            None => {}
        }
        let depth = self.memory.depth.get();
        if depth >= DEPTH {
            return Ok(unknown(format!("{name} leads too far")));
        }
        self.memory.found.borrow_mut().insert(name.clone(), None);
        self.memory.depth.set(depth + 1);
        let value = evaluate();
        self.memory.depth.set(depth);
        self.memory.found.borrow_mut().insert(name, Some(value.clone()));
        value
    }

    pub(super) fn evaluate(&self, expression: &Expression, scope: &Scope<'_>) -> Evaluated {
        match expression {
            Expression::Null => Ok(Val::Null),
            Expression::Bool(it) => Ok(Val::Bool(*it)),
            Expression::Number(it) => Ok(it.as_f64().map_or(Val::Null, Val::Number)),
            Expression::String(it) => Ok(Val::text(it)),
            Expression::Array(all) => {
                let all: Result<_, _> = all.iter().map(|it| self.evaluate(it, scope)).collect();
                Ok(Val::list(all?))
            }
            Expression::Object(all) => {
                let mut map = BTreeMap::new();
                for (key, value) in all {
                    let key = match key {
                        ObjectKey::Identifier(it) => it.to_string(),
                        ObjectKey::Expression(it) => match self.evaluate(it, scope)?.as_text() {
                            Some(text) => text,
                            None => return Ok(unknown("a key of an object is known after apply")),
                        },
                        _ => return Ok(unknown("a key of an object is of a form not known here")),
                    };
                    map.insert(key, self.evaluate(value, scope)?);
                }
                Ok(Val::map(map))
            }
            Expression::TemplateExpr(it) => self.template(it, scope),
            Expression::Variable(name) => match scope.find(name.as_str()) {
                Some(value) => Ok(value.clone()),
                None => self.root(name.as_str(), &[], scope).map(|it| it.0),
            },
            Expression::Traversal(it) => self.traversal(it, scope),
            Expression::FuncCall(it) => self.call(it, scope),
            Expression::Parenthesis(it) => self.evaluate(it, scope),
            Expression::Conditional(it) => self.conditional(it, scope),
            Expression::Operation(it) => self.operation(it, scope),
            Expression::ForExpr(it) => self.for_each_element(it, scope),
            _ => Ok(unknown("an expression of a form not known here")),
        }
    }

    fn conditional(&self, it: &Conditional, scope: &Scope<'_>) -> Evaluated {
        let cond = known!(self.evaluate(&it.cond_expr, scope)?);
        match cond.as_bool() {
            Some(true) => self.evaluate(&it.true_expr, scope),
            Some(false) => self.evaluate(&it.false_expr, scope),
            None => Ok(unknown("a condition is known after apply")),
        }
    }

    fn operation(&self, it: &Operation, scope: &Scope<'_>) -> Evaluated {
        let BinaryOp { lhs_expr, operator, rhs_expr } = match it {
            Operation::Unary(it) => {
                let value = known!(self.evaluate(&it.expr, scope)?);
                return Ok(match it.operator {
                    UnaryOperator::Neg => value.as_number().map(|it| Val::Number(-it)),
                    UnaryOperator::Not => value.as_bool().map(|it| Val::Bool(!it)),
                }
                .unwrap_or_else(|| unknown("an operation on what is known after apply")));
            }
            Operation::Binary(it) => it,
        };
        let (a, b) = (self.evaluate(lhs_expr, scope)?, self.evaluate(rhs_expr, scope)?);
        let missing = || {
            let because = a.because().or_else(|| b.because());
            because
                .map_or_else(|| unknown("an operation on what is known after apply"), Val::Unknown)
        };
        let logic = |decides: bool| match (a.as_bool(), b.as_bool()) {
            (Some(a), _) if a == decides => Val::Bool(decides),
            (_, Some(b)) if b == decides => Val::Bool(decides),
            (Some(_), Some(_)) => Val::Bool(!decides),
            _ => missing(),
        };
        let numbers = || Some((a.as_number()?, b.as_number()?));
        let number = |of: fn(f64, f64) -> f64| {
            let value = numbers().map(|(a, b)| of(a, b)).filter(|it| it.is_finite());
            value.map_or_else(missing, Val::Number)
        };
        let compare = |of: fn(&f64, &f64) -> bool| {
            numbers().map_or_else(missing, |(a, b)| Val::Bool(of(&a, &b)))
        };
        Ok(match operator {
            BinaryOperator::Eq => a.equals(&b).map_or_else(missing, Val::Bool),
            BinaryOperator::NotEq => a.equals(&b).map_or_else(missing, |it| Val::Bool(!it)),
            BinaryOperator::And => logic(false),
            BinaryOperator::Or => logic(true),
            BinaryOperator::Plus => number(|a, b| a + b),
            BinaryOperator::Minus => number(|a, b| a - b),
            BinaryOperator::Mul => number(|a, b| a * b),
            BinaryOperator::Div => number(|a, b| a / b),
            // The sign is that of the dividend, as in Terraform.
            BinaryOperator::Mod => number(|a, b| a % b),
            BinaryOperator::Less => compare(|a, b| a < b),
            BinaryOperator::LessEq => compare(|a, b| a <= b),
            BinaryOperator::Greater => compare(|a, b| a > b),
            BinaryOperator::GreaterEq => compare(|a, b| a >= b),
        })
    }

    fn for_each_element(&self, it: &ForExpr, scope: &Scope<'_>) -> Evaluated {
        let over = known!(self.evaluate(&it.collection_expr, scope)?);
        let (pairs, is_ordered) = match &over {
            Val::Map(map) => {
                let pairs = map.iter().map(|(key, it)| (Val::text(key), it.clone()));
                (pairs.collect::<Vec<_>>(), true)
            }
            Val::List(all) => {
                let pairs = (0_u32..).zip(all.iter());
                let pairs = pairs.map(|(place, it)| (Val::Number(place.into()), it.clone()));
                (pairs.collect(), true)
            }
            Val::Set(all) => {
                let is_ordered = over.in_order().is_some();
                (all.iter().map(|it| (it.clone(), it.clone())).collect(), is_ordered)
            }
            _ => return Ok(unknown("what a `for` goes over is not known before apply")),
        };
        let (mut list, mut map) = (Vec::new(), BTreeMap::<String, Val>::new());
        for (key, value) in pairs {
            let of_key = Bound {
                name: it.key_var.as_ref().map_or("", |it| it.as_str()),
                value: key,
                next: scope.bound,
            };
            let of_value = Bound { name: it.value_var.as_str(), value, next: Some(&of_key) };
            let inner = Scope { bound: Some(&of_value), ..*scope };
            if let Some(cond) = &it.cond_expr {
                let cond = known!(self.evaluate(cond, &inner)?);
                match cond.as_bool() {
                    Some(true) => {}
                    Some(false) => continue,
                    None => return Ok(unknown("the `if` of a `for` is known after apply")),
                }
            }
            let value = self.evaluate(&it.value_expr, &inner)?;
            let Some(key) = &it.key_expr else {
                list.push(value);
                continue;
            };
            let key = known!(self.evaluate(key, &inner)?);
            let Some(key) = key.as_text() else {
                return Ok(unknown("the key of a `for` is known after apply"));
            };
            match (it.grouping, map.get_mut(&key)) {
                (false, None) => {
                    map.insert(key, value);
                }
                (false, Some(_)) => return Err(format!("two elements have the key {key}")),
                (true, None) => {
                    map.insert(key, Val::listed(vec![value], true));
                }
                (true, Some(Val::List(group))) => Rc::make_mut(group).push(value),
                (true, Some(_)) => {}
            }
        }
        match it.key_expr {
            Some(_) if it.grouping && !is_ordered => {
                let as_sets = map.into_iter().map(|(key, group)| match group {
                    Val::List(all) if all.len() > 1 => (key, Val::Set(all)),
                    group => (key, group),
                });
                Ok(Val::map(as_sets.collect()))
            }
            Some(_) => Ok(Val::map(map)),
            None => Ok(Val::listed(list, is_ordered)),
        }
    }

    fn template(&self, it: &TemplateExpr, scope: &Scope<'_>) -> Evaluated {
        let TemplateExpr::QuotedString(_) = it else {
            return Ok(unknown("a text over several lines"));
        };
        let Ok(template) = Template::from_expr(it) else {
            return Ok(unknown("a text of a form not known here"));
        };
        // One interpolation and nothing beside it is no text but the value.
        if let [Element::Interpolation(one)] = template.elements() {
            return self.evaluate(&one.expr, scope);
        }
        let mut text = String::new();
        for element in template.elements() {
            match element {
                Element::Literal(it) => text += it,
                Element::Interpolation(it) if it.strip == Strip::None => {
                    let value = known!(self.evaluate(&it.expr, scope)?);
                    match value.as_text() {
                        Some(it) => text += &it,
                        None => return Ok(unknown("a text with something known after apply")),
                    }
                }
                _ => return Ok(unknown("a text with directives")),
            }
        }
        Ok(Val::text(text))
    }

    fn call(&self, it: &FuncCall, scope: &Scope<'_>) -> Evaluated {
        let name = it.name.name.as_str();
        if it.name.is_namespaced() {
            return Ok(unknown(format!("the function {} is not known here", it.name)));
        }
        if name == "try" && !it.expand_final {
            for arg in &it.args {
                if let Ok(value) = self.evaluate(arg, scope) {
                    return Ok(value);
                }
            }
            return Err("no argument of try has a value".to_owned());
        }
        if name == "can" && !it.expand_final {
            let [arg] = it.args.as_slice() else { return Err("can has one argument".to_owned()) };
            return Ok(match self.evaluate(arg, scope) {
                Ok(Val::Unknown(because)) => Val::Unknown(because),
                Ok(_) => Val::Bool(true),
                Err(_) => Val::Bool(false),
            });
        }
        let mut args = Vec::new();
        for arg in &it.args {
            args.push(self.evaluate(arg, scope)?);
        }
        if it.expand_final {
            let last = known!(args.pop().unwrap_or(Val::Null));
            match last.in_order() {
                Some(all) => args.extend(all.iter().cloned()),
                None => return Ok(unknown(format!("the order of arguments of {name}"))),
            }
        }
        functions::call(name, &args)
    }

    fn traversal(&self, it: &Traversal, scope: &Scope<'_>) -> Evaluated {
        let (value, rest) = match &it.expr {
            Expression::Variable(name) => match scope.find(name.as_str()) {
                Some(value) => (value.clone(), it.operators.as_slice()),
                None => {
                    let (value, used) = self.root(name.as_str(), &it.operators, scope)?;
                    (value, it.operators.get(used..).unwrap_or_default())
                }
            },
            other => (self.evaluate(other, scope)?, it.operators.as_slice()),
        };
        self.along(value, rest, scope)
    }

    /// What operators lead to from a value.
    fn along(&self, value: Val, operators: &[TraversalOperator], scope: &Scope<'_>) -> Evaluated {
        let Some((first, rest)) = operators.split_first() else { return Ok(value) };
        let value = known!(value);
        let next = match first {
            TraversalOperator::GetAttr(name) => self.member(&value, name.as_str())?,
            TraversalOperator::LegacyIndex(place) => {
                self.element(&value, &Val::text(place.to_string()))?
            }
            TraversalOperator::Index(key) => {
                let key = known!(self.evaluate(key, scope)?);
                self.element(&value, &key)?
            }
            TraversalOperator::FullSplat | TraversalOperator::AttrSplat => {
                let only_members = *first == TraversalOperator::AttrSplat;
                let is_member = |it: &TraversalOperator| {
                    matches!(it, TraversalOperator::GetAttr(_)) || !only_members
                };
                let end = rest.iter().position(|it| !is_member(it)).unwrap_or(rest.len());
                let (each, rest) = rest.split_at(end);
                let one = [value.clone()];
                let (all, is_ordered) = match &value {
                    Val::Null => (&[][..], true),
                    value => value.elements().unwrap_or((&one, true)),
                };
                let all: Result<Vec<_>, _> =
                    all.iter().map(|it| self.along(it.clone(), each, scope)).collect();
                return self.along(Val::listed(all?, is_ordered), rest, scope);
            }
        };
        self.along(next, rest, scope)
    }

    /// A member of an object.
    pub(super) fn member(&self, value: &Val, name: &str) -> Evaluated {
        match value {
            Val::Unknown(because) => Ok(Val::Unknown(because.clone())),
            Val::Map(map) => {
                map.get(name).cloned().ok_or_else(|| format!("there is no attribute {name}"))
            }
            Val::Resource(place) => self.of_resource(*place, name),
            Val::Module(address) => self.output_value(address, name),
            Val::Null => Err(format!("null has no attribute {name}")),
            Val::List(_) | Val::Set(_) => match name.parse::<u32>() {
                Ok(place) => self.element(value, &Val::Number(place.into())),
                Err(_) => Err(format!("a list has no attribute {name}")),
            },
            Val::Bool(_) | Val::Number(_) | Val::Text(_) | Val::Id(_) => {
                Err(format!("a text has no attribute {name}"))
            }
        }
    }

    fn element(&self, value: &Val, key: &Val) -> Evaluated {
        match (value, key) {
            (Val::Unknown(because), _) | (_, Val::Unknown(because)) => {
                Ok(Val::Unknown(because.clone()))
            }
            (Val::List(_) | Val::Set(_), key) => {
                let Some(all) = value.in_order() else {
                    return Ok(unknown("one of several whose order is known after apply"));
                };
                let Some(place) = key.as_place() else {
                    return Err("the index of a list is no number".to_owned());
                };
                let found = usize::try_from(place).ok().and_then(|it| all.get(it));
                found.cloned().ok_or_else(|| format!("there is no element {place}"))
            }
            (Val::Null, _) => Err("null has no elements".to_owned()),
            (_, Val::Id(_)) => Ok(unknown("a key that is an id")),
            (Val::Map(_) | Val::Resource(_) | Val::Module(_), key) => match key.as_text() {
                Some(key) => self.member(value, &key),
                None => Ok(unknown("a key that is known after apply")),
            },
            _ => Err("it has no elements".to_owned()),
        }
    }

    /// What a name means where it is bound by nothing, and how many operators belong to it.
    fn root(
        &self,
        head: &str,
        operators: &[TraversalOperator],
        scope: &Scope<'_>,
    ) -> Result<(Val, usize), String> {
        let name = |place: usize| match operators.get(place) {
            Some(TraversalOperator::GetAttr(name)) => Some(name.as_str()),
            Some(TraversalOperator::Index(Expression::String(name))) => Some(name.as_str()),
            _ => None,
        };
        let Some(first) = name(0) else {
            return Ok((unknown(format!("all of {head}")), 0));
        };
        let value = match head {
            "var" => self.variable_value(scope.module, first)?,
            "local" => self.local(scope.module, first)?,
            "module" => self.calls(scope.module, first)?,
            "each" => self.each(scope, first)?,
            "count" => match scope.of.and_then(|(_, _, key)| key).and_then(Value::as_f64) {
                Some(index) if first == "index" => Val::Number(index),
                _ => unknown("count.index without a count"),
            },
            "path" | "terraform" | "self" => unknown(format!("{head}.{first}")),
            "data" => {
                let second = name(1).unwrap_or_default();
                let members = operators.iter().map_while(|it| match it {
                    TraversalOperator::GetAttr(name) => Some(name.as_str()),
                    _ => None,
                });
                let members: Vec<_> = members.collect();
                let path = format!("data.{}", members.join("."));
                return Ok((self.data_source(scope.module, first, second, &path), 2));
            }
            kind => self.all_of(scope.module, &format!("{kind}.{first}")),
        };
        Ok((value, 1))
    }

    fn local(&self, module: &str, name: &str) -> Evaluated {
        let Some(files) = self.files(module) else {
            return Ok(unknown(format!("local.{name}: plans do not show locals")));
        };
        let Some(expression) = files.locals.get(name) else {
            return Ok(unknown(format!("local.{name} is not in the .tf files")));
        };
        self.once(format!("{module} local.{name}"), || {
            self.evaluate(expression, &Scope::of_module(module))
        })
    }

    fn variable_value(&self, module: &str, name: &str) -> Evaluated {
        let Some(body) = self.files(module).and_then(|it| it.variables.get(name)) else {
            return Ok(unknown(format!("var.{name} is not in the .tf files")));
        };
        self.once(format!("{module} var.{name}"), || {
            let own = Scope::of_module(module);
            let given = match module.is_empty() {
                true => {
                    let no_value = || unknown(format!("var.{name} has no value in the plan"));
                    let value = |it: &Value| Val::of(it, &Value::Null, name);
                    let given = self.variables.get(name);
                    given.map(|it| it.get("value").map_or_else(no_value, value))
                }
                false => self.argument(module, name)?,
            };
            let is_nullable = configuration::attribute(body, "nullable") != Some(&false.into());
            let given = given.filter(|it| *it != Val::Null || is_nullable);
            let value = match (given, configuration::attribute(body, "default")) {
                (Some(given), _) => given,
                (None, Some(default)) => self.evaluate(default, &own)?,
                (None, None) => unknown(format!("var.{name} has no value in the plan")),
            };
            match configuration::attribute(body, "type") {
                Some(to) => self.convert(value, to),
                None => Ok(value),
            }
        })
    }

    /// What a call hands in.
    fn argument(&self, module: &str, name: &str) -> Result<Option<Val>, String> {
        let (outer, key) = parent(module);
        let called = names_of(module).pop().unwrap_or_default();
        let Some(body) = self.files(&outer).and_then(|it| it.calls.get(&called)) else {
            return Ok(Some(unknown(format!("{module} is not in the .tf files"))));
        };
        let Some(expression) = configuration::attribute(body, name) else { return Ok(None) };
        let planned = &self.module(&outer)["module_calls"][called.as_str()]["expressions"][name];
        if !is_as_planned(planned, expression) {
            return Ok(Some(other_files(&format!("{module}: {name}"))));
        }
        let address = format!("module.{called}");
        let of = Some((address.as_str(), body, key.as_ref()));
        self.evaluate(expression, &Scope { of, ..Scope::of_module(&outer) }).map(Some)
    }

    fn output_value(&self, module: &str, name: &str) -> Evaluated {
        let Some(files) = self.files(module) else {
            return Ok(unknown(format!("{module}.{name}: the files of the module are not there")));
        };
        let Some(body) = files.outputs.get(name) else {
            return Err(format!("{module} has no output {name}"));
        };
        let Some(expression) = configuration::attribute(body, "value") else {
            return Ok(unknown(format!("{module}.{name} has no value")));
        };
        if !is_as_planned(&self.module(module)["outputs"][name]["expression"], expression) {
            return Ok(other_files(&format!("{module}.{name}")));
        }
        self.once(format!("{module} output.{name}"), || {
            self.evaluate(expression, &Scope::of_module(module))
        })
    }

    /// What `for_each` goes over.
    fn over(&self, module: &str, address: &str, body: &Body) -> Evaluated {
        let Some(expression) = configuration::attribute(body, "for_each") else {
            return Ok(unknown(format!("{address} has no for_each")));
        };
        let planned = match address.strip_prefix("module.") {
            Some(called) => &self.module(module)["module_calls"][called]["for_each_expression"],
            None => &self.configured_as(module, address)["for_each_expression"],
        };
        if !is_as_planned(planned, expression) {
            return Ok(other_files(&format!("the for_each of {address}")));
        }
        self.once(format!("{module} for_each of {address}"), || {
            let value = known!(self.evaluate(expression, &Scope::of_module(module))?);
            let keys = match &value {
                Val::Map(map) => map.keys().cloned().collect(),
                Val::Set(all) => all.iter().filter_map(Val::as_text).collect::<Vec<_>>(),
                _ => return Ok(unknown(format!("the for_each of {address}"))),
            };
            // Locals are not in a plan, and might have changed since.
            let planned = self.places.get(&format!("{module}|{address}"));
            let planned = planned.into_iter().flatten().map(|it| &self.resources[*it].index);
            let mut planned: Vec<_> =
                planned.filter_map(|it| it.as_ref()?.as_str().map(str::to_owned)).collect();
            planned.sort();
            match address.starts_with("module.") || planned == keys {
                true => Ok(value),
                false => Ok(other_files(&format!("the for_each of {address}"))),
            }
        })
    }

    fn each(&self, scope: &Scope<'_>, member: &str) -> Evaluated {
        let Some((address, body, Some(Value::String(key)))) = scope.of else {
            return Ok(unknown(format!("each.{member} without a for_each")));
        };
        if member == "key" {
            return Ok(Val::text(key));
        }
        match known!(self.over(scope.module, address, body)?) {
            Val::Map(map) => map.get(key).cloned().ok_or_else(|| format!("no key {key}")),
            Val::Set(_) => Ok(Val::text(key)),
            _ => Ok(unknown(format!("each.value of {address}"))),
        }
    }

    /// A resource, or all that it is there several times.
    fn all_of(&self, module: &str, declared: &str) -> Val {
        let Some(body) = self.files(module).and_then(|it| it.resources.get(declared)) else {
            return unknown(format!("{declared} is not in the .tf files"));
        };
        let planned = self.configured_as(module, declared);
        let empty = Vec::new();
        let places = self.places.get(&format!("{module}|{declared}")).unwrap_or(&empty);
        let keyed = |name: &str| {
            let expression = configuration::attribute(body, name)?;
            Some(is_as_planned(&planned[format!("{name}_expression")], expression))
        };
        match (keyed("count"), keyed("for_each")) {
            (None, None) => match places.as_slice() {
                [one] => Val::Resource(*one),
                _ => unknown(format!("{declared} is not in the plan")),
            },
            (Some(true), None) => {
                let number =
                    |it: &usize| self.resources[*it].index.as_ref().and_then(Value::as_u64);
                let mut places = places.clone();
                places.sort_by_key(number);
                // A plan of some resources alone (`-target`) may lack one between others.
                match (0_u64..).zip(&places).all(|(wanted, it)| number(it) == Some(wanted)) {
                    true => Val::list(places.into_iter().map(Val::Resource).collect()),
                    false => unknown(format!("not all of {declared} are in the plan")),
                }
            }
            (None, Some(true)) => {
                let all = places.iter().filter_map(|it| {
                    let key = self.resources[*it].index.as_ref()?.as_str()?;
                    Some((key.to_owned(), Val::Resource(*it)))
                });
                Val::map(all.collect())
            }
            _ => other_files(declared),
        }
    }

    fn of_resource(&self, place: usize, attribute: &str) -> Evaluated {
        let of = &self.resources[place];
        match self.own_id(of, attribute) {
            Some(Got::Is(id)) if of.is_id_known() && attribute == "id" => return Ok(Val::text(id)),
            Some(Got::Is(id)) => return Ok(Val::Id(id.as_str().into())),
            Some(Got::Unknown(because)) => return Ok(unknown(because)),
            Some(Got::Absent) | None => {}
        }
        let name = format!("{}.{attribute}", of.address);
        let value = of.values.get(attribute);
        if !self.is_unknown(of, attribute) {
            return Ok(match value {
                Some(value) => Val::of(value, &Value::Null, &name),
                None => unknown(format!("{name} is not in the plan")),
            });
        }
        let written = self.body(of).filter(|it| configuration::attribute(it, attribute).is_some());
        let Some(body) = written else {
            let parts = self.unknown_parts(of, attribute);
            return Ok(Val::of(value.unwrap_or(&Value::Null), parts, &name));
        };
        let found = self.once(name.clone(), || self.written(of, body, attribute))?;
        Ok(match found {
            Val::Null => unknown(format!("{name} is known after apply")),
            // Whether the attribute is a set is not to be seen.
            Val::List(all) if all.len() > 1 => Val::Set(all),
            found => found,
        })
    }

    fn data_source(&self, module: &str, kind: &str, name: &str, path: &str) -> Val {
        let declared = format!("data.{kind}.{name}");
        let Some(body) = self.files(module).and_then(|it| it.resources.get(&declared)) else {
            return unknown(format!("{declared} is not in the .tf files"));
        };
        let address = match module {
            "" => declared,
            module => format!("{module}.{declared}"),
        };
        let later = || unknown(format!("{path} is read during apply"));
        let several = ["count", "for_each"].map(|it| configuration::attribute(body, it).is_some());
        if several == [false, false] {
            return match self.prior.get(&address) {
                Some(values) if !self.read_later.contains(&address) => {
                    Val::of(&Value::Object(values.clone()), &Value::Null, path)
                }
                _ => later(),
            };
        }
        let inner = |it: &str| {
            let key = it.strip_prefix(&address)?.strip_prefix('[')?.strip_suffix(']')?;
            serde_json::from_str::<Value>(key).ok()
        };
        if self.read_later.iter().any(|it| inner(it).is_some()) {
            return later();
        }
        let all = self.prior.iter().filter_map(|(it, values)| {
            let value = Val::of(&Value::Object(values.clone()), &Value::Null, path);
            Some((inner(it)?, value))
        });
        match several[0] {
            true => {
                let mut all: Vec<_> = all.map(|(key, it)| (key.as_u64(), it)).collect();
                all.sort_by_key(|it| it.0);
                Val::list(all.into_iter().map(|it| it.1).collect())
            }
            false => {
                let all = all.filter_map(|(key, it)| Some((key.as_str()?.to_owned(), it)));
                Val::map(all.collect())
            }
        }
    }

    /// A module that is called, or all that it is called several times.
    fn calls(&self, module: &str, name: &str) -> Evaluated {
        let Some(body) = self.files(module).and_then(|it| it.calls.get(name)) else {
            return Ok(unknown(format!("module.{name} is not in the .tf files")));
        };
        let local = format!("module.{name}");
        let address = match module {
            "" => local.clone(),
            module => format!("{module}.{local}"),
        };
        if configuration::attribute(body, "for_each").is_some() {
            let over = known!(self.over(module, &local, body)?);
            let keys: Vec<_> = match &over {
                Val::Map(map) => map.keys().cloned().collect(),
                over => {
                    over.in_order().unwrap_or_default().iter().filter_map(Val::as_text).collect()
                }
            };
            let all = keys.into_iter().map(|key| {
                let called = format!("{address}[{}]", Value::from(key.as_str()));
                (key, Val::Module(called.as_str().into()))
            });
            return Ok(Val::map(all.collect()));
        }
        let Some(count) = configuration::attribute(body, "count") else {
            return Ok(Val::Module(address.as_str().into()));
        };
        if !is_as_planned(&self.module(module)["module_calls"][name]["count_expression"], count) {
            return Ok(other_files(&format!("the count of {address}")));
        }
        let count = known!(self.evaluate(count, &Scope::of_module(module))?);
        let Some(count) = count.as_place() else {
            return Ok(unknown(format!("the count of {address}")));
        };
        let all = (0..count).map(|it| Val::Module(format!("{address}[{it}]").as_str().into()));
        Ok(Val::list(all.collect()))
    }

    /// Blocks of a name as they are written, dynamic ones for each element; their attributes.
    pub(super) fn blocks(
        &self,
        of: &Planned,
        body: &Body,
        name: &str,
    ) -> Result<Vec<BTreeMap<String, Val>>, String> {
        let declared = of.declared();
        let scope = of.scope(&declared, body);
        if !self.is_as_known(of, body) {
            return Err(format!(
                "{} is written otherwise in the .tf files than in the plan",
                of.address
            ));
        }
        if configuration::attribute(body, name).is_some() {
            let value = self.written(of, body, name)?;
            let Some((all, _)) = value.elements() else {
                let because = value.because();
                return Err(
                    because.map_or_else(|| format!("{name} is no list"), |it| it.to_string())
                );
            };
            let maps = all.iter().map(|it| match it {
                Val::Map(map) => Ok((**map).clone()),
                other => Err(other.because().map_or_else(String::new, |it| it.to_string())),
            });
            return maps.collect();
        }
        let attributes = |body: &Body, scope: &Scope<'_>| {
            let all = body
                .attributes()
                .map(|it| Ok((it.key().to_owned(), self.evaluate(it.expr(), scope)?)));
            all.collect::<Result<BTreeMap<_, _>, String>>()
        };
        let mut heads = std::collections::BTreeSet::new();
        let mut found = Vec::new();
        for block in body.blocks() {
            let label = block.labels().first().map(hcl::BlockLabel::as_str);
            if block.identifier() == name {
                block.body().attributes().for_each(|it| heads_of(it.expr(), &mut heads));
                found.push(attributes(block.body(), &scope)?);
            } else if block.identifier() == "dynamic" && label == Some(name) {
                self.dynamic(block.body(), name, &scope, |content, scope| {
                    found.push(attributes(content, scope)?);
                    Ok(())
                })?;
            }
        }
        // Dynamic blocks are not in a plan's configuration.
        let planned = &self.expressions(of)[name];
        match planned.is_null() || super::references::heads_in(planned) == heads {
            true => Ok(found),
            false => Err(format!("{name} is written otherwise in the .tf files than in the plan")),
        }
    }

    fn dynamic(
        &self,
        body: &Body,
        label: &str,
        scope: &Scope<'_>,
        mut take: impl FnMut(&Body, &Scope<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let over = configuration::attribute(body, "for_each");
        let content = body.blocks().find(|it| it.identifier() == "content");
        let (Some(over), Some(content)) = (over, content) else {
            return Err(format!("a dynamic {label} is not complete"));
        };
        let over = self.evaluate(over, scope)?;
        let name = match configuration::attribute(body, "iterator") {
            Some(Expression::Variable(name)) => name.as_str(),
            _ => label,
        };
        let pairs: Vec<(Val, Val)> = match &over {
            Val::Map(map) => map.iter().map(|(key, it)| (Val::text(key), it.clone())).collect(),
            Val::List(all) => {
                let all = (0_u32..).zip(all.iter());
                all.map(|(place, it)| (Val::Number(place.into()), it.clone())).collect()
            }
            Val::Set(all) => all.iter().map(|it| (it.clone(), it.clone())).collect(),
            Val::Null => Vec::new(),
            other => {
                let because = other.because().map(|it| it.to_string());
                return Err(because.unwrap_or_else(|| format!("the for_each of a dynamic {label}")));
            }
        };
        for (key, value) in pairs {
            let members = [("key".to_owned(), key), ("value".to_owned(), value)];
            let bound = Bound { name, value: Val::map(members.into()), next: scope.bound };
            take(content.body(), &Scope { bound: Some(&bound), ..*scope })?;
        }
        Ok(())
    }

    /// Converts a value to the type of a variable.
    fn convert(&self, value: Val, to: &Expression) -> Evaluated {
        convert::convert(value, to, &|value, name| self.member(value, name))
    }
}

impl Planned {
    pub(super) fn scope<'a>(&'a self, declared: &'a str, body: &'a Body) -> Scope<'a> {
        Scope { module: &self.module, of: Some((declared, body, self.index.as_ref())), bound: None }
    }
}
