//! kubectl's dialect of JSONPath, as printer columns and selectable fields use it: one expression such as
//! `.status.conditions[?(@.type=="Ready")].status`, without braces, `range` and surrounding text.
//!
//! Where RFC 9535 and client-go's `util/jsonpath` differ, this follows client-go. Keys that are missing find nothing.

mod parse;

use crate::patch::go_format::go_format;
use crate::value::Value;

/// A parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

/// An expression that does not parse, or does not fit the value it is applied to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonPathError(String);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Wildcard,
    Recursive,
    Slice(Slice),
    Union(Vec<Vec<Step>>),
    Filter {
        left: Vec<Step>,
        operator: String,
        right: Vec<Step>,
    },
    Literal(Value),
    /// A word that nothing is known by, which is only told to who evaluates it.
    Identifier(String),
}

/// `[start:end:step]`; `[3]` ends after its start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Slice {
    start: Option<i64>,
    end: Option<i64>,
    step: Option<i64>,
    /// The end was not written but follows from the start.
    single: bool,
}

/// How many values one expression may come by. Upstream has no such limit; `..[*]..[*]..[*]` comes by very many.
const MOST_STEPS: usize = 100_000;

type Found = Result<Vec<Value>, JsonPathError>;

impl JsonPath {
    /// # Errors
    /// When the expression is malformed.
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        parse::parse(text).map(|steps| Self { steps })
    }

    /// All values that the expression finds in `value`.
    ///
    /// # Errors
    /// When it indexes what is no list, or compares what cannot be compared, or takes too many steps.
    pub fn find(&self, value: &Value) -> Found {
        Walk { left: MOST_STEPS }.walk(vec![value.clone()], &self.steps)
    }

    /// How a found value is printed.
    pub fn print(value: &Value) -> String {
        match value {
            Value::Array(_) | Value::Object(_) => String::from_utf8_lossy(&value.to_json()).into_owned(),
            Value::Null => "null".to_owned(),
            scalar => go_format(scalar),
        }
    }
}

/// An expression on its way through a value.
struct Walk {
    left: usize,
}

impl Walk {
    fn walk(&mut self, input: Vec<Value>, steps: &[Step]) -> Found {
        steps.iter().try_fold(input, |input, step| self.apply(input, step))
    }

    fn apply(&mut self, input: Vec<Value>, step: &Step) -> Found {
        let mut out = Vec::new();
        match step {
            Step::Field(name) => out.extend(input.iter().filter_map(|value| value.get(name).cloned())),
            Step::Wildcard => {
                for value in &input {
                    let inside = inside(value);
                    self.count(inside.len())?;
                    out.extend(inside);
                }
            }
            Step::Recursive => input.iter().try_for_each(|value| self.recurse(value, &mut out))?,
            Step::Slice(slice) => {
                for value in input.iter().filter(|value| !value.is_null()) {
                    let Value::Array(items) = value else {
                        return Err(JsonPathError(format!("{value:?} is not array or slice")));
                    };
                    let items = slice.of(items)?;
                    self.count(items.len())?;
                    out.extend(items);
                }
            }
            Step::Union(branches) => {
                for branch in branches {
                    self.count(input.len())?;
                    out.extend(self.walk(input.clone(), branch)?);
                }
            }
            Step::Filter { left, operator, right } => {
                for value in &input {
                    let Value::Array(items) = value else {
                        return Err(JsonPathError(format!(
                            "{value:?} is not array or slice and cannot be filtered"
                        )));
                    };
                    for item in items {
                        if self.passes(item, left, operator, right)? {
                            out.push(item.clone());
                        }
                    }
                }
            }
            Step::Literal(value) => out.push(value.clone()),
            Step::Identifier(name) => return Err(JsonPathError(format!("unrecognized identifier {name}"))),
        }
        Ok(out)
    }

    fn count(&mut self, values: usize) -> Result<(), JsonPathError> {
        let left = self.left.checked_sub(values);
        self.left = left.ok_or_else(|| JsonPathError(format!("more than {MOST_STEPS} values were found")))?;
        Ok(())
    }

    /// The value, if there is anything in it, and everything below of which that is true.
    fn recurse(&mut self, value: &Value, out: &mut Vec<Value>) -> Result<(), JsonPathError> {
        let below = inside(value);
        self.count(below.len())?;
        if !below.is_empty() {
            out.push(value.clone());
            below.iter().try_for_each(|value| self.recurse(value, out))?;
        }
        Ok(())
    }

    fn passes(
        &mut self,
        item: &Value,
        left: &[Step],
        operator: &str,
        right: &[Step],
    ) -> Result<bool, JsonPathError> {
        self.count(1)?;
        let left = self.walk(vec![item.clone()], left);
        if operator == "exists" {
            return Ok(left.is_ok_and(|found| !found.is_empty()));
        }
        let (left, right) = (left?, self.walk(vec![item.clone()], right)?);
        let (left, right) = match (&left[..], &right[..]) {
            ([], _) | (_, []) => return Ok(false),
            ([left], [right]) => (left, right),
            _ => return Err(JsonPathError("can only compare one element at a time".to_owned())),
        };
        compares(left, operator, right)
    }
}

fn inside(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.to_vec(),
        Value::Object(map) => map.values().cloned().collect(),
        _ => Vec::new(),
    }
}

impl Slice {
    fn of(self, items: &[Value]) -> Found {
        let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
        let from_end = |i: i64| if i < 0 { i + length } else { i };
        let start = from_end(self.start.unwrap_or(0));
        let end = match self.end {
            Some(0) if self.single => length,
            Some(end) => from_end(end),
            None => length,
        };
        if start == end {
            return Ok(Vec::new());
        }
        let out_of_bounds =
            |i: i64| Err(JsonPathError(format!("array index out of bounds: index {i}, length {length}")));
        if !(0..length).contains(&start) {
            return out_of_bounds(start);
        }
        if !(0..=length).contains(&end) {
            return out_of_bounds(end - 1);
        }
        if start > end {
            return Err(JsonPathError(format!("starting index {start} is greater than ending index {end}")));
        }
        let step = self.step.unwrap_or(1);
        let step = usize::try_from(step).ok().filter(|step| *step > 0);
        let step = step.ok_or_else(|| JsonPathError("step must be > 0".to_owned()))?;
        let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
        Ok(items[range].iter().step_by(step).cloned().collect())
    }
}

fn compares(left: &Value, operator: &str, right: &Value) -> Result<bool, JsonPathError> {
    let order = match (left, right) {
        (Value::String(a), Value::String(b)) => a.as_str().cmp(b.as_str()),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Bool(a), Value::Bool(b)) if matches!(operator, "==" | "!=") => a.cmp(b),
        _ => return Err(JsonPathError("incompatible types for comparison".to_owned())),
    };
    Ok(match operator {
        "==" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        ">=" => order.is_ge(),
        other => return Err(JsonPathError(format!("unrecognized filter operator {other}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    fn check(path: &str, expect: &str) {
        let object = value!({
            "spec": {"port": "x", "n": 5, "a.b": "dotted", "list": [1, 2, 3, 4], "decks": [{"name": "up"}, {"name": "low"}]},
            "status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True", "n": 2}]},
        });
        let got = match JsonPath::parse(path).and_then(|path| path.find(&object)) {
            Ok(found) => found.iter().map(JsonPath::print).collect::<Vec<_>>().join(" "),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(got, expect, "{path}");
    }

    #[test]
    fn an_expression_may_not_come_by_very_many_values() {
        let deep = (0..200).fold(Value::from(1), |below, _| Value::from(vec![below]));
        let path = JsonPath::parse("..[*]..[*]..[*]..[*]").expect("it parses");
        assert_eq!(path.find(&deep).unwrap_err().to_string(), "more than 100000 values were found");
        let path = format!(".a{}", "[0,0]".repeat(100));
        let nested = (0..100).fold(Value::from(1), |below, _| Value::from(vec![below]));
        let path = JsonPath::parse(&path).expect("it parses");
        assert!(path.find(&value!({"a": 1})).is_err() && path.find(&Value::object()).is_ok());
        let mut object = Value::object();
        object.set(&["a"], nested);
        assert!(path.find(&object).is_err());
    }

    #[test]
    fn expressions_find_what_kubectl_finds() {
        check(".spec.port", "x");
        check("$.spec.port", "x");
        check(".spec.none.deeper", "");
        check(".spec['a.b']", "dotted");
        check(r".spec.a\.b", "dotted");
        check(".spec.decks[*].name", "up low");
        check(".spec.decks[0]", r#"{"name":"up"}"#);
        check(".spec.list[-1:]", "4");
        check(".spec.list[-1]", "4");
        let far = "error: array index out of bounds: index 9223372036854775807, length 4";
        check(".spec.list[9223372036854775807]", far);
        check(".spec.list[1:3]", "2 3");
        check(".spec.list[0:4:2]", "1 3");
        check(".spec.list[0,2]", "1 3");
        check(".spec['port','n']", "x 5");
        check(".status.conditions[?(@.type==\"Ready\")].status", "True");
        check(".status.conditions[?(@.type=='Ready')].status", "True");
        check(".status.conditions[?(@.n)].type", "Ready");
        check(".status.conditions[?(@.n>1)].type", "Ready");
        check(".status.conditions[?(@.type!=\"Ready\")].status", "False");
        check("..name", "up low");
        check(".spec.*", r#"dotted [{"name":"up"},{"name":"low"}] [1,2,3,4] 5 x"#);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        check(".spec.list[9]", "error: array index out of bounds: index 9, length 4");
        check(".spec.port[0]", "error: \"x\" is not array or slice");
        check(".spec[", "error: unterminated array");
        check(".spec[x]", "error: invalid array index x");
        check(".status.conditions[?(@.n>'a')]", "error: incompatible types for comparison");
        check(".a[?(@.b", "error: unterminated filter");
    }
}
