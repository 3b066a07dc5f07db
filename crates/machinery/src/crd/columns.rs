//! Printer columns: a custom resource's table.

use jiff::Timestamp;

use crate::jsonpath::{JsonPath, JsonPathError};
use crate::object::ObjectMeta as _;
use crate::value;
use crate::value::Value;

/// A version's columns, after the name that every table begins with.
#[derive(Clone, Debug)]
pub struct Columns(Vec<Column>);

#[derive(Clone, Debug)]
struct Column {
    definition: Value,
    ty: String,
    path: JsonPath,
}

impl Columns {
    /// `additional` is a version's `additionalPrinterColumns`; when there are none, there is an `Age`.
    ///
    /// # Errors
    /// When a JSONPath does not parse.
    pub fn new(additional: &[Value], age_description: &str) -> Result<Self, JsonPathError> {
        if additional.is_empty() {
            let age = value!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
                "description": age_description});
            return Ok(Self(vec![Column::new(&age)?]));
        }
        additional.iter().map(Column::new).collect::<Result<_, _>>().map(Self)
    }

    /// `TableColumnDefinition`s, without that of the name.
    pub fn definitions(&self) -> impl Iterator<Item = &Value> {
        self.0.iter().map(|column| &column.definition)
    }

    /// The object's cells: its name and the columns.
    pub fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let columns = self.0.iter().map(|column| column.cell(object, now));
        std::iter::once(Value::from(object.name())).chain(columns).collect()
    }
}

impl Column {
    fn new(column: &Value) -> Result<Self, JsonPathError> {
        let path = column.str_at(&["jsonPath"]);
        let mut description = column.str_at(&["description"]).to_owned();
        if description.is_empty() {
            description = format!("Custom resource definition column (in JSONPath format): {path}");
        }
        let definition = value!({
            "name": column.str_at(&["name"]), "type": column.str_at(&["type"]),
            "format": column.str_at(&["format"]), "description": description,
            "priority": column.i64_at(&["priority"]).unwrap_or(0),
        });
        Ok(Self { definition, ty: column.str_at(&["type"]).to_owned(), path: JsonPath::parse(path)? })
    }

    /// The first value found, if it is of the column's type.
    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let found = self.path.find(object).unwrap_or_default();
        let Some(found) = found.into_iter().next() else { return Value::Null };
        match (self.ty.as_str(), found) {
            // As Go's templates print what is nothing.
            ("string", Value::Null) => "<no value>".into(),
            ("string", value) => Value::from(JsonPath::print(&value)),
            ("integer", Value::Int(i)) => Value::Int(i),
            ("integer", Value::Float(f)) => Value::Int(truncated(f)),
            ("number", value @ (Value::Int(_) | Value::Float(_))) => value,
            ("boolean", Value::Bool(b)) => Value::Bool(b),
            ("date", Value::String(text)) => Value::from(match text.parse::<Timestamp>() {
                Ok(time) => human_duration(now.as_second() - time.as_second()),
                Err(_) => "<invalid>".to_owned(),
            }),
            _ => Value::Null,
        }
    }
}

/// As Go on amd64 converts: what does not fit is the smallest number.
fn truncated(f: f64) -> i64 {
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&f);
    if fits { f as i64 } else { i64::MIN }
}

/// `duration.HumanDuration`: two or three significant figures.
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let (days, years) = (hours / 24, hours / 24 / 365);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        i64::MIN..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => two(days, "d", hours % 24, "h"),
        _ if years < 2 => format!("{days}d"),
        _ if years < 8 => two(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_of_their_columns_type() {
        let columns = [
            ("Port", "string", ".spec.port"),
            ("Crew", "integer", ".spec.crew"),
            ("Afloat", "boolean", ".spec.afloat"),
            ("Draught", "number", ".spec.draught"),
            ("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status"),
            ("Decks", "string", ".spec.decks[*].name"),
            ("Built", "date", ".spec.built"),
        ]
        .map(|(name, ty, path)| value!({"name": name, "type": ty, "jsonPath": path}));
        let columns = Columns::new(&columns, "").unwrap();
        let now = Timestamp::from_second(1000).unwrap();
        let argo = value!({"metadata": {"name": "argo"}, "spec": {"port": "Iolcos", "crew": 50, "afloat": true,
            "draught": 1.5, "decks": [{"name": "upper"}, {"name": "lower"}], "built": "1970-01-01T00:10:00Z"},
            "status": {"conditions": [{"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]}});
        assert_eq!(
            Value::from(columns.cells(&argo, now)),
            value!(["argo", "Iolcos", 50, true, 1.5, "True", "upper", "6m40s"])
        );
        let raft = value!({"metadata": {"name": "raft"}, "spec": {"crew": "many", "built": "long ago"}});
        assert_eq!(
            Value::from(columns.cells(&raft, now)),
            value!(["raft", null, null, null, null, null, null, "<invalid>"])
        );
    }

    #[test]
    fn ages_have_a_few_significant_figures() {
        for (seconds, expect) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (3600, "60m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 60, "3h1m"),
            (24 * 3600, "24h"),
            (3 * 86400, "3d"),
            (3 * 86400 + 3600, "3d1h"),
            (400 * 86400, "400d"),
            (800 * 86400, "2y70d"),
            (3650 * 86400, "10y"),
        ] {
            assert_eq!(human_duration(seconds), expect, "{seconds}");
        }
    }
}
