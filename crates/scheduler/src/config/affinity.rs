//! NodeAffinity's `addedAffinity`.

use drydock_client::scheduling::NodeTerm;
use drydock_machinery::document::Fields;
use drydock_machinery::selector::{Operator, Requirement};
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::profile::AddedAffinity;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn read(args: &mut Fields<'_>, errors: &mut FieldErrors) -> AddedAffinity {
    let mut out = AddedAffinity::default();
    let Some(mut affinity) = args.object("addedAffinity", errors) else { return out };
    if let Some(mut required) = affinity.object(REQUIRED, errors) {
        let path = required.child("nodeSelectorTerms");
        let terms = required.objects("nodeSelectorTerms", errors).into_iter().enumerate();
        let terms = terms.map(|(i, term)| read_term(term, &path.index(i), errors));
        out.required = Some(terms.collect());
        required.finish(errors);
    }
    let path = affinity.child(PREFERRED);
    for (i, mut preferred) in affinity.objects(PREFERRED, errors).into_iter().enumerate() {
        let weight = preferred.integer("weight", errors).unwrap_or(0);
        if let Some(term) = preferred.object("preference", errors) {
            // Upstream's path leaves `preference` out.
            let term = read_term(term, &path.index(i), errors);
            if weight != 0 {
                out.preferred.push((weight, term));
            }
        }
        preferred.finish(errors);
    }
    affinity.finish(errors);
    out
}

fn read_term(mut fields: Fields<'_>, path: &FieldPath, errors: &mut FieldErrors) -> NodeTerm {
    let mut read = Value::object();
    for (list, check) in [
        ("matchExpressions", check_expression as fn(&One<'_>, &mut FieldErrors)),
        ("matchFields", check_field),
    ] {
        let mut requirements = Vec::new();
        for (i, mut entry) in fields.objects(list, errors).into_iter().enumerate() {
            let one = One {
                key: entry.text("key", errors),
                operator: entry.text("operator", errors),
                values: entry.texts("values", errors),
                path: path.child(list).index(i),
            };
            entry.finish(errors);
            check(&one, errors);
            let mut requirement = Value::object();
            requirement.set(&["key"], one.key);
            requirement.set(&["operator"], one.operator);
            requirement.set(&["values"], one.values);
            requirements.push(requirement);
        }
        read.set(&[list], requirements);
    }
    fields.finish(errors);
    NodeTerm::parse(&read)
}

/// A `NodeSelectorRequirement`.
struct One<'a> {
    key: &'a str,
    operator: &'a str,
    values: Vec<String>,
    path: FieldPath,
}

fn check_expression(one: &One<'_>, errors: &mut FieldErrors) {
    const OPERATORS: [(&str, Operator); 6] = [
        ("In", Operator::In),
        ("NotIn", Operator::NotIn),
        ("Exists", Operator::Exists),
        ("DoesNotExist", Operator::DoesNotExist),
        ("Gt", Operator::GreaterThan),
        ("Lt", Operator::LessThan),
    ];
    match OPERATORS.iter().find(|(name, _)| *name == one.operator) {
        Some((_, operator)) => Requirement::validate(errors, &one.path, one.key, *operator, &one.values),
        None => {
            let names = OPERATORS.map(|(name, _)| name);
            errors.not_supported(&one.path.child("operator"), one.operator, &names);
        }
    }
}

fn check_field(one: &One<'_>, errors: &mut FieldErrors) {
    if !matches!(one.operator, "In" | "NotIn") {
        errors.not_supported(&one.path.child("operator"), one.operator, &["In", "NotIn"]);
    } else if one.values.len() != 1 {
        errors.invalid(&one.path.child("values"), one.values.clone(), "must have one element");
    }
}
