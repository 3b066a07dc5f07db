//! Expressions (CEL) in configuration files: over a token's claims, the user that they make, and requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_cel::ast::{Expr, ExprKind, Literal, functions};
use drydock_cel::declare::KubernetesVersion;
use drydock_cel::env::{Env, Types};
use drydock_cel::library::Library;
use drydock_cel::types::Type;
use drydock_cel::value::{BuiltMap, List, Map, Value as CelValue};
use drydock_cel::{Budget, EvalError, Program, Variables};
use drydock_machinery::{FieldErrors, FieldPath};
use serde_json::Value;

/// What an expression is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// `claims`
    Claims,
    /// `user`
    User,
    /// `request`
    Request,
}

impl About {
    fn variable(self) -> &'static str {
        match self {
            Self::Claims => "claims",
            Self::User => "user",
            Self::Request => "request",
        }
    }

    fn of(self) -> Type {
        match self {
            Self::Claims => Type::map(Type::String, Type::Dyn),
            Self::User => Type::named(USER_INFO),
            Self::Request => Type::named(REVIEW),
        }
    }
}

const USER_INFO: &str = "kubernetes.UserInfo";
const REVIEW: &str = "kubernetes.SubjectAccessReviewSpec";
const RESOURCE: &str = "kubernetes.ResourceAttributes";
const PATH: &str = "kubernetes.NonResourceAttributes";
const FIELD_SELECTOR: &str = "kubernetes.FieldSelectorAttributes";
const LABEL_SELECTOR: &str = "kubernetes.LabelSelectorAttributes";
const REQUIREMENT: &str = "kubernetes.SelectorRequirement";

/// The object types that expressions may refer to.
struct Declared;

impl Types for Declared {
    fn has_type(&self, name: &str) -> bool {
        [USER_INFO, REVIEW, RESOURCE, PATH, FIELD_SELECTOR, LABEL_SELECTOR, REQUIREMENT].contains(&name)
    }

    fn field(&self, of: &str, field: &str) -> Option<Type> {
        let strings = || Type::list(Type::String);
        Some(match (of, field) {
            (USER_INFO, "username" | "uid") | (REVIEW, "user" | "uid") => Type::String,
            (USER_INFO | REVIEW, "groups") => strings(),
            (USER_INFO | REVIEW, "extra") => Type::map(Type::String, strings()),
            (REVIEW, "resourceAttributes") => Type::named(RESOURCE),
            (REVIEW, "nonResourceAttributes") => Type::named(PATH),
            (RESOURCE, "namespace" | "verb" | "group" | "version" | "resource" | "subresource" | "name")
            | (PATH, "path" | "verb")
            | (FIELD_SELECTOR | LABEL_SELECTOR, "rawSelector")
            | (REQUIREMENT, "key" | "operator") => Type::String,
            (RESOURCE, "fieldSelector") => Type::named(FIELD_SELECTOR),
            (RESOURCE, "labelSelector") => Type::named(LABEL_SELECTOR),
            (FIELD_SELECTOR | LABEL_SELECTOR, "requirements") => Type::list(Type::named(REQUIREMENT)),
            (REQUIREMENT, "values") => strings(),
            _ => return None,
        })
    }
}

/// An expression that compiled. Equal to others by its text.
#[derive(Clone)]
pub struct Expression {
    text: String,
    about: About,
    program: Arc<Program>,
    /// The fields of its variable that it names: `claims.email`.
    fields: Arc<[String]>,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.about == other.about
    }
}

impl Eq for Expression {}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}

/// An expression that must be true, and what is said when it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub expression: Expression,
    pub message: String,
}

impl Rule {
    /// # Errors
    /// When the rule does not hold, or cannot be evaluated.
    pub(crate) fn check(&self, variable: &Value) -> Result<(), String> {
        match self.expression.evaluate(variable)? {
            CelValue::Bool(true) => Ok(()),
            CelValue::Bool(false) => {
                Err(format!("validation expression '{}' failed: {}", self.expression.text, self.message))
            }
            _ => Err("validation expression must return a boolean".to_owned()),
        }
    }
}

impl Expression {
    /// Compiles an expression for a cluster of this version; None, and errors at `path`, when it is none.
    pub(super) fn compile(
        cluster: KubernetesVersion,
        about: About,
        text: &str,
        must_be_bool: bool,
        path: &FieldPath,
        errors: &mut FieldErrors,
    ) -> Option<Self> {
        let env = Env::new(cluster).types(Arc::new(Declared)).variable(about.variable(), about.of());
        let checked = match env.compile(text) {
            Ok(checked) => checked,
            Err(issues) => {
                errors.invalid(path, text, format!("compilation failed: {issues}"));
                return None;
            }
        };
        if must_be_bool && checked.output != Type::Bool {
            let why = match about {
                About::Request => format!("must evaluate to bool but got {}", checked.output),
                About::Claims | About::User => "must evaluate to bool".to_owned(),
            };
            errors.invalid(path, text, why);
            return None;
        }
        let mut fields = Vec::new();
        collect_fields(&checked.expr, about.variable(), &mut fields);
        match Program::new(&checked, &Library::standard()) {
            Ok(program) => {
                Some(Self { text: text.to_owned(), about, program: Arc::new(program), fields: fields.into() })
            }
            Err(why) => {
                errors.invalid(path, text, format!("program instantiation failed: {why}"));
                None
            }
        }
    }

    /// Its text.
    pub fn source(&self) -> &str {
        &self.text
    }

    /// Whether it names this field of its variable.
    pub(super) fn names(&self, field: &str) -> bool {
        self.fields.iter().any(|own| own == field)
    }

    /// Its value for a value of its variable.
    ///
    /// # Errors
    /// The expression's own, in upstream's words.
    fn evaluate(&self, variable: &Value) -> Result<CelValue, String> {
        let variables = Variable(self.about.variable(), to_cel(variable));
        let evaluated = self.program.evaluate(&variables, Budget::default());
        evaluated.result.map_err(|why| format!("expression '{}' resulted in error: {why}", self.text))
    }

    /// # Errors
    /// When it cannot be evaluated, or is no text.
    pub(crate) fn text(&self, variable: &Value, what: &str) -> Result<String, String> {
        match self.evaluate(variable)? {
            CelValue::String(text) => Ok(text.to_string()),
            _ => Err(format!("{what} claim expression must return a string")),
        }
    }

    /// The texts of a list, or of one; those that are empty are left out.
    ///
    /// # Errors
    /// When it cannot be evaluated, or is no text or list of texts.
    pub(crate) fn texts(&self, variable: &Value) -> Result<Vec<String>, String> {
        let wrong = || "expression must return a string or a list of strings".to_owned();
        let all = match self.evaluate(variable)? {
            CelValue::Null => Vec::new(),
            CelValue::String(text) => vec![text.to_string()],
            CelValue::List(list) => texts_of(&list).ok_or_else(wrong)?,
            _ => return Err(wrong()),
        };
        Ok(all.into_iter().filter(|text| !text.is_empty()).collect())
    }

    /// Whether a request, told as the spec of a SubjectAccessReview, is one that it is true of.
    ///
    /// # Errors
    /// When it cannot be evaluated.
    pub fn holds_of_request(&self, spec: &Value) -> Result<bool, String> {
        match self.evaluate(spec) {
            Ok(CelValue::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!(
                "cel evaluation error: expression '{}' eval result type should be bool but got {}",
                self.text,
                other.type_name()
            )),
            Err(why) => Err(format!("cel evaluation error: {why}")),
        }
    }
}

fn texts_of(list: &List) -> Option<Vec<String>> {
    let items = list.to_vec().ok()?;
    items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

struct Variable(&'static str, CelValue);

impl Variables for Variable {
    fn variable(&self, name: &str) -> Option<Result<CelValue, EvalError>> {
        (name == self.0).then(|| Ok(self.1.clone()))
    }
}

/// JSON as expressions see it: all numbers are doubles, as Go's decoder makes them.
fn to_cel(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(flag) => CelValue::Bool(*flag),
        Value::Number(number) => CelValue::Double(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => CelValue::String(text.as_str().into()),
        Value::Array(items) => CelValue::list(items.iter().map(to_cel).collect()),
        Value::Object(fields) => {
            let mut map = BuiltMap::new();
            for (name, value) in fields {
                // Keys are strings, which compare, and each is there once.
                let _ = map.insert(CelValue::String(name.as_str().into()), to_cel(value));
            }
            CelValue::Map(Map::Built(Arc::new(map)))
        }
    }
}

/// The fields of a variable that an expression selects, also optionally.
fn collect_fields(expr: &Expr, variable: &str, out: &mut Vec<String>) {
    let is_variable = |expr: &Expr| matches!(&expr.kind, ExprKind::Ident(name) if **name == *variable);
    let mut within = |inner: &Expr| collect_fields(inner, variable, out);
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Ident(_) => {}
        ExprKind::Select(select) => {
            within(&select.operand);
            if is_variable(&select.operand) {
                out.push(select.field.to_string());
            }
        }
        ExprKind::Call(call) => {
            call.target.iter().chain(&call.arguments).for_each(&mut within);
            if *call.function == *functions::OPT_SELECT
                && let [operand, field] = call.arguments.as_slice()
                && let ExprKind::Literal(Literal::String(field)) = &field.kind
                && is_variable(operand)
            {
                out.push(field.to_string());
            }
        }
        ExprKind::List(elements) => elements.iter().for_each(|element| within(&element.value)),
        ExprKind::Map(entries) => entries.iter().for_each(|entry| {
            within(&entry.key);
            within(&entry.value);
        }),
        ExprKind::Struct(object) => object.fields.iter().for_each(|field| within(&field.value)),
        ExprKind::Comprehension(fold) => {
            [&fold.range, &fold.initial, &fold.condition, &fold.step, &fold.result]
                .into_iter()
                .for_each(within);
        }
    }
}

/// A user as rules about users see it.
pub(crate) fn user_variable(user: &crate::UserInfo) -> Value {
    let extra: BTreeMap<&str, &Vec<String>> =
        user.extra.iter().map(|(key, values)| (key.as_str(), values)).collect();
    serde_json::json!({
        "username": user.name, "uid": user.uid, "groups": user.groups, "extra": extra,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn compile(about: About, text: &str, must_be_bool: bool) -> Result<Expression, String> {
        let mut errors = FieldErrors::new();
        let compiled = Expression::compile(
            KubernetesVersion::V1_36,
            about,
            text,
            must_be_bool,
            &FieldPath::new("e"),
            &mut errors,
        );
        compiled.ok_or_else(|| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn claims_are_seen_as_gos_decoder_makes_them() {
        let claims = json!({"sub": "u", "level": 3, "roles": ["a", "", "b"], "nested": {"x-y": "z"}});
        let texts = |text: &str| compile(About::Claims, text, false).unwrap().texts(&claims);
        assert_eq!(texts("claims.roles.map(r, 'p:' + r)"), Ok(vec!["p:a".into(), "p:".into(), "p:b".into()]));
        assert_eq!(texts("claims.roles"), Ok(vec!["a".into(), "b".into()]));
        assert_eq!(texts("claims.level > 2 ? 'high' : 'low'"), Ok(vec!["high".into()]));
        assert_eq!(texts("claims.nested['x-y']"), Ok(vec!["z".into()]));
        let missing = "expression 'claims.none' resulted in error: no such key: none";
        assert_eq!(texts("claims.none"), Err(missing.into()));
        let wrong = "expression must return a string or a list of strings";
        assert_eq!(texts("claims.level"), Err(wrong.into()));
        assert_eq!(texts("claims.?none.orValue(null)"), Ok(vec![]));
    }

    #[test]
    fn what_does_not_compile_says_why() {
        let why = compile(About::Claims, "claims.sub", true).unwrap_err();
        assert_eq!(why, "e: Invalid value: \"claims.sub\": must evaluate to bool");
        let why = compile(About::User, "user.name == 'x'", true).unwrap_err();
        assert!(why.contains("compilation failed: ERROR: <input>:1:5: undefined field 'name'"), "{why}");
        assert!(compile(About::User, "!user.username.startsWith('system:')", true).is_ok());
    }

    #[test]
    fn a_request_is_matched_by_what_it_is_about() {
        let holds =
            |text: &str, spec: Value| compile(About::Request, text, true).unwrap().holds_of_request(&spec);
        let spec = json!({"user": "u", "groups": ["g"], "uid": "", "extra": {},
            "resourceAttributes": {"namespace": "a", "verb": "get", "resource": "pods"}});
        assert_eq!(holds("has(request.resourceAttributes)", spec.clone()), Ok(true));
        assert_eq!(holds("request.resourceAttributes.namespace == 'b'", spec.clone()), Ok(false));
        assert_eq!(
            holds("'g' in request.groups && !has(request.nonResourceAttributes)", spec.clone()),
            Ok(true)
        );
        assert!(holds("request.nonResourceAttributes.path == '/'", spec).is_err());
    }

    #[test]
    fn the_claims_that_an_expression_names_are_known() {
        let names = |text: &str| compile(About::Claims, text, false).unwrap().names("email");
        assert!(names("claims.email") && names("claims.?email.orValue('')") && names("[claims.email]"));
        assert!(!names("claims['email']") && !names("claims.sub.email"));
    }
}
