//! Query strings, read strictly: an unknown parameter is an error, not ignored. And the names in paths.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::service::validation::Findings;

use super::problem::Problem;

/// Takes parameters out one by one.
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
    findings: Findings,
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let axum::extract::Query(pairs) = axum::extract::Query::try_from_uri(&parts.uri)
            .map_err(|error| Problem::malformed(format!("the query string: {error}")))?;
        Ok(Self { pairs, known: Vec::new(), findings: Findings::default() })
    }
}

/// The segments of a path that are names.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(names)) => Ok(Self(names)),
            Err(rejection) => Err(Problem::malformed(format!("the path: {}", rejection.body_text()))),
        }
    }
}

/// The query of a request that takes no parameters.
pub(super) struct NoQuery;

impl<S: Send + Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Query::from_request_parts(parts, state).await?.finish().map(|()| Self)
    }
}

impl Query {
    /// None when absent or empty.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.take(name).filter(|value| !value.is_empty())
    }

    fn take(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        let at = self.pairs.iter().position(|(key, _)| key == name)?;
        let (_, value) = self.pairs.remove(at);
        if self.pairs.iter().any(|(key, _)| key == name) {
            self.findings.add(name, "is given twice");
            self.pairs.retain(|(key, _)| key != name);
        }
        Some(value)
    }

    /// One of some words.
    pub(super) fn word<T: Copy + std::fmt::Display>(&mut self, name: &'static str, all: &[T]) -> Option<T> {
        let text = self.take(name)?;
        let found = all.iter().copied().find(|value| value.to_string() == text);
        if found.is_none() {
            let words: Vec<_> = all.iter().map(ToString::to_string).collect();
            self.findings.add(name, format!("{text:?} must be one of {}", words.join(", ")));
        }
        found
    }

    /// A whole number between both ends.
    pub(super) fn number(&mut self, name: &'static str, from: u32, to: u32) -> Option<u32> {
        let text = self.take(name)?;
        let found = text.parse().ok().filter(|number| (from..=to).contains(number));
        if found.is_none() {
            self.findings.add(name, format!("{text:?} must be a whole number between {from} and {to}"));
        }
        found
    }

    /// Reports what nobody took.
    pub(super) fn finish(mut self) -> Result<(), Problem> {
        for (name, _) in &self.pairs {
            let message = match self.known.as_slice() {
                [] => "is not a parameter of this request; it takes none".to_owned(),
                known => format!("is not a parameter of this request; those are {}", known.join(", ")),
            };
            self.findings.add(name, message);
        }
        if self.findings.0.is_empty() { Ok(()) } else { Err(Problem::invalid(self.findings.0)) }
    }
}
