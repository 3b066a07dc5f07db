//! Secret: its type says which keys it must have.

mod tls;

use drydock_machinery::decode::{base64_decode, base64_encode};
use drydock_machinery::{FieldErrors, FieldPath, Map, ObjectMeta as _, Value};

use super::data::{MAX_SIZE, decoded_len, stays};
use crate::check::{data_key, immutable, json_object};
use crate::kind::{CHANGED_THEN_NEW, Kind};
use crate::shape::default;
use crate::table;

const SERVICE_ACCOUNT: &str = "kubernetes.io/service-account.name";
const REDACTED: &str = "<secret contents redacted>";

pub(super) static KIND: Kind = Kind {
    update: CHANGED_THEN_NEW,
    defaults: set_defaults,
    prepare_update: |_, object, old| {
        // A patch that clears the type keeps it.
        if object.str_at(&["type"]).is_empty() {
            object.set(&["type"], old.str_at(&["type"]).to_owned());
        }
    },
    validate: |errors, _, object, _| validate(errors, object),
    validate_change,
    warnings: |object, _| pair(object),
    field_names: &["type"],
    field_values: |object| vec![("type", object.str_at(&["type"]).into())],
    cells: table::secret,
    ..Kind::new("", "secrets")
};

/// `stringData` is written into `data` and never stored.
fn set_defaults(object: &mut Value) {
    default(object, &["type"], "Opaque");
    if let Some(Value::Object(texts)) = object.remove(&["stringData"]) {
        for (key, text) in texts.iter() {
            object.set(&["data", key], base64_encode(text.as_str().unwrap_or("").as_bytes()));
        }
    }
}

/// What base64 says; nothing when it is none, which decoding has refused before.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    base64_decode(text).unwrap_or_default()
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    let data = object.object_at(&["data"]);
    let path = FieldPath::new("data");
    let mut size = 0;
    for (key, value) in data.iter() {
        data_key(errors, key, &path.key(key));
        size += decoded_len(value);
    }
    if size > MAX_SIZE {
        errors.too_long(&path, MAX_SIZE);
    }
    let needs = |errors: &mut FieldErrors, keys: &[&str]| {
        for key in keys.iter().filter(|key| !data.contains_key(key)) {
            errors.required(&path.key(key), "");
        }
    };
    match object.str_at(&["type"]) {
        "kubernetes.io/service-account-token"
            if object.annotation(SERVICE_ACCOUNT).unwrap_or("").is_empty() =>
        {
            let path = FieldPath::new("metadata").child("annotations").key(SERVICE_ACCOUNT);
            errors.required(&path, "");
        }
        "kubernetes.io/dockercfg" => docker(errors, data, ".dockercfg", &path),
        "kubernetes.io/dockerconfigjson" => docker(errors, data, ".dockerconfigjson", &path),
        "kubernetes.io/basic-auth" if !data.contains_key("username") && !data.contains_key("password") => {
            needs(errors, &["username", "password"]);
        }
        "kubernetes.io/ssh-auth"
            if data.get("ssh-privatekey").and_then(Value::as_str).unwrap_or("").is_empty() =>
        {
            errors.required(&path.key("ssh-privatekey"), "");
        }
        "kubernetes.io/tls" => needs(errors, &["tls.crt", "tls.key"]),
        _ => {}
    }
}

/// A certificate that its key does not fit is no error: upstream warns of it.
fn pair(object: &Value) -> Vec<String> {
    if object.str_at(&["type"]) != "kubernetes.io/tls" {
        return Vec::new();
    }
    let [certificate, key] = ["tls.crt", "tls.key"].map(|name| decode(object.str_at(&["data", name])));
    tls::key_pair(&certificate, &key).err().into_iter().collect()
}

fn docker(errors: &mut FieldErrors, data: &Map, key: &str, path: &FieldPath) {
    let Some(text) = data.get(key).and_then(Value::as_str) else {
        errors.required(&path.key(key), "");
        return;
    };
    if let Err(why) = json_object(&decode(text)) {
        errors.invalid(&path.key(key), REDACTED, why);
    }
}

fn validate_change(errors: &mut FieldErrors, object: &Value, old: &Value) {
    immutable(errors, object, old, &["type"]);
    stays(errors, object, old, &["data"]);
}
