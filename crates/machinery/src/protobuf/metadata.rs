//! `PartialObjectMetadata` and its list, of which objects of any kind have a form: custom resources, too.

use super::{ProtobufError, encode, in_envelope};
use crate::catalog::Catalog;
use crate::object::ObjectMeta as _;
use crate::schema::Schema;
use crate::value::Value;

use super::wire::Writer;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The object or list in its envelope.
///
/// # Errors
/// When it is neither.
pub fn encode_metadata(object: &Value) -> Result<Vec<u8>, ProtobufError> {
    let meta = definition("ObjectMeta")?;
    match object.kind() {
        "PartialObjectMetadata" => in_envelope(object, |out| field(out, 1, object, &meta)),
        "PartialObjectMetadataList" => {
            let list_meta = definition("ListMeta")?;
            in_envelope(object, |out| {
                field(out, 1, object, &list_meta)?;
                for item in object.array_at(&["items"]) {
                    let open = out.begin(2);
                    field(out, 1, item, &meta)?;
                    out.end(open);
                }
                Ok(())
            })
        }
        _ => Err(ProtobufError::Unsupported("it is no metadata")),
    }
}

fn definition(name: &str) -> Result<Schema, ProtobufError> {
    let found = Catalog::builtin().definition(&format!("{META}.{name}"));
    found.ok_or(ProtobufError::Unsupported("the catalog lacks metadata"))
}

/// The object's metadata as a field.
fn field(out: &mut Writer, number: u32, object: &Value, schema: &Schema) -> Result<(), ProtobufError> {
    let open = out.begin(number);
    encode::message(object.get("metadata").unwrap_or(&Value::Null), schema.root(), out)?;
    out.end(open);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::open;
    use crate::value;

    #[test]
    fn items_are_without_kind() {
        let list = value!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
            "metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "a"}}]});
        let bytes = encode_metadata(&list).unwrap();
        let unknown = open(&bytes).unwrap();
        assert_eq!(unknown.type_meta.kind, "PartialObjectMetadataList");
        // ListMeta: selfLink, resourceVersion, continue; then one item with its metadata, whose name comes first.
        let list_meta = [0x0a, 7, 0x0a, 0, 0x12, 1, b'7', 0x1a, 0];
        assert_eq!(&unknown.raw[..list_meta.len()], list_meta);
        let item = &unknown.raw[list_meta.len()..];
        assert_eq!([item[0], item[2]], [0x12, 0x0a]);
        assert_eq!(&item[4..7], [0x0a, 1, b'a']);
        assert!(encode_metadata(&value!({"kind": "Pod"})).is_err());
    }
}
