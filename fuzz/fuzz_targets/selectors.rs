//! Selectors, quantities and JSON paths out of queries and columns: what is read and written is read the same again.
#![no_main]

use drydock_machinery::jsonpath::JsonPath;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::selector::{FieldSelector, Selector};
use drydock_machinery::value;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(selector) = Selector::parse(text) {
        let labels = value!({"app": "a", "tier": "b", "n": "5"});
        let again = Selector::parse(&selector.to_string()).expect("what was written can be read");
        let labels = labels.as_object().expect("an object");
        assert_eq!(selector.matches(labels), again.matches(labels));
    }
    if let Ok(selector) = FieldSelector::parse(text) {
        let _ = selector.matches(|field| if field == "metadata.name" { "a" } else { "" });
    }
    if let Ok(quantity) = Quantity::parse(text) {
        assert!(Quantity::parse(&quantity.to_string()).is_ok(), "what was written can be read");
        let _ = (quantity.value(), quantity.milli_value(), quantity.as_f64());
    }
    if let Ok(path) = JsonPath::parse(text) {
        let tree = value!({"a": [{"b": 1}, {"b": "c"}], "metadata": {"name": "x"}});
        let _ = path.find(&tree);
    }
});
