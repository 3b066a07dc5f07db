//! Pages on the wire: `limit` and `pageToken` in, `items` and `nextPageToken` out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::service::{FieldError, Page, PageRequest};

use super::problem::Problem;
use super::query::Query;

/// Takes the parameters of a page. Tokens are opaque to clients.
pub(super) fn page(query: &mut Query) -> Result<PageRequest, Problem> {
    let limit = query.number("limit", 1, PageRequest::MAX_LIMIT).unwrap_or(PageRequest::DEFAULT_LIMIT);
    let token = match query.text("pageToken") {
        None => None,
        Some(token) => {
            let decoded = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let wrong = || FieldError::new("pageToken", "is not a page token of this list");
            Some(decoded.ok_or_else(|| Problem::invalid(vec![wrong()]))?)
        }
    };
    Ok(PageRequest { limit, token })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<T> {
    items: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

impl<T> List<T> {
    pub(super) fn of(page: Page<T>) -> Self {
        Self { items: page.items, next_page_token: page.next.map(|next| URL_SAFE_NO_PAD.encode(next)) }
    }

    pub(super) fn whole(items: Vec<T>) -> Self {
        Self { items, next_page_token: None }
    }
}
