//! OpenAPI documents.

use drydock_machinery::Status;

use super::handler::Req;
use super::{Answer, body};

pub(crate) async fn serve(_request: &Req, _parts: &[&str]) -> Result<Answer, Status> {
    Ok(body::page_not_found())
}
