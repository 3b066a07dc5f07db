//! Mutating admission policies.

use drydock_cel::declare::KubernetesVersion;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::policy::{MUTATED, common, policy_defaults};
use super::{GROUP, reserved_name};
use crate::expression::{Compiler, Returns, Scope, for_new};
use crate::kind::{Finalizers, Kind, NEW_AND_CHANGED};
use crate::shape::{has, shown};
use crate::table;

pub(super) static MUTATING: Kind = Kind {
    finalizers: Finalizers::Any,
    update: NEW_AND_CHANGED,
    generation: true,
    unconditional_update: false,
    defaults: policy_defaults,
    validate: |errors, context, object, old| validate(errors, for_new(context), object, old),
    warnings: |object, _| reserved_name(object),
    cells: table::mutating_admission_policy,
    ..Kind::new(GROUP, "mutatingadmissionpolicies")
};

fn validate(errors: &mut FieldErrors, version: KubernetesVersion, object: &Value, old: Option<&Value>) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let old = old.and_then(|old| old.get("spec"));
    let compiler = common(errors, version, &spec, old, Some(&MUTATED), &path);
    let mutations = spec.array_at(&["mutations"]);
    if mutations.is_empty() {
        errors.required(&path.child("mutations"), "mutations must contain at least one item");
    }
    let params = has(&spec, &["paramKind"]);
    for (i, mutation) in mutations.iter().enumerate() {
        validate_mutation(errors, &compiler, mutation, params, &path.child("mutations").index(i));
    }
    match spec.str_at(&["reinvocationPolicy"]) {
        "" => errors.required(&path.child("reinvocationPolicy"), ""),
        "Never" | "IfNeeded" => {}
        policy => {
            errors.not_supported(&path.child("reinvocationPolicy"), policy, &["IfNeeded", "Never"]);
        }
    }
}

fn validate_mutation(
    errors: &mut FieldErrors,
    compiler: &Compiler,
    mutation: &Value,
    params: bool,
    path: &FieldPath,
) {
    let kind = mutation.str_at(&["patchType"]);
    let (field, other, returns) = match kind {
        "ApplyConfiguration" => ("applyConfiguration", "jsonPatch", Returns::Object),
        "JSONPatch" => ("jsonPatch", "applyConfiguration", Returns::Patches),
        "" => return errors.required(&path.child("patchType"), ""),
        kind => {
            let supported = ["ApplyConfiguration", "JSONPatch"];
            return errors.not_supported(&path.child("patchType"), kind, &supported);
        }
    };
    let at = path.child(field);
    if has(mutation, &[field]) {
        let at = at.child("expression");
        let expression = mutation.str_at(&[field, "expression"]).trim();
        if expression.is_empty() {
            errors.required(&at, "");
        } else if let Err(why) = compiler.compile(expression, Scope::mutation(params), returns) {
            errors.invalid(&at, expression, why.0);
        }
    } else {
        errors.required(&at, format!("must be specified when patchType is {kind}"));
    }
    if has(mutation, &[other]) {
        let detail = format!("must not be specified when patchType is {kind}");
        errors.invalid(&path.child(other), format!("{{{other}}}"), detail);
    }
}
