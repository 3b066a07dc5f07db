//! What the claims of a token become, and which rules claims and users must meet.

use drydock_cel::declare::KubernetesVersion;
use drydock_machinery::names_validation::validate_domain_prefixed_path;
use drydock_machinery::{FieldErrors, FieldPath};

use super::Fields;
use super::expression::{About, Expression, Rule};

/// What claims become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimMapping {
    /// One claim's value behind a prefix.
    Claim {
        claim: String,
        prefix: String,
    },
    Expression(Expression),
}

pub(super) fn read_rules(
    fields: &mut Fields<'_>,
    errors: &mut FieldErrors,
) -> (Vec<(String, String)>, Vec<Rule>) {
    let (mut required, mut rules): (Vec<(String, String)>, Vec<Rule>) = Default::default();
    let mut seen = Vec::new();
    for mut rule in fields.objects("claimValidationRules", errors) {
        let claim = rule.text("claim", errors);
        let value = rule.text("requiredValue", errors);
        let expression = rule.text("expression", errors);
        let message = rule.text("message", errors);
        match (claim, expression) {
            ("", "") => errors.required(rule.path(), "claim or expression is required"),
            ("", _) => {
                if !value.is_empty() {
                    let why = "may not be specified when expression is set";
                    errors.invalid(&rule.child("requiredValue"), value, why);
                }
                let path = rule.child("expression");
                rules.extend(read_rule(
                    rule.cluster(),
                    About::Claims,
                    expression,
                    message,
                    &path,
                    &mut seen,
                    errors,
                ));
            }
            (_, "") => {
                if !message.is_empty() {
                    errors.invalid(&rule.child("message"), message, "may not be specified when claim is set");
                }
                if required.iter().any(|(known, _)| known == claim) {
                    errors.duplicate(&rule.child("claim"), claim);
                }
                required.push((claim.to_owned(), value.to_owned()));
            }
            _ => errors.invalid(rule.path(), claim, "claim and expression can't both be set"),
        }
        rule.finish(errors);
    }
    (required, rules)
}

pub(super) fn read_user_rules(fields: &mut Fields<'_>, errors: &mut FieldErrors) -> Vec<Rule> {
    let (mut rules, mut seen) = (Vec::new(), Vec::new());
    for mut rule in fields.objects("userValidationRules", errors) {
        let (expression, message) = (rule.text("expression", errors), rule.text("message", errors));
        let path = rule.child("expression");
        if expression.is_empty() {
            errors.required(&path, "");
        } else {
            rules.extend(read_rule(
                rule.cluster(),
                About::User,
                expression,
                message,
                &path,
                &mut seen,
                errors,
            ));
        }
        rule.finish(errors);
    }
    rules
}

/// A rule by an expression, unless the expression was there before.
fn read_rule(
    cluster: KubernetesVersion,
    about: About,
    expression: &str,
    message: &str,
    path: &FieldPath,
    seen: &mut Vec<String>,
    errors: &mut FieldErrors,
) -> Option<Rule> {
    if seen.iter().any(|known| known == expression) {
        errors.duplicate(path, expression);
        return None;
    }
    seen.push(expression.to_owned());
    let expression = Expression::compile(cluster, about, expression, true, path, errors)?;
    Some(Rule { expression, message: message.to_owned() })
}

#[derive(Default)]
pub(super) struct Mappings {
    pub(super) username: Option<ClaimMapping>,
    pub(super) groups: Option<ClaimMapping>,
    pub(super) uid: Option<ClaimMapping>,
    pub(super) extra: Vec<(String, Expression)>,
}

pub(super) fn read_mappings(mut fields: Fields<'_>, rules: &[Rule], errors: &mut FieldErrors) -> Mappings {
    let mut out = Mappings::default();
    let username_path = fields.child("username");
    match fields.object("username", errors) {
        Some(mapping) => {
            let (read, is_given) = read_mapping(mapping, errors);
            if !is_given {
                errors.required(&username_path, "claim or expression is required");
            }
            out.username = read;
        }
        None => errors.required(&username_path, "claim or expression is required"),
    }
    out.groups = fields.object("groups", errors).and_then(|mapping| read_mapping(mapping, errors).0);
    out.uid = fields.object("uid", errors).and_then(|uid| read_uid(uid, errors));
    out.extra = read_extra(&mut fields, errors);
    if let Some(ClaimMapping::Expression(expression)) = &out.username
        && expression.names("email")
    {
        let rules = rules.iter().map(|rule| &rule.expression);
        let mut all = rules.chain(out.extra.iter().map(|(_, value)| value)).chain([expression]);
        if !all.any(|expression| expression.names("email_verified")) {
            let why = "claims.email_verified must be used in claimMappings.username.expression or \
                       claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email \
                       is used in claimMappings.username.expression";
            errors.invalid(&username_path.child("expression"), expression.source(), why);
        }
    }
    fields.finish(errors);
    out
}

fn read_uid(mut fields: Fields<'_>, errors: &mut FieldErrors) -> Option<ClaimMapping> {
    let (claim, expression) = (fields.text("claim", errors), fields.text("expression", errors));
    let path = fields.child("expression");
    let read = match (claim, expression) {
        ("", "") => None,
        (_, "") => Some(ClaimMapping::Claim { claim: claim.to_owned(), prefix: String::new() }),
        ("", _) => Expression::compile(fields.cluster(), About::Claims, expression, false, &path, errors)
            .map(ClaimMapping::Expression),
        _ => {
            errors.invalid(fields.path(), "", "claim and expression can't both be set");
            None
        }
    };
    fields.finish(errors);
    read
}

fn read_extra(fields: &mut Fields<'_>, errors: &mut FieldErrors) -> Vec<(String, Expression)> {
    let mut out = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for mut extra in fields.objects("extra", errors) {
        let (key, expression) = (extra.text("key", errors), extra.text("valueExpression", errors));
        let (key_path, path) = (extra.child("key"), extra.child("valueExpression"));
        validate_domain_prefixed_path(errors, &key_path, key);
        if key.chars().any(char::is_uppercase) {
            errors.invalid(&key_path, key, "must be lowercase");
        }
        let domain = key.split_once('/').map_or("", |(domain, _)| domain);
        let is_of =
            |own: &str| domain == own || domain.strip_suffix(own).is_some_and(|rest| rest.ends_with('.'));
        if is_of("kubernetes.io") || is_of("k8s.io") {
            let why = "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use";
            errors.invalid(&key_path, key, why);
        }
        if seen.contains(&key) {
            errors.duplicate(&key_path, key);
        } else if expression.is_empty() {
            errors.required(&path, "");
        } else {
            let compiled =
                Expression::compile(extra.cluster(), About::Claims, expression, false, &path, errors);
            out.extend(compiled.map(|compiled| (key.to_owned(), compiled)));
        }
        seen.push(key);
        extra.finish(errors);
    }
    out
}

/// The mapping, if it is one, and whether it was given at all.
fn read_mapping(mut fields: Fields<'_>, errors: &mut FieldErrors) -> (Option<ClaimMapping>, bool) {
    let claim = fields.text("claim", errors);
    let prefix = fields.given_text("prefix", errors);
    let expression = fields.text("expression", errors);
    let read = match (claim, expression) {
        ("", "") => None,
        ("", _) => {
            if let Some(prefix) = prefix {
                let why = "may not be specified when expression is set";
                errors.invalid(&fields.child("prefix"), prefix, why);
            }
            let path = fields.child("expression");
            Expression::compile(fields.cluster(), About::Claims, expression, false, &path, errors)
                .map(ClaimMapping::Expression)
        }
        (_, "") => {
            if prefix.is_none() {
                let why = "prefix is required when claim is set. It can be set to an empty string to disable prefixing";
                errors.required(&fields.child("prefix"), why);
            }
            Some(ClaimMapping::Claim { claim: claim.to_owned(), prefix: prefix.unwrap_or("").to_owned() })
        }
        _ => {
            errors.invalid(fields.path(), "", "claim and expression can't both be set");
            None
        }
    };
    fields.finish(errors);
    (read, !claim.is_empty() || !expression.is_empty())
}
