//! How values are written in columns.

use std::collections::BTreeMap;

use drydock_runtime::wall;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{DatabaseError, Result};

/// Now, as columns hold times: they sort as text.
pub(crate) fn now() -> String {
    time(wall::now())
}

pub(crate) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) fn from_json<T: DeserializeOwned>(table: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|_| DatabaseError::Value { table, value: text.to_owned() })
}

pub(super) type Labels = BTreeMap<String, String>;

/// An enum whose variants are words, in columns and in the API.
macro_rules! words {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

pub(super) fn word<T>(table: &'static str, text: String, parse: impl Fn(&str) -> Option<T>) -> Result<T> {
    parse(&text).ok_or(DatabaseError::Value { table, value: text })
}
