//! What expressions refer to: the one thing that both a plan and the files say of them, and so what
//! tells files of another day from those that were planned.

use std::collections::BTreeSet;

use hcl::{
    Expression, Template,
    expr::{ObjectKey, Operation, TraversalOperator},
    template::{Directive, Element},
};
use serde_json::Value;

use super::tree::list;

/// Whether an expression refers to what the plan says of it.
pub(super) fn is_as_planned(planned: &Value, expression: &Expression) -> bool {
    let mut heads = BTreeSet::new();
    heads_of(expression, &mut heads);
    // A plan says nothing of an expression that it has not.
    !planned.is_null() && heads_in(planned) == heads
}

/// What the references of a plan begin with, nested blocks included.
pub(super) fn heads_in(planned: &Value) -> BTreeSet<String> {
    match planned {
        Value::Array(all) => all.iter().flat_map(heads_in).collect(),
        Value::Object(of) if of.get("references").is_some_and(Value::is_array) => {
            let all = list(&planned["references"]).iter().filter_map(Value::as_str);
            all.filter_map(head).collect()
        }
        Value::Object(of) if !of.contains_key("constant_value") => {
            of.values().flat_map(heads_in).collect()
        }
        _ => BTreeSet::new(),
    }
}

fn head(reference: &str) -> Option<String> {
    let mut parts = reference.split(['.', '[']);
    let first = parts.next()?;
    let count = if first == "data" { 2 } else { 1 };
    let rest: Vec<_> = parts.take(count).collect();
    (rest.len() == count).then(|| format!("{first}.{}", rest.join(".")))
}

/// Adds what the references of an expression begin with.
pub(super) fn heads_of(expression: &Expression, heads: &mut BTreeSet<String>) {
    of(expression, &[], heads);
}

fn of(expression: &Expression, bound: &[&str], heads: &mut BTreeSet<String>) {
    match expression {
        Expression::Array(all) => all.iter().for_each(|it| of(it, bound, heads)),
        Expression::Object(all) => {
            for (key, value) in all {
                if let ObjectKey::Expression(key) = key {
                    of(key, bound, heads);
                }
                of(value, bound, heads);
            }
        }
        Expression::TemplateExpr(it) => {
            if let Ok(template) = Template::from_expr(it) {
                in_template(&template, bound, heads);
            }
        }
        Expression::Traversal(it) => {
            for operator in &it.operators {
                if let TraversalOperator::Index(key) = operator {
                    of(key, bound, heads);
                }
            }
            let Expression::Variable(name) = &it.expr else { return of(&it.expr, bound, heads) };
            if bound.contains(&name.as_str()) {
                return;
            }
            let members = it.operators.iter().map_while(|it| match it {
                TraversalOperator::GetAttr(name) => Some(name.as_str()),
                TraversalOperator::Index(Expression::String(name)) => Some(name.as_str()),
                _ => None,
            });
            let path: Vec<_> = [name.as_str()].into_iter().chain(members).collect();
            heads.extend(head(&path.join(".")));
        }
        Expression::FuncCall(it) => it.args.iter().for_each(|it| of(it, bound, heads)),
        Expression::Parenthesis(it) => of(it, bound, heads),
        Expression::Conditional(it) => {
            for it in [&it.cond_expr, &it.true_expr, &it.false_expr] {
                of(it, bound, heads);
            }
        }
        Expression::Operation(it) => match &**it {
            Operation::Unary(it) => of(&it.expr, bound, heads),
            Operation::Binary(it) => {
                of(&it.lhs_expr, bound, heads);
                of(&it.rhs_expr, bound, heads);
            }
        },
        Expression::ForExpr(it) => {
            of(&it.collection_expr, bound, heads);
            let names = it.key_var.iter().chain([&it.value_var]).map(|it| it.as_str());
            let bound: Vec<_> = bound.iter().copied().chain(names).collect();
            let inner = it.key_expr.iter().chain([&it.value_expr]).chain(&it.cond_expr);
            inner.for_each(|it| of(it, &bound, heads));
        }
        _ => {}
    }
}

fn in_template(template: &Template, bound: &[&str], heads: &mut BTreeSet<String>) {
    for element in template.elements() {
        match element {
            Element::Literal(_) => {}
            Element::Interpolation(it) => of(&it.expr, bound, heads),
            Element::Directive(it) => match &**it {
                Directive::If(it) => {
                    of(&it.cond_expr, bound, heads);
                    in_template(&it.true_template, bound, heads);
                    it.false_template.iter().for_each(|it| in_template(it, bound, heads));
                }
                Directive::For(it) => {
                    of(&it.collection_expr, bound, heads);
                    let names = it.key_var.iter().chain([&it.value_var]).map(|it| it.as_str());
                    let bound: Vec<_> = bound.iter().copied().chain(names).collect();
                    in_template(&it.template, &bound, heads);
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_and_plan_refer_to_is_compared() {
        let written = r#"[for s in aws_subnet.a : s.tags[local.tag]
            if contains(data.aws_x.y[0].names, "${var.n["k"]}-${count.index + 1}")]"#;
        let expression: Expression = written.parse().expect("an expression");
        let planned = |references: &[&str]| serde_json::json!({"references": references});
        let all = [
            "aws_subnet.a",
            "local.tag",
            "data.aws_x.y[0].names",
            "data.aws_x.y[0]",
            "data.aws_x.y",
            "var.n[\"k\"]",
            "var.n",
            "count.index",
        ];
        assert!(is_as_planned(&planned(&all), &expression));
        assert!(!is_as_planned(&planned(&all[1..]), &expression));
        assert!(!is_as_planned(&Value::Null, &expression));
        assert!(is_as_planned(&serde_json::json!({"constant_value": 1}), &Expression::from(2)));
    }
}
