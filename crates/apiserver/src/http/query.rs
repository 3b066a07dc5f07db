//! Query parameters: decoding, and the options of each verb.

use drydock_client::{Options, Preconditions, Verb};
use drydock_machinery::Status;
use drydock_machinery::go_text::query_unescape;

/// Query parameters in the order given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(raw: Option<&str>) -> Self {
        // As Go, which leaves out what it cannot read.
        let pairs = raw.unwrap_or("").split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
        let decoded = pairs.filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((query_unescape(key)?, query_unescape(value)?))
        });
        Self(decoded.collect())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    fn text(&self, key: &str) -> String {
        self.get(key).unwrap_or("").to_owned()
    }

    /// As Go's conversion of query parameters: everything but `false` and `0` is true.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        self.get(key).map(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }

    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>, Status> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let number = text.parse().map_err(|error: std::num::ParseIntError| {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            let why = match error.kind() {
                PosOverflow | NegOverflow => "value out of range",
                _ => "invalid syntax",
            };
            Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: {why}"))
        })?;
        Ok(Some(number))
    }

    /// The options that `verb` reads.
    ///
    /// # Errors
    /// 400 for numbers that are none.
    pub(crate) fn options(&self, verb: Verb) -> Result<Options, Status> {
        let mut options = Options::default();
        match verb {
            Verb::Get => options.resource_version = self.text("resourceVersion"),
            Verb::List => self.read_list(&mut options)?,
            Verb::Create | Verb::Update | Verb::Patch(_) => self.read_write(&mut options),
            Verb::Delete => self.read_delete(&mut options)?,
            Verb::DeleteCollection => {
                self.read_list(&mut options)?;
                self.read_delete(&mut options)?;
            }
        }
        Ok(options)
    }

    fn read_list(&self, options: &mut Options) -> Result<(), Status> {
        options.label_selector = self.text("labelSelector");
        options.field_selector = self.text("fieldSelector");
        options.resource_version = self.text("resourceVersion");
        options.resource_version_match = self.text("resourceVersionMatch");
        options.limit = self.integer("limit")?.and_then(|limit| u64::try_from(limit).ok()).unwrap_or(0);
        options.continue_token = self.text("continue");
        options.timeout_seconds =
            self.integer("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok());
        options.allow_watch_bookmarks = self.flag("allowWatchBookmarks").unwrap_or(false);
        options.send_initial_events = self.flag("sendInitialEvents");
        Ok(())
    }

    fn read_write(&self, options: &mut Options) {
        options.dry_run = self.all("dryRun").map(str::to_owned).collect();
        options.field_manager = self.text("fieldManager");
        options.field_validation = self.text("fieldValidation");
        options.force = self.flag("force");
    }

    fn read_delete(&self, options: &mut Options) -> Result<(), Status> {
        options.dry_run = self.all("dryRun").map(str::to_owned).collect();
        options.grace_period_seconds = self.integer("gracePeriodSeconds")?;
        options.propagation_policy = self.get("propagationPolicy").map(str::to_owned);
        options.orphan_dependents = self.flag("orphanDependents");
        let text = |key| self.get(key).map(str::to_owned);
        options.preconditions = Preconditions { uid: text("uid"), resource_version: text("resourceVersion") };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_left_out_and_an_empty_number_is_none() {
        let query = Query::parse(Some("limit=%zz&a=1;b=2&c=%41&gracePeriodSeconds="));
        assert_eq!((query.get("limit"), query.get("a"), query.get("c")), (None, None, Some("A")));
        let refused = query.integer("gracePeriodSeconds").unwrap_err();
        assert_eq!(refused.message, "strconv.ParseInt: parsing \"\": invalid syntax");
    }

    #[test]
    fn preconditions_of_a_delete_may_be_parameters() {
        let query = Query::parse(Some("uid=u&resourceVersion=7"));
        let read = query.options(Verb::Delete).unwrap().preconditions;
        assert_eq!((read.uid.as_deref(), read.resource_version.as_deref()), (Some("u"), Some("7")));
    }
}
