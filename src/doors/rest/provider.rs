//! `/v1/providers`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::service::Provider;

use super::App;
use super::page::List;
use super::problem::Problem;
use super::query::{NoQuery, Path};

pub(super) fn routes() -> Router<App> {
    Router::new().route("/v1/providers", get(list)).route("/v1/providers/{provider}", get(read))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    name: String,
    description: String,
    default: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    default_region: String,
    default_instance_type: String,
    regions: Vec<String>,
}

async fn view(app: &App, provider: &Provider) -> View {
    let default = app.service.providers().default().map(Provider::name);
    View {
        name: provider.name().to_owned(),
        description: provider.description.clone(),
        default: default == Some(provider.name()),
        endpoint: provider.endpoint.clone(),
        default_region: provider.default_region.clone(),
        default_instance_type: provider.default_instance_type.clone(),
        regions: provider.regions().await,
    }
}

async fn list(State(app): State<App>, _: NoQuery) -> Result<Response, Problem> {
    let providers = app.service.providers().provider_list();
    let views = futures::future::join_all(providers.iter().map(|provider| view(&app, provider))).await;
    Ok(Json(List::whole(views)).into_response())
}

async fn read(State(app): State<App>, Path(name): Path<String>, _: NoQuery) -> Result<Response, Problem> {
    let provider = app.service.providers().provider_get(&name)?;
    Ok(Json(view(&app, provider).await).into_response())
}
