//! Empty lists and maps that were given where Go's `omitempty` does not write them.
//!
//! To upstream's defaulting and validation these are something else than absent ones: `policies: []` of an autoscaler
//! is refused, no policies are the default ones. They see what was decoded; all else sees what Go would write. So the
//! decoder leaves them out and says where they were, for those who must know to put them back.

use crate::schema::{Field, ListType, Presence, Shape, TypeRef};
use crate::value::{Key, Value};

/// Beyond so many empty values it is not said where they were.
pub(super) const MOST: usize = 256;

/// Where an empty list or map was.
#[derive(Clone, Debug, PartialEq)]
pub struct Emptied {
    /// To what had it.
    pub(super) parents: Vec<Place>,
    pub(super) name: Key,
    pub(super) value: Value,
}

/// A step into an object or a list.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    Name(Key),
    Index(usize),
}

/// Whether Go's encoding leaves out this value of a field of `owner`, a list or map that was given.
pub(super) fn is_left_out(value: &Value, field: &Field, owner: TypeRef<'_>) -> bool {
    let is_empty = match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    is_empty
        && field.presence == Presence::OmitEmpty
        && !matches!(owner.with(field.ty).shape(), Shape::Struct(_))
}

impl Emptied {
    /// Whether it was at this path.
    pub fn is_at(&self, path: &[&str]) -> bool {
        let names = self.parents.iter().map(|place| match place {
            Place::Name(name) => Some(name.as_str()),
            Place::Index(_) => None,
        });
        names.chain([Some(self.name.as_str())]).eq(path.iter().map(|name| Some(*name)))
    }

    /// Whether it was in an element of a list that is owned as a whole.
    pub fn is_in_atomic_list(&self, root: TypeRef<'_>) -> bool {
        let mut ty = root;
        for place in &self.parents {
            ty = match (ty.shape(), place) {
                (Shape::Struct(fields), Place::Name(name)) => match fields.field(name) {
                    Some(field) => ty.with(field.ty),
                    None => return false,
                },
                (Shape::Map { value, .. }, Place::Name(_)) => ty.with(*value),
                (Shape::List { list_type: ListType::Atomic, .. }, Place::Index(_)) => return true,
                (Shape::List { item, .. }, Place::Index(_)) => ty.with(*item),
                _ => return false,
            };
        }
        false
    }

    /// The field of the whole object that it was in, or was.
    pub fn top(&self) -> &str {
        match self.parents.first() {
            Some(Place::Name(name)) => name,
            _ => &self.name,
        }
    }

    /// Puts it where it was, if there is nothing now.
    pub fn put_back(&self, object: &mut Value) {
        let Some(Value::Object(parent)) = self.parent(object) else { return };
        if parent.get(&self.name).is_none_or(Value::is_null) {
            parent.insert(self.name.clone(), self.value.clone());
        }
    }

    /// Takes it out again; answers whether it was still there and empty.
    pub fn take_out(&self, object: &mut Value) -> bool {
        let Some(Value::Object(parent)) = self.parent(object) else { return false };
        let is_there = parent.get(&self.name) == Some(&self.value);
        if is_there {
            parent.remove(&self.name);
        }
        is_there
    }

    fn parent<'a>(&self, object: &'a mut Value) -> Option<&'a mut Value> {
        self.parents.iter().try_fold(object, |here, place| match (here, place) {
            (Value::Object(map), Place::Name(name)) => map.get_mut(name),
            (Value::Array(items), Place::Index(i)) if *i < items.len() => items.make_mut().get_mut(*i),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::decode::{FieldValidation, json};
    use crate::{Catalog, GroupVersionKind, value};

    #[test]
    fn empty_lists_and_maps_are_left_out_and_known() {
        let kind = GroupVersionKind::new("apps", "v1", "Deployment");
        let schema = Catalog::builtin().schema(&kind).unwrap();
        let text = r#"{"metadata": {"name": "d", "labels": {}, "annotations": null}, "spec": {"template": {"spec": {
            "containers": [{"name": "c"}, {"name": "", "args": [], "resources": {"limits": {}}}], "nodeSelector": {}}}}}"#;
        let mut decoded = json(text, schema.root(), FieldValidation::Strict).unwrap();
        let before = decoded.value.clone();
        assert_eq!(before.get("metadata"), Some(&value!({"name": "d"})));
        let tops: Vec<&str> = decoded.emptied.iter().map(|emptied| emptied.top()).collect();
        assert_eq!(tops, ["metadata", "spec", "spec", "spec"]);
        assert!(decoded.emptied[0].is_at(&["metadata", "labels"]));
        decoded.emptied.iter().for_each(|emptied| emptied.put_back(&mut decoded.value));
        let spec = decoded.value.at(&["spec", "template", "spec"]).unwrap();
        assert_eq!(spec.get("nodeSelector"), Some(&value!({})));
        let second = &spec.array_at(&["containers"])[1];
        assert_eq!(second.get("args"), Some(&value!([])));
        assert_eq!(second.at(&["resources", "limits"]), Some(&value!({})));
        assert!(decoded.emptied.iter().all(|emptied| emptied.take_out(&mut decoded.value)));
        assert_eq!(decoded.value, before);
        assert!(!decoded.emptied[0].take_out(&mut decoded.value));
    }
}
